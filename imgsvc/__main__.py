"""Makes `python -m imgsvc` the same as `imgsvc`."""

import sys

from imgsvc.cli import main

if __name__ == "__main__":
    sys.exit(main())
