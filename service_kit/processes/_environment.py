"""Gives the fork server, and so all workers, an environment without secrets.

The fork server imports this module first, and starts itself again with what is left. Deleting variables would not be
enough: the kernel has put their values into the memory of the process.
"""

import os
import re
import sys

_KEPT = re.compile(r"LANG|LC_\w+|TZ|TMPDIR|LD_\w+|GLIBC_TUNABLES|MALLOC_\w+|VIPS_\w+|PYTHON\w+|COVERAGE_\w+")

_kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
if _kept.keys() != os.environ.keys():
    os.execve(sys.executable, sys.orig_argv, _kept)  # noqa: S606  # its own command line
