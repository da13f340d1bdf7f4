"""Decoding with libvips and libjpeg-turbo.

Only worker processes import this room: a decoder may crash, hang, or use too much memory.
"""
