"""HTML for variants of an image in several widths and formats."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

Ladder = Callable[[int | None, str | None], str]
"""The URL for a width and a format; None: as it is."""


class Html(str):
    """HTML that Jinja and Django put into a page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def srcset(ladder: Ladder, widths: Sequence[int], fmt: str | None) -> str:
    """What belongs between the quotes of `srcset`. Escape it for HTML."""
    return ", ".join(f"{ladder(width, fmt)} {width}w" for width in widths)


def img(ladder: Ladder, widths: Sequence[int], fmt: str | None, attributes: Mapping[str, str]) -> Html:
    """An `<img>`."""
    named = {"src": ladder(widths[-1] if widths else None, fmt)}
    if widths:
        named["srcset"] = srcset(ladder, widths, fmt)
    return Html(f"<img {_attributes(named | {**attributes})}>")


def picture(ladder: Ladder, widths: Sequence[int], formats: Sequence[str], attributes: Mapping[str, str]) -> Html:
    """A `<picture>`: browsers take the first format that they know, and otherwise the last one."""
    *sources, last = formats
    sizes = {"sizes": attributes["sizes"]} if "sizes" in attributes else {}
    lines = [
        f"  <source {_attributes({'type': f'image/{fmt}', 'srcset': srcset(ladder, widths, fmt), **sizes})}>"
        for fmt in sources
    ]
    return Html("\n".join(["<picture>", *lines, f"  {img(ladder, widths, last, attributes)}", "</picture>"]))


def _attributes(named: Mapping[str, str]) -> str:
    return " ".join(f'{name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in named.items())
