"""The command line: `python -m benchmarks.edge NAME`."""

import sys

from benchmarks.edge import access, cold, hits, usage, zipf
from measuring.figures import run_check

_DESCRIPTION = """\
Measure the HTTP cache. This needs Debian's varnish, varnish-modules and wrk. Keep the machine idle meanwhile."""

if __name__ == "__main__":
    checks = {"access": access, "cold": cold, "hits": hits, "usage": usage, "zipf": zipf}
    sys.exit(run_check("benchmarks.edge", _DESCRIPTION, checks))
