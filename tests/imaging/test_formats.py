"""Recognising formats by their first bytes."""

import pytest

from imaging.formats import FORMATS, SNIFF_BYTES, by_extension, sniff
from service_kit.errors import NotAcceptable
from tests import pictures


@pytest.mark.parametrize("name", [fmt.name for fmt in FORMATS.values() if fmt.writer])
def test_every_format_is_recognised(name: str) -> None:
    options = {"compression": "av1"} if name == "avif" else {}
    body = pictures.gradient(32, 32).write_to_buffer(f".{FORMATS[name].extension}", **options)
    found = sniff(bytes(body[:SNIFF_BYTES]))
    assert found
    assert found.name == name


@pytest.mark.parametrize(
    "head",
    [b"", b"\xff\xd8", b"GIF88a", b"RIFF....WAVE", b"<svg", b"%PDF", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"II*\1"],
)
def test_other_files_are_not_recognised(head: bytes) -> None:
    assert sniff(head) is None


def test_extensions_ignore_case() -> None:
    assert by_extension("JPG") is by_extension("jpeg") is FORMATS["jpeg"]
    with pytest.raises(NotAcceptable, match="use one of: avif, gif, jpg, jpeg, png, tiff, tif, webp"):
        by_extension("bmp")
