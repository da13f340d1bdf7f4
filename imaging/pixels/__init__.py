"""Decodes images with libvips and Pillow.

Only worker processes import this room: a decoder may crash, hang or bloat.
"""
