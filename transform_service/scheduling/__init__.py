"""Decides when and where a plan runs: admission, and the renderers."""
