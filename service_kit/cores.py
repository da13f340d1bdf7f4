"""How many cores this process may use: the machine's, or what it was given of them."""

import math
import os
from collections.abc import Iterator

from service_kit import control_groups

_QUOTA = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}
"""The files of each version that hold microseconds, and out of how many."""


def available_cores() -> int:
    """The least of the cores that it may run on and of the quotas of all control groups around it, rounded up."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([here, *_quotas()])))


def _quotas() -> Iterator[float]:
    for folder, version in control_groups.own("cpu"):
        for group in control_groups.around(folder):
            try:
                quota, period = " ".join((group / name).read_text() for name in _QUOTA[version]).split()
            except (OSError, ValueError):
                continue
            if quota.isdigit():  # "max", or -1, where there is none
                yield int(quota) / int(period)
