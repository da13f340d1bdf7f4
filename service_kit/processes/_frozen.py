"""Keeps what the fork server has loaded out of garbage collection, which would copy its pages into every worker.

The fork server imports this module last.
"""

import ctypes
import gc
from contextlib import suppress

gc.collect()
gc.freeze()
with suppress(AttributeError, OSError):  # only glibc has it
    ctypes.CDLL(None).malloc_trim(0)
