"""What can be done to an image. One module an operation: its grammar, geometry, pixels and documentation."""
