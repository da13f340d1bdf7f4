"""Decoding with libvips and Pillow.

Only worker processes import this room: a decoder may crash, hang, or use too much memory.
"""
