"""What the HTTP cache costs and saves."""
