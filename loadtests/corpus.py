"""The images that visitors request: uploaded once, then remembered in a file."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import track

from loadtests.photos import Album, Photo
from loadtests.target import TargetDown
from measuring.client import REFUSALS, Answer, ask

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 4
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Entry(Photo):
    """An image of the target. In the file, `file` is a relative path."""

    image_id: str
    bytes: int
    """Length of the upload, which may be longer than the file."""


def load(path: Path) -> list[Entry]:
    """The remembered images; none without a file. Photos are found relative to this file, which may be a copy."""
    if not path.is_file():
        return []
    entries = TypeAdapter(list[Entry]).validate_json(path.read_bytes())
    return [replace(entry, file=(path.parent / entry.file).resolve()) for entry in entries]


def seed(url: str, album: Album, count: int, path: Path, *, anew: bool = False, behind: bytes = b"") -> list[Entry]:
    """Upload what the target does not have yet, and remember all images in the file at `path`.

    `anew`: upload every photo again, as a new image.
    `behind`: bytes after each picture's end, which decoders ignore. Caches of results use the hash of the file, so
    with new bytes no cache has any variant.
    """
    known = {} if anew else {entry.file: entry for entry in load(path)}

    def one(number: int) -> Entry:
        photo = album.photo(number)
        entry = known.get(photo.file)
        return entry if entry and _is_there(url, entry.image_id) else _uploaded(url, photo, behind)

    entries = at_once("seeding", one, range(count))
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.resolve()
    rows = [{**asdict(entry), "file": os.path.relpath(entry.file, folder)} for entry in entries]
    path.write_text(json.dumps(rows, indent=0))
    return entries


def _uploaded(url: str, photo: Photo, behind: bytes) -> Entry:
    body = photo.file.read_bytes() + behind
    image_id, width, height = _upload(url, body, f"image/{photo.format}")
    if (width, height) != (photo.width, photo.height):
        raise TargetDown(f"{url} says that {photo.file.name} is {width} x {height}")
    return Entry(**asdict(photo), image_id=image_id, bytes=len(body))


def _is_there(url: str, image_id: str) -> bool:
    return ask(f"{url}/v1/images/{image_id}/info").ok


def _upload(url: str, body: bytes, content_type: str) -> tuple[str, int, int]:
    """Upload a file, more slowly if the target asks for it; returns image ID, width and height."""
    for _ in range(_TRIES):
        answer = ask(f"{url}/v1/images", "POST", data=body, headers={"Content-Type": content_type})
        if answer.status in REFUSALS:
            time.sleep(_seconds(answer.headers.get("Retry-After")))
        elif answer.error:
            raise TargetDown(f"{url} did not accept an upload: {answer.error}")
        elif answer.status >= HTTPStatus.BAD_REQUEST:
            raise TargetDown(f"{url} refused an upload: {answer.status} {_detail(answer)}")
        else:
            return _facts(url, answer)
    raise TargetDown(f"{url} is too busy for uploads: it said so {_TRIES} times")


def _facts(url: str, answer: Answer) -> tuple[str, int, int]:
    try:
        facts = json.loads(answer.body)
        return str(facts["image_id"]), int(facts["width"]), int(facts["height"])
    except (ValueError, KeyError, TypeError) as error:
        raise TargetDown(f"{url} accepted an upload, but sent no facts; is it an image service?") from error


def _seconds(retry_after: str | None) -> float:
    """How long to wait: one second without a number."""
    return min(30.0, float(retry_after)) if retry_after and retry_after.isdecimal() else 1.0


def _detail(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["detail"]).splitlines()[0]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""


def at_once(title: str, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do some work for all items, a few at a time, with a progress bar."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(track(threads.map(work, items), title, len(items), console=Console(stderr=True)))
