"""The whole image service in one program: `imgsvc serve`."""

__version__ = "0.1.0"
