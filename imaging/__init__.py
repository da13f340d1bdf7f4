"""Image files and pixels. Knows no HTTP and neither service."""
