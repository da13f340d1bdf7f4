"""Definitions that VCL cannot import agree with the code."""

import re

from imaging.formats import FORMATS
from service_kit.http.queries import OF_ORIGINAL
from service_kit.parameters import CACHE_BUSTERS, DOWNLOAD, TRACKING
from tests.servers import ROOT
from transform_service.http.negotiation import auto_formats

ACCEPT = (ROOT / "varnish" / "accept.vcl").read_text()
ROUTES = (ROOT / "nginx" / "conf.d" / "routes.conf").read_text()
URLS = (ROOT / "varnish" / "urls.vcl").read_text()


def test_varnish_removes_the_tracking_parameters_that_the_service_ignores() -> None:
    patterns = re.findall(r"[&)]\(\?:(utm_.*?)\)\(\?:=", URLS)
    assert patterns == [TRACKING.pattern.replace(".*", "[^=&]*")] * 2


def test_nginx_and_the_service_agree_which_queries_leave_the_original_alone() -> None:
    assert f'/v1/images/[^/.?]+\\?{OF_ORIGINAL.pattern}$" storage;' in ROUTES
    assert OF_ORIGINAL.fullmatch("")
    assert OF_ORIGINAL.fullmatch("utm_source=x&utm_medium&download=a")
    for name in (DOWNLOAD, *CACHE_BUSTERS, "gclid", "fbclid"):
        for query in (name, f"{name}=", f"{name}=a%20b", f"{name}=a&download=b", f"v&{name}=1&"):
            assert OF_ORIGINAL.fullmatch(query), query
        for query in (f"{name}x=1", f"{name}=1&thumb=9", f"thumb=9&{name}=1", f"{name}=1&format=png"):
            assert not OF_ORIGINAL.fullmatch(query), query


def test_varnish_normalises_accept_for_every_format_that_auto_considers() -> None:
    counted = set(re.findall(r'set req\.http\.X-(\w+) = "0"', ACCEPT)) - {"Original"}
    assert {name.lower() for name in counted} == {fmt.name for fmt in auto_formats()}
    for fmt in auto_formats():
        assert f"{fmt.media_type}\\s*(?:[;,]|$)" in ACCEPT, fmt.name


def test_varnish_normalises_accept_for_every_other_format_that_browsers_show() -> None:
    """Varnish does not know the original's format. TIFF counts for none of them: it would win over WebP for a JPEG."""
    shown = {fmt.media_type for fmt in FORMATS.values() if fmt.writer and fmt not in auto_formats()} - {"image/tiff"}
    classes = re.findall(r"image/\(\?:([^)]*)\|\\\*\)", ACCEPT)
    assert [{f"image/{name}" for name in names.split("|")} for names in classes] == [shown] * 3
