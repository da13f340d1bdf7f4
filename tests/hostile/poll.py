"""Polls a health check every 50 ms and prints the longest wait in milliseconds when its input ends.

A program of its own: the process that attacks is too busy to measure.
"""

import http.client
import select
import sys
import time
from urllib.parse import urlsplit

_PAUSE = 0.05
_PATH = "/v1/images/healthcheck"


def main(url: str) -> None:
    """Poll until standard input ends."""
    place = urlsplit(url)
    longest = 0.0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], _PAUSE)[0]:
        began = time.monotonic()
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        connection.request("GET", _PATH)
        status = connection.getresponse().status
        connection.close()
        longest = max(longest, time.monotonic() - began)
        if status != http.HTTPStatus.OK:
            print(f"the health check answered {status}", file=sys.stderr)
            sys.exit(1)
    print(longest * 1000)


if __name__ == "__main__":
    main(sys.argv[1])
