"""The library `imgsvc`."""
