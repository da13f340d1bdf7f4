"""`Content-Disposition` for images that a browser has to save (RFC 6266)."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from urllib.parse import quote

from service_kit.errors import BadRequest

_FLAGS = {"", "1", "true"}
"""Values that ask for a download without naming the file."""
_NO_FLAGS = {"0", "false"}
_MAX_BYTES = 200
"""Of a file name in UTF-8. File systems allow 255; browsers add a number, or an extension while they write."""
_RESERVED = re.compile(r'[/\\:*?"<>|]')
"""What separates the parts of a path, and what Windows does not allow in a name."""
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control characters, line separators, and characters that turn the direction of a text, so that `gpj.exe` looks like
`exe.jpg`."""
_JOINERS = "\u200c\u200d"
"""They belong to Cf, and to the spelling of some languages and emoji."""
_ATTR_CHARS = "!#$&+-.^_`|~"
"""What RFC 8187 (section 3.2.1) allows unescaped, besides letters and digits."""
_NOT_PLAIN = re.compile(r'[^ -~]|["\\%]')
"""What clients read differently in a quoted `filename` (RFC 6266, appendix D)."""


def attachment(requested: str, stem: str, extensions: Sequence[str], known: Collection[str]) -> str:
    """The value of `Content-Disposition`, for the value of `download=`.

    Without a name, the file is called `stem`. The name gets the first of `extensions`, those of the format, unless it
    ends with one of them already. That replaces one of the `known` extensions of other formats, and follows everything
    else: otherwise anybody could make a link to this host that saves `setup.exe` ("reflected file download").
    Raises BadRequest for a value that says no.
    """
    if requested.lower() in _NO_FLAGS:
        raise BadRequest(f"download={requested} is not the name of a file; remove `download` to show the image")
    name = "" if requested.lower() in _FLAGS else safe_name(requested)
    return _header(_with_extension(name or safe_name(stem) or "image", extensions, known))


def safe_name(name: str) -> str:
    """The name without what a file system or a reader could misunderstand; empty if nothing is left."""
    visible = "".join(char for char in name if char in _JOINERS or unicodedata.category(char) not in _INVISIBLE)
    return _RESERVED.sub("_", visible).strip(" .").strip(_JOINERS)


def _with_extension(name: str, extensions: Sequence[str], known: Collection[str]) -> str:
    stem, dot, extension = name.rpartition(".")
    if not (dot and extension.lower() in extensions):
        stem, extension = (stem if dot and extension.lower() in known else name), extensions[0]
    short = stem.encode()[: _MAX_BYTES - len(extension) - 1].decode(errors="ignore")
    return f"{short.rstrip(' .')}.{extension}"


def _header(name: str) -> str:
    letters = (char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    plain = _NOT_PLAIN.sub("_", _RESERVED.sub("_", "".join(letters)))
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
