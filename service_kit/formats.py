"""The image formats that are accepted and offered, told apart by their first bytes."""

import re
from dataclasses import dataclass

from service_kit.errors import NotAcceptable

SNIFF_BYTES = 64
"""How many leading bytes `sniff` needs."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its names in URLs and on the wire, and what it can hold."""

    name: str
    content_type: str
    extensions: tuple[str, ...]
    signature: re.Pattern[bytes]
    alpha: bool = True
    animated: bool = False

    @property
    def extension(self) -> str:
        """The extension that the service writes."""
        return self.extensions[0]


FORMATS = {
    fmt.name: fmt
    for fmt in (
        Format("jpeg", "image/jpeg", ("jpg", "jpeg"), re.compile(rb"\xff\xd8\xff"), alpha=False),
        Format("png", "image/png", ("png",), re.compile(rb"\x89PNG\r\n\x1a\n")),
        Format("webp", "image/webp", ("webp",), re.compile(rb"RIFF.{4}WEBP", re.DOTALL), animated=True),
        Format(
            "avif", "image/avif", ("avif",), re.compile(rb".{4}ftyp(?=avif|mif1|msf1)(.{8}(.{4})*?)?avi[fs]", re.DOTALL)
        ),
        Format("gif", "image/gif", ("gif",), re.compile(rb"GIF8[79]a"), animated=True),
        Format("tiff", "image/tiff", ("tiff", "tif"), re.compile(rb"II[*+]\0|MM\0[*+]")),
    )
}
"""Signatures: ISO 10918-1, RFC 2083, RFC 9649, AVIF 1.1 (brands of the ftyp box), GIF89a, TIFF 6.0 and BigTIFF."""

EXTENSIONS = {extension: fmt for fmt in FORMATS.values() for extension in fmt.extensions}


def sniff(head: bytes) -> Format | None:
    """The format of a file that begins with `head`, or None for anything else."""
    return next((fmt for fmt in FORMATS.values() if fmt.signature.match(head)), None)


def by_extension(extension: str) -> Format:
    """The format that a URL's extension or `format=` asks for; NotAcceptable for others."""
    try:
        return EXTENSIONS[extension.lower()]
    except KeyError:
        offered = " ".join(EXTENSIONS)
        raise NotAcceptable(f"the format {extension!r} is not offered; ask for one of: {offered}") from None
