"""Targets that are not image services."""

from pathlib import Path

import pytest

from loadtests import corpus, target
from loadtests.photos import Album
from loadtests.target import TargetDown
from tests.loadtests.running import speaking


@pytest.mark.parametrize("url", ["http://[x", "http://h:abc", "http://h:99999", "http://:8080", "ftp://h", "h:80", ""])
def test_a_bad_url_is_reported_with_an_example(url: str) -> None:
    with pytest.raises(TargetDown) as told:
        target.checked(url)
    assert str(told.value).startswith(
        f"{url!r} is not a target; give only scheme, host and port, such as http://127.0.0.1:"
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://[::1]:8080", "http://localhost/"])
def test_a_url_loses_its_last_slash(url: str) -> None:
    assert target.checked(url) == url.rstrip("/")


def test_a_port_without_http_is_reported() -> None:
    with (
        speaking(b"SSH-2.0-OpenSSH\r\n") as url,
        pytest.raises(TargetDown, match="does not answer: the answer is not HTTP"),
    ):
        target.wait(url, 0)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"image_id": "1", "width": null, "height": 1}'])
@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_accepts_uploads_without_facts_is_not_an_image_service(body: bytes, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with (
        speaking(answer) as url,
        pytest.raises(TargetDown, match="accepted an upload, but sent no facts; is it an image service"),
    ):
        corpus.seed(url, Album(tmp_path), 1, tmp_path / "corpus.json")


@pytest.mark.usefixtures("wallpapers")
def test_an_incomplete_answer_to_an_upload_is_reported(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"
    with speaking(answer) as url, pytest.raises(TargetDown, match="did not accept an upload: ClientPayloadError"):
        corpus.seed(url, Album(tmp_path), 1, tmp_path / "corpus.json")


@pytest.mark.parametrize(("told", "seconds"), [(None, 1), ("7", 7), ("900", 30), ("Wed, 21 Oct 2026 07:28:00 GMT", 1)])
def test_a_busy_target_is_asked_again_later(told: str | None, seconds: float) -> None:
    assert corpus._seconds(told) == seconds
