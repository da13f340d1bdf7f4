"""Long or short: `LONG=1`, as in `make faults`, tests with the durations and numbers that the docs promise."""

import os

LONG = bool(os.environ.get("LONG"))
