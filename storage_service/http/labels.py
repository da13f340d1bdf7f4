"""What clients say about images: in JSON, in forms and in queries."""

import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from service_kit.access import Visibility
from service_kit.errors import BadRequest
from service_kit.http.attachments import safe_name
from service_kit.http.endpoints import Parameter
from service_kit.http.json_bodies import JsonRequest, Whole, explained
from storage_service.changes import Change
from storage_service.metadata.base import Labels

_LONGEST_LINE, _LONGEST_TEXT, _LONGEST_TAG, _MOST_TAGS, _LARGEST_METADATA = 255, 2000, 64, 50, 8192
_DEEPEST = 32
_LONGEST_TTL = 10 * 366 * 86_400
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""What browsers escape in the name of a file (WHATWG's HTML, multipart/form-data)."""
_CONTROL = {"Cc", "Cs"}
_NO_CONTROL = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def _plain(text: str) -> str:
    if any(unicodedata.category(char) in _CONTROL for char in text):
        raise ValueError("has control characters; leave them out")
    return text


def _tag(text: str) -> str:
    if not (tag := text.strip()) or "," in tag:
        raise ValueError(f"{text[:64]!r} is not a tag; use 1 to {_LONGEST_TAG} characters without commas")
    return tag


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if _depth(metadata) > _DEEPEST:
        raise ValueError(f"has more than {_DEEPEST} levels of lists and objects; use fewer")
    try:
        size = len(_compact(metadata).encode())
    except ValueError as error:
        raise ValueError("has a number that JSON does not have, such as NaN") from error
    if size > _LARGEST_METADATA:
        raise ValueError(f"has {size} bytes as JSON; use at most {_LARGEST_METADATA}")
    return metadata


def _depth(value: Any) -> int:
    """Levels of lists and objects, counted without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def _compact(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _partial(schema: dict[str, Any]) -> None:
    """What is left out stays as it is, and something has to change."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["minProperties"] = 1
    schema["examples"] = [{"title": "Sunset in Nice", "tags": ["sea", "france"], "focus": {"x": 0.3, "y": 0.6}}]


def _future(moment: datetime | None) -> datetime | None:
    if moment and moment <= datetime.now(UTC):
        raise ValueError(f"{moment.isoformat()} has passed; choose a time in the future, or delete the image")
    try:
        return moment.astimezone(UTC) if moment else None
    except OverflowError as error:
        raise ValueError(f"{moment} is not in a year up to 9999") from error


_Text = Annotated[str, AfterValidator(_plain), Field(json_schema_extra={"pattern": _NO_CONTROL})]
_Tag = Annotated[
    str,
    Field(max_length=_LONGEST_TAG, json_schema_extra={"pattern": r"^[^,]*[^,\s][^,]*$"}),
    AfterValidator(_plain),
    AfterValidator(_tag),
]
_Share = Annotated[float, Field(ge=0, le=1)]


class Focus(JsonRequest):
    """Where the subject of a picture is, in shares of its upright width and height: 0, 0 is the top left corner."""

    x: _Share
    y: _Share


def _point(value: Any) -> Any:
    """`0.3,0.6` as well, which forms and queries have."""
    if not isinstance(value, str):
        return value
    try:
        x, y = (float(part) for part in value.split(","))
    except ValueError as error:
        raise ValueError(f"{value[:64]!r} is not a point; write it as 0.3,0.6") from error
    return {"x": x, "y": y}


class ImageLabels(JsonRequest):
    """What people say about an image."""

    model_config = ConfigDict(json_schema_extra=_partial)

    original_filename: _Text = Field("", max_length=_LONGEST_LINE)
    """The name of the file that was uploaded."""
    title: _Text = Field("", max_length=_LONGEST_LINE)
    alt: _Text = Field("", max_length=_LONGEST_TEXT)
    """What the picture shows, for those who do not see it."""
    tags: list[_Tag] = Field([], max_length=_MOST_TAGS)
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = Field({})
    """Anything else, up to 8 kB of JSON."""
    focus: Annotated[Focus | None, BeforeValidator(_point)] = None
    """Where the subject is; null: unknown."""
    expires_at: Annotated[AwareDatetime | None, AfterValidator(_future)] = None
    """When the image is deleted; null: never."""

    def labels(self) -> Labels:
        """The columns of what was given."""
        given = self.model_fields_set
        values: dict[str, Any] = {name: getattr(self, name) for name in given & {"title", "alt", "expires_at"}}
        if "original_filename" in given:
            values["original_filename"] = _file_name(self.original_filename)
        if "tags" in given:
            values["tags"] = json.dumps(list(dict.fromkeys(self.tags)), ensure_ascii=False)
        if "metadata" in given:
            values["metadata"] = _compact(self.metadata)
        if "focus" in given:
            values["focus_x"], values["focus_y"] = (self.focus.x, self.focus.y) if self.focus else (None, None)
        return Labels(**values)


class ImageChange(ImageLabels):
    """What can be changed of an image. What is left out stays as it is."""

    visibility: Visibility = Visibility.PUBLIC

    def change(self) -> Change:
        """The change. Raises BadRequest if there is none."""
        if not self.model_fields_set:
            raise BadRequest(f"the body changes nothing; use {', '.join(type(self).model_fields)}")
        return Change(self.labels(), self.visibility if "visibility" in self.model_fields_set else None)


LABEL_TEXTS = {
    "title": "A title.",
    "alt": "What the picture shows, for those who do not see it.",
    "tags": "Tags, separated by commas.",
    "metadata": "A JSON object of up to 8 kB.",
    "focus": "Where the subject is, such as `0.5,0.3`: shares of the upright width and height.",
    "ttl": "Seconds after which the image is deleted.",
}
"""What a form or a query may say about an image that is uploaded."""
LABEL_PARAMETERS = (
    *(Parameter(name, text) for name, text in LABEL_TEXTS.items() if name != "ttl"),
    Parameter("ttl", LABEL_TEXTS["ttl"], Annotated[int, Field(ge=1, le=_LONGEST_TTL)]),
    Parameter("original_filename", "The name of the file. A form says it anyway."),
)


class _Ttl(JsonRequest):
    ttl: Annotated[Whole, Field(ge=1, le=_LONGEST_TTL)]


def labels_in(texts: Mapping[str, str], filename: str) -> Labels:
    """The labels in a form or a query, whose file has a name. Raises BadRequest, which names the field."""
    texts = {name: text for name, text in texts.items() if text}  # a form sends all of its fields
    names = ("title", "alt", "original_filename", "focus")
    given: dict[str, Any] = {name: texts[name] for name in names if name in texts}
    given.setdefault("original_filename", _file_name(filename))
    if "tags" in texts:
        given["tags"] = [tag for tag in texts["tags"].split(",") if tag.strip()]
    if texts.get("focus", "").lstrip().startswith("{"):
        given["focus"] = _parsed(texts, "focus", 'a point such as 0.3,0.6 or {"x": 0.3, "y": 0.6}')
    if "metadata" in texts:
        given["metadata"] = _parsed(texts, "metadata", 'a JSON object such as {"photographer": "Ada"}')
    try:
        if "ttl" in texts:
            seconds = _Ttl(ttl=_parsed(texts, "ttl", "a whole number of seconds such as 3600")).ttl
            given["expires_at"] = datetime.now(UTC) + timedelta(seconds=seconds)
        return ImageLabels(**given).labels()
    except ValidationError as error:
        raise BadRequest(explained(error, ImageLabels)) from None


def _parsed(texts: Mapping[str, str], name: str, what: str) -> Any:
    try:
        return from_json(texts[name])
    except ValueError:
        raise BadRequest(f"{name}={texts[name][:64]!r} is not {what}") from None


def _file_name(name: str) -> str:
    """A file name without its folders, as some browsers send them, and without what no file system allows."""
    for escape, char in _ESCAPES.items():
        name = name.replace(escape, char)
    return safe_name(name.replace("\\", "/").rpartition("/")[2])[:_LONGEST_LINE]
