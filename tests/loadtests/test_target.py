"""Targets that are none, or do not speak as an image service."""

from pathlib import Path

import pytest

from loadtests import corpus, target
from loadtests.photos import Album
from loadtests.target import TargetDown
from tests.loadtests.running import speaking


@pytest.mark.parametrize("url", ["http://[x", "http://h:abc", "http://h:99999", "http://:8080", "ftp://h", "h:80", ""])
def test_what_is_no_address_is_told_with_what_one_is(url: str) -> None:
    with pytest.raises(TargetDown) as told:
        target.checked(url)
    assert str(told.value).startswith(f"{url!r} is no target: give scheme, host and port alone, as http://127.0.0.1:")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://[::1]:8080", "http://localhost/"])
def test_an_address_has_no_slash_at_its_end(url: str) -> None:
    assert target.checked(url) == url.rstrip("/")


def test_a_port_that_speaks_no_http_is_told() -> None:
    with speaking(b"SSH-2.0-OpenSSH\r\n") as url, pytest.raises(TargetDown, match=r"speaks no HTTP \(BadStatusLine\)"):
        target.wait(url, 0)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"image_id": "1", "width": null, "height": 1}'])
@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_takes_uploads_and_tells_no_facts_is_no_image_service(body: bytes, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with speaking(answer) as url, pytest.raises(TargetDown, match="took an upload, but told no facts of an im"):
        corpus.seed(url, Album(tmp_path), 1, tmp_path / "corpus.json")


@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_breaks_off_an_upload_is_told(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"
    with speaking(answer) as url, pytest.raises(TargetDown, match="took no upload: IncompleteRead"):
        corpus.seed(url, Album(tmp_path), 1, tmp_path / "corpus.json")


@pytest.mark.parametrize(("told", "seconds"), [(None, 1), ("7", 7), ("900", 30), ("Wed, 21 Oct 2026 07:28:00 GMT", 1)])
def test_a_target_that_is_too_full_is_asked_later(told: str | None, seconds: float) -> None:
    assert corpus._seconds(told) == seconds
