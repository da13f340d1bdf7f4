"""Turns images into other images: sizes, formats, treatments."""
