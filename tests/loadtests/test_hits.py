"""Hits alone, after the load: whatever happens there, the report of the load is written."""

import pytest

from loadtests import hits
from loadtests.corpus import Entry
from tests.loadtests.running import speaking
from tests.servers import free_port

ENTRY = Entry("1" * 32, "photo.jpeg", "jpeg", 64, 48, 1000, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def _wrk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits.shutil, "which", lambda _: "/usr/bin/false")


def test_a_target_that_is_gone_is_a_reason() -> None:
    assert str(hits.measure(f"http://127.0.0.1:{free_port()}", ENTRY)).startswith("the target did not answer after")


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_a_target_that_refuses_or_breaks_off_is_a_reason(words: bytes) -> None:
    with speaking(words) as url:
        assert str(hits.measure(url, ENTRY)).startswith("the target did not answer after the load: ")


def test_an_interruption_is_no_figure_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hits.subprocess, "run", interrupted)
    with speaking(b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\n\r\n") as url:
        assert hits.measure(url, ENTRY) == "it was interrupted"


def test_wrk_that_fails_is_a_reason() -> None:
    with speaking(b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\n\r\n") as url:
        assert str(hits.measure(url, ENTRY)).startswith("wrk failed")
