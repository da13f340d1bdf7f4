"""Makes `python -m imgsvc` the same as `imgsvc`."""

from imgsvc.cli import run

if __name__ == "__main__":
    run()
