"""Content-Type and Content-Disposition: what is accepted, what is refused, and how long that takes."""

import time

import pytest

from service_kit.errors import BadRequest
from service_kit.http._forms import boundary_of
from service_kit.http.media_types import disposition, media_type


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("image/jpeg", "image/jpeg", {}),
        (" Image/JPEG ; Q=1 ;", "image/jpeg", {"q": "1"}),
        ('multipart/form-data; boundary="a b"', "multipart/form-data", {"boundary": "a b"}),
        ("multipart/form-data; boundary=----=_Part/1:2", "multipart/form-data", {"boundary": "----=_Part/1:2"}),
        (r'text/plain; x="a\"b\\c"', "text/plain", {"x": 'a"b\\c'}),
        ("multipart/form-data; boundary*0*=a", "multipart/form-data", {"boundary*0*": "a"}),
    ],
)
def test_a_media_type_is_parsed(text: str, name: str, parameters: dict[str, str]) -> None:
    found = media_type(text)
    assert (found.name, dict(found.parameters)) == (name, parameters)


@pytest.mark.parametrize(
    "text",
    ["", "x", "/", "a/", "a/b/c", "a b/c", "(a)", "a/b; c", "a/b; c=", 'a/b; c="', "a/b; c=d; C=e", "a/b; =d", "ü/b"]
    + ["a/b; c =d", "a/b, c/d", "a/b;c=d e", "a" * 255 + "/b", "(a)" * 80, 'a/b; c="' + '\\"' * 120],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        media_type(text)


@pytest.mark.parametrize("boundary", ["", '""', '" "', '"a "', "ü", "a" * 71, '"a;b"', "a*b"])
def test_an_invalid_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(BadRequest):
        boundary_of(media_type(f"multipart/form-data; boundary={boundary}"))


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ('form-data; name="image"; filename="C:\\dir\\photo.jpg"', {"name": "image", "filename": "C:dirphoto.jpg"}),
        ("form-data; name=image; filename*=UTF-8''na%20me", {"name": "image", "filename*": "UTF-8''na%20me"}),
        ('form-data; name="a; filename=b"', {"name": "a; filename=b"}),
    ],
)
def test_a_disposition_is_parsed(text: str, parameters: dict[str, str]) -> None:
    assert dict(disposition(text).parameters) == parameters


@pytest.mark.parametrize(
    "unit", ["(", '"', "\\", ";", " ", "a", "=", "a=", "*", ';a="\\"', ';a="', "; a=b", '\\"', "\t", ";;  ", 'a="b";']
)
def test_the_time_grows_with_the_length_and_not_faster(unit: str) -> None:
    """A quadratic parser would take minutes for a megabyte."""
    began = time.process_time()
    for start in ("form-data", 'form-data; name="', "form-data; a=", ""):
        with pytest.raises(BadRequest):
            disposition(start + unit * (1_000_000 // len(unit)) + "\0")
    assert time.process_time() - began < 5
