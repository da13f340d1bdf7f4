"""Tags for templates: `{% load imgsvc %}`.

Write operations as in a URL, in their order. Every other name becomes an attribute of the element:

    {% imgsvc photo.image_id "webp" thumb=300 blur=2 %}
    {% imgsvc_picture photo.image_id widths="400,800" resize="1600x900,cover" alt=photo.title sizes="50vw" %}
"""

from typing import Any

from django import template
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from imgsvc_client.chains import Chain, Variant
from imgsvc_client.models import base_of

register = template.Library()
_OPERATIONS = {name for name in dir(Chain) if not name.startswith("_")} - {"steps"}


@register.simple_tag
def imgsvc(image_id: str, format: str | None = None, **operations: object) -> str:  # noqa: A002
    """The URL of a variant."""
    variant, attributes = _variant(image_id, operations)
    if attributes:
        raise template.TemplateSyntaxError(f"{next(iter(attributes))!r} is not an operation")
    return variant.url(format)


@register.simple_tag
def imgsvc_img(image_id: str, format: str | None = None, *, widths: str = "", **given: object) -> SafeString:  # noqa: A002
    """An `<img>`."""
    variant, attributes = _variant(image_id, given)
    return mark_safe(variant.img(_numbers(widths), format, **attributes))  # noqa: S308  # it escapes the attributes


@register.simple_tag
def imgsvc_picture(image_id: str, *, widths: str = "", formats: str = "avif,webp,jpg", **given: object) -> SafeString:
    """A `<picture>`."""
    variant, attributes = _variant(image_id, given)
    return mark_safe(variant.picture(_numbers(widths), formats.split(","), **attributes))  # noqa: S308  # as above


def _variant(image_id: str, given: dict[str, Any]) -> tuple[Variant, dict[str, str]]:
    """The variant, and what is no operation."""
    configured = getattr(settings, "IMGSVC", {})
    steps = [f"{name}={value}" for name, value in given.items() if name in _OPERATIONS]
    original = f"{base_of(configured['URL'])}/images/{image_id}"
    variant = Variant(original, Chain(tuple(steps)), configured.get("SIGNING_SECRET"))
    return variant, {name: str(value) for name, value in given.items() if name not in _OPERATIONS}


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]
