"""The whole image service in one program: `imgsvc serve`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("imgsvc")
except PackageNotFoundError:  # run from a checkout
    __version__ = "development"
