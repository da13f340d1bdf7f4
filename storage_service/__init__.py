"""Owns the images: their records and their bytes."""
