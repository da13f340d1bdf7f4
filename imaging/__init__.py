"""Image files and pixels. Does not know HTTP or the services."""
