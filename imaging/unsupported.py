"""Names the formats that people send and the service does not read."""

import re

_KINDS = (
    ("a HEIC image", rb".{4}ftyp(?:hei[cxms]|hev[cxms])|.{4}ftyp(?:mif1|msf1)"),
    ("a JPEG XL image", rb"\xff\x0a|\0\0\0\x0cJXL "),
    ("a JPEG 2000 image", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    ("an SVG drawing", rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*?)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE\s+svg|<svg)"),
    ("a BMP image", rb"BM.{4}\0\0\0\0"),
    ("an icon (ICO)", rb"\0\0[\x01\x02]\0.\0"),
    ("a Photoshop file (PSD)", rb"8BPS"),
    ("a PDF document", rb"%PDF-"),
    ("a PostScript document", rb"%!PS"),
    ("a Windows metafile", rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"),
    ("an OpenEXR image", rb"\x76\x2f\x31\x01"),
    ("a Radiance HDR image", rb"#\?(?:RADIANCE|RGBE)"),
    ("a QOI image", rb"qoif"),
    ("a DirectDraw texture (DDS)", rb"DDS "),
    ("a Netpbm image", rb"P[1-7][\s#]"),
    ("a raw photo", rb"FUJIFILMCCD-RAW|.{4}ftypcrx |IIU\0|IIRO|MMOR"),
    ("a video", rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xba\xb3]|FLV\x01|OggS|.{4}(?:moov|mdat|wide)"),
    ("an archive", rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!"),
    ("a web page", rb"\s*(?:<!DOCTYPE html|<html|<head|<body)"),
)
_PATTERNS = [(name, re.compile(pattern, re.DOTALL | re.IGNORECASE)) for name, pattern in _KINDS]


def kind_of(head: bytes) -> str | None:
    """What a file is that begins with `head`, such as "a HEIC image"; None if that is unknown."""
    return next((name for name, pattern in _PATTERNS if pattern.match(head)), None)
