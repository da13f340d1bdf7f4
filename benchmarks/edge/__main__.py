"""The command line: `python -m benchmarks.edge NAME`."""

import sys

from benchmarks.edge import access, cold, hits, zipf
from measuring.figures import run_check

_DESCRIPTION = """\
Measure the HTTP cache. This needs Debian's varnish, varnish-modules and wrk. Keep the machine idle meanwhile."""

if __name__ == "__main__":
    sys.exit(run_check("benchmarks.edge", _DESCRIPTION, {"access": access, "cold": cold, "hits": hits, "zipf": zipf}))
