"""PUBLIC_URL: links in responses are paths without it, and absolute with it."""

from pathlib import Path

import aiohttp
import pytest

from service_kit.errors import CannotStart
from service_kit.settings import read_settings
from storage_service.settings import StorageSettings
from tests import pictures, servers


async def _links(http: aiohttp.ClientSession, url: str) -> set[str]:
    """Everything in responses that leads to the service."""
    headers = {"Content-Type": "image/jpeg"}
    async with http.post(f"{url}/v1/images", data=pictures.jpeg(), headers=headers) as response:
        facts = await response.json()
        found = {response.headers["Location"], facts["url"]}
    async with http.get(f"{url}/v1/images/{facts['image_id']}/info") as response:
        details = await response.json()
        found |= {details["url"], *details["links"].values()}
    async with http.get(f"{url}/v1/images?limit=1") as response:
        found |= {image["url"] for image in (await response.json())["images"]}
        assert "Link" not in response.headers
    return {link.replace(facts["image_id"], "ID") for link in found}


ENDS = {"/v1/images/ID", "/v1/images/ID?thumb=200", "/v1/images/ID.webp"}


@pytest.mark.parametrize(
    ("public", "base"),
    [
        ("", ""),
        ("https://images.example.com", "https://images.example.com"),
        ("https://images.example.com/", "https://images.example.com"),
        ("http://[2001:db8::1]:8080/api/", "http://[2001:db8::1]:8080/api"),
    ],
)
async def test_every_link_begins_with_the_public_url(
    tmp_path: Path, http: aiohttp.ClientSession, public: str, base: str
) -> None:
    with servers.serve(tmp_path, PUBLIC_URL=public) as served:
        assert await _links(http, served.url) == {base + end for end in ENDS}
        async with http.get(f"{served.url}/v1/images", headers={"Host": "evil.example"}) as response:
            assert "evil" not in await response.text()


@pytest.mark.parametrize(
    "url",
    [
        "images.example.com",
        "//images.example.com",
        "ftp://images.example.com",
        "https://",
        "https:///v1",
        "https://user:password@images.example.com",
        "https://images.example.com?x=1",
        "https://images.example.com/#a",
        "https://images.example.com/a b",
        "https://images.example.com\r\nX: y",
        "https://images.example.com:99999",
        "https://images.example.com:x",
    ],
)
def test_what_is_not_the_url_of_a_service_stops_the_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PUBLIC_URL", url)
    with pytest.raises(CannotStart, match="PUBLIC_URL="):
        read_settings(StorageSettings)
