"""Runs plans, in renderer processes. Nothing else imports this room; tasks name its functions."""
