"""What the HTTP cache costs, saves and forgets."""
