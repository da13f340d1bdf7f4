"""The operations, one module each: grammar, geometry, pixels and documentation."""
