"""PATH_PREFIX: the API is below a path, and so is every link to it."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from pydantic import ValidationError

from storage_service.settings import StorageSettings
from tests import pictures
from tests.servers import Served, program, serve

PREFIX = "/media/images-api"


@pytest.fixture(scope="module", params=["file", "memory"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Also with blobs in memory, which renders fetch from the service itself."""
    blobs = {"memory": {"BLOB_URL": "memory://"}, "file": {}}[request.param]
    with serve(tmp_path_factory.mktemp("imgsvc"), PATH_PREFIX=PREFIX, **blobs) as started:
        yield started


def get(url: str, **options: Any) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **options), timeout=20) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_every_link_leads_somewhere(served: Served) -> None:
    api = f"{served.url}{PREFIX}/v1/images"
    status, body, headers = get(api, data=pictures.jpeg(), headers={"Content-Type": "image/jpeg"}, method="POST")
    facts = json.loads(body)
    assert (status, headers["Location"]) == (201, facts["url"])
    info = json.loads(get(urljoin(served.url, facts["url"] + "/info"))[1])
    (listed, *_) = json.loads(get(f"{api}?limit=1")[1])["images"]
    for link in (facts["url"], info["url"], listed["url"], *info["links"].values()):
        assert link.startswith(f"{PREFIX}/v1/images/{facts['image_id']}")
        assert get(urljoin(served.url, link))[0] == 200, link
    for path in ("/images/{}.webp?thumb=9", "/v1/transform?image_id={}&thumb=9", "/v1/images/healthcheck"):
        assert get(served.url + PREFIX + path.format(facts["image_id"]))[0] == 200, path


def test_nothing_is_anywhere_else(served: Served) -> None:
    for path in (
        "/v1/images",
        "/images",
        f"{PREFIX}x/v1/images",
        f"/x{PREFIX}/v1/images",
        PREFIX,
        f"{PREFIX}//v1/images",
    ):
        status, body, _ = get(served.url + path)
        assert status == 404, path
        detail = json.loads(body)["detail"]
        assert f"the API is at {PREFIX}/v1/images and {PREFIX}/v1/transform, its reference at {PREFIX}/docs" in detail
    status, body, _ = get(f"{served.url}{PREFIX}/v1/images/")
    assert (status, "; remove the slash at its end" in json.loads(body)["detail"]) == (404, True)


def test_the_commands_that_it_prints_work(served: Served, tmp_path: Any) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg())
    (command,) = [line for line in served.log.read_text().splitlines() if "image=@photo.jpg" in line]
    words = [program("curl"), "-sf", *command.split()[1:]]
    printed = subprocess.run(words, check=True, capture_output=True, cwd=tmp_path).stdout
    assert json.loads(printed)["url"].startswith(PREFIX)


@pytest.mark.parametrize("prefix", ["images", "/images/", "/", "/a b", "/a//b", "/../a", "/.", "/a?b", "/a%20b", "/ä"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError, match="write it with a slash in front"):
        StorageSettings(path_prefix=prefix)


@pytest.mark.parametrize(
    ("public", "prefix", "base"),
    [
        ("", "", ""),
        ("", "/a", "/a"),
        ("https://i.example", "", "https://i.example"),
        ("https://i.example", "/a", "https://i.example/a"),
        ("https://i.example/a", "/a", "https://i.example/a"),
        ("https://i.example/a/", "", "https://i.example/a"),
    ],
)
def test_links_have_the_prefix_once(public: str, prefix: str, base: str) -> None:
    assert StorageSettings(public_url=public, path_prefix=prefix).link_base == base
