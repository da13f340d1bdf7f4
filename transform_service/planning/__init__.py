"""Turns a chain and a header into a plan. Pure functions: no pixels, no I/O."""
