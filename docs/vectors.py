"""Test vectors for signed URLs: what a recipe has to sign, and what it has to print."""

import json
import re

from service_kit import signing

_SECRET = signing.shown("0123456789ab", "this-is-a-secret-for-tests_43-characters-ab")
_IMAGE = "3f2b8c1d9e4a4f7b8a6c5d0e1f2a3b4c"
_EXPIRES = (None, 4102444800)

_PLAIN = {
    "no query": f"/v1/images/{_IMAGE}",
    "a format": f"/v1/images/{_IMAGE}.avif",
    "a chain": f"/v1/images/{_IMAGE}.webp?rotate=90&thumb=300&blur=2&compress=75",
    "a name twice": f"/images/{_IMAGE}.png?blur=1&rotate=45&blur=1",
    "another spelling of the path": f"/image/{_IMAGE}",
    "another spelling, and a chain": f"/v1/image/{_IMAGE}?crop=10,20,300x200",
    "not ASCII": f"/v1/images/{_IMAGE}.jpg?download=Caf%C3%A9%20%26%20Bar%2b1",
    "a transform": f"/v1/transform?image_id={_IMAGE}&thumb=300",
    "another spelling of a transform": "/transform?url=https%3A%2F%2Fexample.com%2Fimages%2Fa.png%3Fw%3D1&format=webp",
}
_LADDERS: dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]] = {
    "widths": (f"/v1/images/{_IMAGE}.webp?w=320", (320, 640, 1280), ()),
    "widths in a chain": (f"/image/{_IMAGE}.auto?rotate=90&thumb=640&blur=2&v=1", (320, 640), ()),
    "one width": (f"/images/{_IMAGE}?download=w&width=9", (9,), ()),
    "presets": (f"/v1/images/{_IMAGE}.webp?preset=small", (), ("small", "large_2", "x-y")),
    "widths and presets": (f"/transform?image_id={_IMAGE}&preset=a&w=320", (320, 640), ("a", "b")),
}


def vectors() -> str:
    """All vectors, as JSON."""
    targets = {**{name: (target, (), ()) for name, target in _PLAIN.items()}, **_LADDERS}
    found = [
        _vector(name, signing.signed(target, _SECRET, expires=expires, widths=widths, presets=presets), expires)
        for expires in _EXPIRES
        for name, (target, widths, presets) in targets.items()
    ]
    return json.dumps({"secret": _SECRET, "vectors": found}, indent=2) + "\n"


def _vector(name: str, signed: str, expires: int | None) -> dict[str, object]:
    url = signing.taken_apart(signed)
    assert url
    target = re.split("[?&]key=", signed)[0]
    return {"name": name, "target": target, "expires": expires, "text": url.text, "signed": signed}
