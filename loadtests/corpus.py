"""The images that the visitors ask for: uploaded once, and known by a file from then on."""

import json
import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from time import sleep

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests.photos import Album, Photo
from loadtests.target import TargetDown

_AT_ONCE = 4
_SECONDS = 60
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of the target, and what its answers must show."""

    image_id: str
    file: str
    """What was uploaded, but for bytes behind it; in the file, relative to it."""
    format: str
    width: int
    height: int
    bytes: int
    """Of what was uploaded."""
    mean: tuple[float, float, float]
    square_mean: tuple[float, float, float]


def load(path: Path) -> list[Entry]:
    """What was written down; nothing where no file is. Photos are found from where that file is: it may be a copy."""
    if not path.is_file():
        return []
    return [
        Entry(
            **{
                **row,
                "file": str((path.parent / row["file"]).resolve()),
                "mean": tuple(row["mean"]),
                "square_mean": tuple(row["square_mean"]),
            }
        )
        for row in json.loads(path.read_text())
    ]


def seed(url: str, album: Album, count: int, path: Path, *, anew: bool = False, behind: bytes = b"") -> list[Entry]:
    """Upload what the target does not have yet, and write down all of it at `path`.

    `anew`: upload every photo once more, as an image of its own.
    `behind`: bytes behind each picture's end, where no decoder looks. Caches of results go by the file's hash: with
    others than before, no cache has any variant of it.
    """
    known = {} if anew else {entry.file: entry for entry in load(path)}
    entries: list[Entry] = []

    def one(number: int) -> Entry:
        photo = album.photo(number)
        return _one(url, photo, known.get(str(photo.path.resolve())), behind)

    with progress() as shown, ThreadPoolExecutor(_AT_ONCE) as threads:
        task = shown.add_task("seeding", total=count)
        for entry in threads.map(one, range(count)):
            entries.append(entry)
            shown.advance(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.resolve()
    rows = [{**asdict(entry), "file": os.path.relpath(entry.file, folder)} for entry in entries]
    path.write_text(json.dumps(rows, indent=0))
    return entries


def progress() -> Progress:
    """A bar with what is done of how much, and the time that the rest takes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _one(url: str, photo: Photo, known: Entry | None, behind: bytes) -> Entry:
    if known and _is_there(url, known.image_id):
        return known
    body = photo.path.read_bytes() + behind
    image_id, width, height = _upload(url, body, f"image/{photo.format}")
    if (width, height) != (photo.width, photo.height):
        raise TargetDown(f"{url} says that {photo.path.name} is {width} x {height}")
    size = (photo.width, photo.height)
    return Entry(image_id, str(photo.path.resolve()), photo.format, *size, len(body), photo.mean, photo.square_mean)


def _is_there(url: str, image_id: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/images/{image_id}/info", timeout=_SECONDS) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, HTTPException):
        return False


def _upload(url: str, body: bytes, content_type: str) -> tuple[str, int, int]:
    """Upload a file, slower where the target says that it is too fast; its id, width and height."""
    request = urllib.request.Request(f"{url}/v1/images", data=body, headers={"Content-Type": content_type})
    for _ in range(_TRIES):
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return _facts(url, answer.read())
        except urllib.error.HTTPError as error:
            if error.code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
                raise TargetDown(f"{url} refused an upload: {error.code} {_detail(error)}") from error
            sleep(_seconds(error.headers.get("Retry-After")))
        except (OSError, HTTPException) as error:
            raise TargetDown(f"{url} took no upload: {getattr(error, 'reason', None) or error!r}") from error
    raise TargetDown(f"{url} has no room for uploads: {_TRIES} times it said to come later")


def _facts(url: str, body: bytes) -> tuple[str, int, int]:
    try:
        facts = json.loads(body)
        return str(facts["image_id"]), int(facts["width"]), int(facts["height"])
    except (ValueError, KeyError, TypeError) as error:
        raise TargetDown(f"{url} took an upload, but told no facts of an image: is it an image service?") from error


def _seconds(retry_after: str | None) -> float:
    """To wait; one, where none are told, or a date is."""
    return min(30.0, float(retry_after)) if retry_after and retry_after.isdecimal() else 1.0


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"]).splitlines()[0]
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        return ""
