"""What the service outlasts: huge images, overload, days of work, killed renderers."""
