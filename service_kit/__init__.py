"""What both services are built from. Imports neither of them, and knows no images."""
