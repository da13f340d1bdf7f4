"""What all commands share: how they are found, what they print, and how they fail."""

import sys
from pathlib import Path

_CLIENT = Path(__file__).parents[2] / "clients/python"
if _CLIENT.is_dir() and str(_CLIENT) not in sys.path:  # a checkout, where the client is a project of its own
    sys.path.append(str(_CLIENT))
