"""What responses say to CDNs and browsers, as settings ask for."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import pictures
from tests.servers import Served, serve

SETTINGS = {
    "ORIGINAL_CACHE_CONTROL": "public, max-age=60",
    "ORIGINAL_CDN_CACHE_CONTROL": "max-age=86400",
    "VARIANT_CACHE_CONTROL": "public, max-age=120",
    "VARIANT_CDN_CACHE_CONTROL": "max-age=604800",
    "SURROGATE_KEY_HEADER": "Cache-Tag",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("imgsvc"), **SETTINGS) as started:
        yield started


def upload(url: str, body: bytes) -> str:
    request = urllib.request.Request(f"{url}/v1/images", body, {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["image_id"])


def headers(url: str, **sent: str) -> dict[str, str]:
    request = urllib.request.Request(url, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return {"status": str(answer.status), **answer.headers}
    except urllib.error.HTTPError as error:
        return {"status": str(error.code), **error.headers}


def test_originals_and_variants_have_their_own_lifetimes(served: Served) -> None:
    image_id, mark = upload(served.url, pictures.jpeg()), upload(served.url, pictures.jpeg(9, 9))
    image = f"{served.url}/v1/images/{image_id}"
    for url, lifetimes, keys in (
        (image, ("public, max-age=60", "max-age=86400"), f"image-{image_id}"),
        (f"{image}.webp?thumb=9", ("public, max-age=120", "max-age=604800"), f"image-{image_id}"),
        (f"{image}?watermark={mark}", ("public, max-age=120", "max-age=604800"), f"image-{image_id},image-{mark}"),
    ):
        first = headers(url)
        again = headers(url, **{"If-None-Match": first["ETag"]})
        for answer, status in ((first, "200"), (again, "304")):
            assert answer["status"] == status
            assert (answer["Cache-Control"], answer["CDN-Cache-Control"]) == lifetimes
            assert answer["Cache-Tag"] == keys
            assert not {"Xkey", "Surrogate-Control", "Surrogate-Key"} & answer.keys()
    for url in (f"{image}/info", f"{image}.webp?thum=9", f"{served.url}/v1/images"):
        assert headers(url)["Cache-Control"] == "no-store"
        assert not {"CDN-Cache-Control", "Cache-Tag"} & headers(url).keys()


def test_without_settings_nothing_is_said_about_cdns(tmp_path: Path) -> None:
    with serve(tmp_path, SURROGATE_KEY_HEADER="") as served:
        image = f"{served.url}/v1/images/{upload(served.url, pictures.jpeg())}"
        for url in (image, f"{image}.webp"):
            answer = headers(url)
            assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
            names = {"CDN-Cache-Control", "Cache-Tag", "Surrogate-Key", "Edge-Cache-Tag", "Surrogate-Control", "Xkey"}
            assert not names & answer.keys()
