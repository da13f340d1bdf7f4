"""What people open in a browser: the reference of the API."""
