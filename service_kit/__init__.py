"""What both services are built from. Does not know the services, or images."""
