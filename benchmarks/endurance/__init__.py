"""What the service withstands: huge images, overload, long work, killed renderers."""
