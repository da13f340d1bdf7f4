"""Polls a health check every 50 ms. For each line of input, prints the longest wait since the last, in milliseconds.

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
    while True:
        if select.select([sys.stdin], [], [], _PAUSE)[0]:
            if not sys.stdin.readline():
                return
            print(longest * 1000, flush=True)
            longest = 0.0
        began = time.monotonic()
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        connection.request("GET", _PATH)
        status = connection.getresponse().status
        connection.close()
        longest = max(longest, time.monotonic() - began)
        if status != http.HTTPStatus.OK:
            sys.exit(f"the health check answered {status}")


if __name__ == "__main__":
    main(sys.argv[1])
