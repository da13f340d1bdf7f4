"""Who may request which variants (VARIANTS), and what a cache has to check before it sends one to somebody else."""

import re
from collections.abc import Sequence

from service_kit.access import ANYBODY, Guard, Identity, Scope
from service_kit.errors import Forbidden, Unauthorized
from service_kit.parameters import DOWNLOAD
from service_kit.signing import WIDTH_PARAMETERS
from transform_service.chain import FORMAT
from transform_service.settings import TransformSettings

_IGNORED = re.compile("(?:utm_[^=&]*|gclid|fbclid)(?:=[^&]*)?")
"""Varnish removes them (varnish/urls.vcl)."""
_HARMLESS = re.compile(f"{FORMAT}=[a-z]+|{DOWNLOAD}|image_id=[0-9a-f]{{32}}|url=.+")
_NO_SPACE = "-"
"""Stands for images of several spaces, which only those may see together who may see all spaces."""


def check(settings: TransformSettings, viewer: Identity, query: str) -> Guard | None:
    """What the response requires, apart from its images. Raises Unauthorized or Forbidden if the viewer lacks it."""
    if settings.variants == "any" or (settings.variants == "listed" and _is_listed(settings, query)):
        return None
    if viewer.may(Scope.READ):
        return Guard(None)
    if viewer is not ANYBODY:
        raise Forbidden(f"the key lacks the scope `{Scope.READ}`; use one that has it")
    if settings.variants == "signed":
        raise Unauthorized("variants require a signed URL here, or a key with the scope `read`")
    widths = ", ".join(map(str, sorted(settings.widths))) or "none"
    presets = ", ".join(sorted(settings.presets)) or "none"
    raise Unauthorized(
        f"other variants than the listed ones require a signed URL, or a key with the scope `read`; use `preset`"
        f" ({presets}), or `thumb`, `w` or `width` ({widths})"
    )


def combined(guards: Sequence[Guard | None]) -> Guard | None:
    """What a response requires that shows several images."""
    pending = any(guard.pending for guard in guards if guard)
    spaces = {guard.space for guard in guards if guard and guard.space is not None}
    if spaces:
        return Guard(spaces.pop() if len(spaces) == 1 else _NO_SPACE, pending=pending)
    return Guard(None) if any(guards) else None


def _is_listed(settings: TransformSettings, query: str) -> bool:
    """Whether everybody may request it, in this spelling. Others would be as many objects in the cache as one likes."""
    names = "|".join(map(re.escape, settings.presets)) or "(?!)"
    widths = "|".join(map(str, settings.widths)) or "(?!)"
    size = re.compile(rf"preset=(?:{names})|(?:{'|'.join(WIDTH_PARAMETERS)})=(?:{widths})")
    given = [pair for pair in query.split("&") if not _IGNORED.fullmatch(pair)] if query else []
    others = [pair for pair in given if not size.fullmatch(pair)]
    return len(given) - len(others) <= 1 and all(_HARMLESS.fullmatch(pair) for pair in others)
