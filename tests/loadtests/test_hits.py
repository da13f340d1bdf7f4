"""Hits alone, after the load: whatever happens, the report of the load is written."""

from pathlib import Path

import pytest

from loadtests import hits
from loadtests.corpus import Entry
from measuring import wrk
from tests.loadtests.running import speaking
from tests.servers import free_port

ENTRY = Entry(Path("photo.jpeg"), "jpeg", 64, 48, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "1" * 32, 1000)


@pytest.fixture(autouse=True)
def _wrk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk.shutil, "which", lambda _: "/usr/bin/false")


def test_a_missing_target_is_a_reason() -> None:
    assert str(hits.measure(f"http://127.0.0.1:{free_port()}", ENTRY)).startswith("the target did not answer after")


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_a_target_that_refuses_or_breaks_off_is_a_reason(words: bytes) -> None:
    with speaking(words) as url:
        assert str(hits.measure(url, ENTRY)).startswith("the target did not answer after the load: ")


def test_an_interruption_is_a_reason_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(wrk.subprocess, "run", interrupted)
    with speaking(b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nContent-Length: 0\r\n\r\n") as url:
        assert hits.measure(url, ENTRY) == "interrupted"


def test_a_failure_of_wrk_is_a_reason() -> None:
    with speaking(b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nContent-Length: 0\r\n\r\n") as url:
        assert str(hits.measure(url, ENTRY)).startswith("wrk failed")
