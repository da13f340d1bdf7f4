"""The service makes the same files as the functions that the other tests call: its workers cannot open modules."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyvips

from tests import servers
from tests.fidelity.rendering import rendered
from tests.fidelity.test_colours import ADOBE, COLOUR, P3_PROFILE, aom, avif, chrm, cicp, gama, iccp, png
from tests.fidelity.test_gain_maps import adobe, ultra_hdr
from tests.fidelity.test_profile import tagged

DEEP = tuple(257 * value for value in (*COLOUR, 128))
BODIES = {
    "png gamma": png(COLOUR, gama(1.0)),
    "png primaries": png(COLOUR, gama(0.5), chrm(ADOBE)),
    "png grey gamma": png((100,), gama(1.0)),
    "png code points": png(COLOUR, cicp(12, 13)),
    "png profile": png(COLOUR, iccp(P3_PROFILE)),
    "png grey profile": png((100,), iccp(bytes(pyvips.Image.profile_load("p3")))),
    "png broken profile": png(COLOUR, iccp(P3_PROFILE[:300])),
    "png pq": png(DEEP, cicp(9, 16), bits=16),
    "png hlg": png(DEEP[:3], cicp(9, 18), bits=16),
    "avif p3": avif(COLOUR, 12, 13),
    "avif pq": avif((*COLOUR, 128), 9, 16),
    "avif profile": aom((*COLOUR, 128), icc_profile=P3_PROFILE),
    "cmyk": tagged("JPEG", bytes(pyvips.Image.profile_load("cmyk")), "CMYK", (0, 200, 200, 20)),
    "webp profile": tagged("WEBP"),
    "ultra hdr": ultra_hdr(),
    "ultra hdr by xmp": adobe('hdrgm:GainMapMax="2.5" hdrgm:HDRCapacityMax="2.5"'),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.serve(tmp_path_factory.mktemp("service")) as served:
        yield served.url


def transformed(url: str, body: bytes, query: str, extension: str) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    request = urllib.request.Request(f"{url}/v1/transform?{query}&format={extension}", head + body + b"\r\n--x--\r\n")
    request.add_header("Content-Type", "multipart/form-data; boundary=x")
    with urllib.request.urlopen(request) as response:
        return bytes(response.read())


@pytest.mark.parametrize(
    "query", ["thumb=20", "profile=keep&rotate=90", "profile=keep&grayscale", "background=f80&pad=99x99"]
)
@pytest.mark.parametrize("name", BODIES)
def test_a_worker_renders_the_same(tmp_path: Path, url: str, name: str, query: str) -> None:
    for output in ("png", "jpeg"):
        wanted = rendered(tmp_path, BODIES[name], query, output)
        assert transformed(url, BODIES[name], query, output) == wanted, output
