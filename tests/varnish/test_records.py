"""`varnish/records`: the log of Varnish on its way to standard output, and what it counts."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.servers import ROOT

IMAGE = "0123456789abcdef0123456789abcdef"


def line(uri: str, status: int = 200, cache: str = "HIT", usage: str = "level 5.5 webp?thumb=300", **more: str) -> str:
    """A line as varnishncsa writes it; `start` has the format."""
    method, size, agent = more.get("method", "GET"), more.get("size", "1000"), more.get("agent", "curl")
    return (
        f'{{"time": "2026-11-27T12:00:00+0000", "request_id": "1", "client": "192.0.2.1", "method": "{method}",'
        f' "uri": "{uri}", "status": {status}, "bytes_in": 100, "bytes_out": {size}, "seconds": 12e-6,'
        f' "cache": "{cache}", "usage": "{usage}", "varnish": "{more.get("varnish", "7")}",'
        f' "hits": "{more.get("hits", "")}", "agent": "{agent}"}}\n'
    )


class Storage(HTTPServer):
    """Receives batches, and refuses the first of them with these statuses."""

    def __init__(self, *refusals: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals = list(refusals)
        self.batches: Queue[dict[str, Any]] = Queue()


class _Handler(BaseHTTPRequestHandler):
    server: Storage

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/internal/usage"
        status = self.server.refusals.pop(0) if self.server.refusals else 204
        self.send_response(status)
        self.end_headers()
        if status == 204:
            self.server.batches.put(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    server = Storage(*getattr(request, "param", ()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Records:
    """A running `records`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._written = folder / "written"
        with self._written.open("wb") as written:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "varnish" / "records")], stdin=subprocess.PIPE, stdout=written,
                stderr=subprocess.PIPE, env={"USAGE_URL": url, "USAGE_SECONDS": "0.2"},
            )  # fmt: skip

    def write(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(lines).encode("latin-1"))
        self.process.stdin.flush()

    def ended(self) -> tuple[bytes, bytes]:
        _, said = self.process.communicate(timeout=20)
        return self._written.read_bytes(), said


@pytest.fixture
def records(storage: Storage, tmp_path: Path) -> Iterator[Records]:
    running = Records(f"http://127.0.0.1:{storage.server_port}", tmp_path)
    yield running
    running.process.kill()
    running.process.communicate()


def chains(batch: dict[str, Any]) -> dict[tuple[str, str], tuple[int, float, int]]:
    return {
        (row["chain"], row["outcome"]): (row["requests"], row["milliseconds"], row["bytes"]) for row in batch["chains"]
    }


def images(batch: dict[str, Any]) -> dict[str, int]:
    return {row["image_id"]: row["requests"] for row in batch["images"]}


def test_what_viewers_get_is_counted(storage: Storage, records: Records) -> None:
    records.write(
        line(f"/v1/images/{IMAGE}.webp?thumb=300", cache="MISS"),
        line(f"/v1/images/{IMAGE}.webp?thumb=300") * 3,
        line(f"/prefix/image/{IMAGE}.webp?thumb=300", cache="STALE", status=304, size="200"),
        line(f"/v1/images/{IMAGE}", usage="file 0.0 original", status=206),
        line("/v1/transform?url=https://example.com/a.jpg&thumb=9", cache="MISS", usage="render 7.0 jpg?thumb=9"),
        line(f"/v1/images/{IMAGE}.webp?thumb=300", status=404),
        line(f"/v1/images/{IMAGE}.webp?thumb=300", method="HEAD"),
        line(f"/v1/images/{IMAGE}/info", usage=""),
    )
    batch = storage.batches.get(timeout=20)
    assert chains(batch) == {
        ("webp?thumb=300", "level"): (1, 5.5, 1000),
        ("webp?thumb=300", "hit"): (4, 0, 3200),
        ("original", "hit"): (1, 0, 1000),
        ("jpg?thumb=9", "render"): (1, 7.0, 1000),
    }
    assert images(batch) == {IMAGE: 6, "": 1}


def hit(thing: int, hits: int, age: float = 0.0) -> str:
    return line(f"/v1/images/{IMAGE}.webp?thumb=300", varnish=f"99 {thing}", hits=f"{hits} {age:.3f}")


def test_hits_whose_lines_were_lost_are_counted(storage: Storage, records: Records) -> None:
    # The object 5 is older than this process. 6 and 7 are new, and their first lines were lost. Some are out of order.
    old = [hit(5, 1000, 3600), hit(5, 1001, 3600), hit(5, 1101, 3600), hit(5, 1100, 3600)]
    records.write(*old, hit(6, 20), hit(7, 3), hit(7, 2), hit(7, 1, -0.001))
    assert chains(storage.batches.get(timeout=20)) == {("webp?thumb=300", "hit"): (125, 0, 125_000)}


def test_objects_that_were_not_seen_for_long_are_forgotten(storage: Storage, records: Records) -> None:
    number = 150_000
    # The second one may have been counted before it was forgotten.
    records.write(*(hit(thing, 1) for thing in range(1, number + 1)), hit(2, 50, 60), hit(number + 5, 7))
    counted = 0
    while counted < number + 1 + 7:
        counted += chains(storage.batches.get(timeout=60))["webp?thumb=300", "hit"][0]
    assert counted == number + 1 + 7


def test_nobody_can_write_counts_into_the_log(storage: Storage, records: Records) -> None:
    forged = (
        r"\", \"status\": 200, \"bytes_in\": 1, \"bytes_out\": 1, \"seconds\": 1e-6, \"cache\": \"HIT\","
        r" \"usage\": \"level 1 x"
    )
    records.write(
        line(f"/v1/images/{IMAGE}.webp?{forged}", status=404, usage=""),
        line(f"/v1/images/{IMAGE}.webp?{forged}", agent=forged),
    )
    assert chains(storage.batches.get(timeout=20)) == {("webp?thumb=300", "hit"): (1, 0, 1000)}


@pytest.mark.parametrize("storage", [(503, 500)], indirect=True)
def test_what_storage_does_not_take_is_posted_again_once(storage: Storage, records: Records) -> None:
    records.write(line(f"/v1/images/{IMAGE}.webp?thumb=300") * 7)
    assert chains(storage.batches.get(timeout=20)) == {("webp?thumb=300", "hit"): (7, 0, 7000)}
    records.write(line(f"/v1/images/{IMAGE}.webp?thumb=300"))
    assert chains(storage.batches.get(timeout=20)) == {("webp?thumb=300", "hit"): (1, 0, 1000)}
    assert records.ended()[1].count(b"usage cannot be posted") == 2, "each reason once"


def test_a_storage_that_answers_nonsense_does_not_end_the_counting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = Records(f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path)
        running.write(line(f"/v1/images/{IMAGE}.webp?thumb=300"))
        sent = []
        for answer in (b"nonsense\r\n\r\n", b"", b"HTTP/1.1 204 No Content\r\n\r\n"):
            client, _ = server.accept()
            with client:
                text = client.recv(65536)
                while b"\r\n\r\n" not in text or not text.endswith(b"}"):
                    text += client.recv(65536)
                sent.append(json.loads(text.partition(b"\r\n\r\n")[2]))
                client.sendall(answer)
        assert [each == sent[0] for each in sent] == [True] * 3, "the same batch, with its ID"
        running.ended()


def test_what_only_looks_at_headers_or_is_refused_is_no_hit(storage: Storage, records: Records) -> None:
    url = f"/v1/images/{IMAGE}.webp?thumb=300"
    heads = [line(url, method="HEAD", varnish="9 5", hits=f"{n} 1.0") for n in range(1, 100)]
    refused = [line(url, status=404, varnish="9 5", hits=f"{n} 1.0") for n in range(100, 200)]
    records.write(*heads, *refused, line(url, varnish="9 5", hits="200 1.0"))
    assert chains(storage.batches.get(timeout=20)) == {("webp?thumb=300", "hit"): (1, 0, 1000)}


@pytest.mark.parametrize("storage", [(400,)], indirect=True)
def test_what_storage_does_not_understand_is_dropped(storage: Storage, records: Records) -> None:
    records.write(line(f"/v1/images/{IMAGE}.webp?thumb=300") * 7)
    assert records.process.stderr
    assert b"400" in records.process.stderr.readline()
    records.write(line(f"/v1/images/{IMAGE}.webp?thumb=300"))
    assert chains(storage.batches.get(timeout=20)) == {("webp?thumb=300", "hit"): (1, 0, 1000)}


def test_more_than_a_thousand_chains_and_images_are_counted_together(storage: Storage, records: Records) -> None:
    hot = line(f"/v1/images/{IMAGE}.webp?thumb=300") * 50
    rare = [line(f"/v1/images/{n:032x}.webp?thumb={n}", usage=f"level 1.0 webp?blur={n}") for n in range(30_000)]
    records.write(hot, *rare)
    got: list[dict[str, Any]] = []
    while sum(row["requests"] for batch in got for row in batch["chains"]) < 30_050:
        got.append(storage.batches.get(timeout=20))
    assert all(len(batch["chains"]) <= 1003 and len(batch["images"]) <= 1001 for batch in got)
    assert sum(chains(batch).get(("webp?thumb=300", "hit"), (0,))[0] for batch in got) == 50
    assert sum(sum(images(batch).values()) for batch in got) == 30_050


def test_the_log_is_valid_json_without_signatures(records: Records) -> None:
    records.write(line("/v1/images/a?signature=secret&expires=1"), line("/v1/images/\xff\x01?x=\xe9", agent="\xfc"))
    written, _ = records.ended()
    first, second = map(json.loads, written.decode("ascii").splitlines())
    assert first["uri"] == "/v1/images/a?signature=-&expires=1"
    assert (second["uri"], second["agent"]) == ("/v1/images/???x=?", "?")


def test_without_a_url_nothing_is_counted_and_the_log_is_written(tmp_path: Path) -> None:
    running = Records("", tmp_path)
    running.write(line("/v1/images/a"))
    written, said = running.ended()
    assert (json.loads(written)["uri"], said) == ("/v1/images/a", b"")


def test_storage_may_be_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    running = Records(f"http://127.0.0.1:{port}", tmp_path)
    running.write(line(f"/v1/images/{IMAGE}.webp?thumb=300"))
    assert running.process.stderr
    assert b"usage cannot be posted" in running.process.stderr.readline()
    running.write(line("/v1/images/after"))
    assert b"/v1/images/after" in running.ended()[0]
