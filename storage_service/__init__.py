"""Owns the images: their metadata and their bytes."""
