"""Load tests: what visitors of a real site ask for, how many of them, and whether the answers stay good."""
