"""`varnish/start` itself, in namespaces of its own: it has fixed ports and folders."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from tests import servers
from tests.faults.length import LONG

_INSIDE = """
set -e
ip link set lo up
ip addr add 10.9.9.9/24 dev lo  # without an address beside loopback's, no name resolves
mkdir -p /etc/varnish 2>/dev/null || true
mount --bind {root}/varnish /etc/varnish
mount -t tmpfs tmpfs /tmp  # where this project itself may be
/etc/varnish/start >/dev/shm/{log} 2>&1 &
python3 - {pauses}
"""
_CLIENT = """
import http.client, sys, time

deadline = time.monotonic() + 20
while True:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
    try:
        connection.request("GET", "/cache/healthcheck")
        connection.getresponse().read()
        break
    except OSError:
        assert time.monotonic() < deadline
        time.sleep(0.1)
connection.auto_open = False
for pause in map(float, sys.argv[1:]):
    time.sleep(pause)  # idle
    try:
        connection.request("GET", "/cache/healthcheck")
        connection.getresponse().read()
        print("open", flush=True)
    except (OSError, http.client.HTTPException):
        print("closed", flush=True)
"""


@pytest.mark.parametrize(
    ("seconds", "pauses", "found"),
    [
        ("2", ["1", "4"], ["open", "closed"]),
        ("", ["4"], ["open"]),
        pytest.param("700", ["610"], ["open"], marks=pytest.mark.skipif(not LONG, reason="ten minutes")),
    ],
)
@pytest.mark.timeout(900)
def test_idle_connections_stay_open_for_keepalive_seconds(seconds: str, pauses: list[str], found: list[str]) -> None:
    servers.program("varnishd", "usr/sbin")
    log = f"imgsvc-{uuid.uuid4().hex}.log"
    script = _INSIDE.format(root=servers.ROOT, log=log, pauses=" ".join(pauses))
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", script],
        input=_CLIENT, env={**os.environ, "KEEPALIVE_SECONDS": seconds, "ORIGIN": "127.0.0.1:9"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr and not done.stdout:
        servers.missing(f"namespaces: {done.stderr.strip().splitlines()[0]}")
    said = Path("/dev/shm", log).read_text()
    Path("/dev/shm", log).unlink()
    assert done.stdout.split() == found, done.stderr + said
