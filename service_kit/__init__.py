"""What both services are made of. Imports neither of them."""
