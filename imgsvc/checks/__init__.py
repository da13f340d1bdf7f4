"""What `imgsvc doctor` looks at: a deployment from outside, by its URL, and from inside, by its settings."""
