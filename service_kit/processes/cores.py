"""The number of cores that this process may use."""

import math
import os
from collections.abc import Iterator

from service_kit.processes import _control_groups as control_groups

_QUOTA = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}
"""The files with the quota and the period, in microseconds, by version."""


def available_cores() -> int:
    """The cores that this process may run on, or the smallest quota of its control groups, whichever is less.

    Rounded up.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([here, *_quotas()])))


def _quotas() -> Iterator[float]:
    for folder, version in control_groups.own("cpu"):
        for group in control_groups.around(folder):
            try:
                quota, period = " ".join((group / name).read_text() for name in _QUOTA[version]).split()
            except (OSError, ValueError):
                continue
            if quota.isdigit():  # "max", or -1, if there is no quota
                yield int(quota) / int(period)
