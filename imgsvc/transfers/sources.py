"""Where images come from: files, folders, patterns, URLs and stdin."""

import contextlib
import functools
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import urllib3

from imgsvc.terminal.failures import USAGE, Failure, complain, reason

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".gif", ".tif", ".tiff"})
"""Of files in folders that are taken for images."""
_SCHEME = re.compile("[a-z][a-z0-9+.-]*://")
_CHUNK = 256 * 1024
_SECONDS = 60.0
_LARGEST = 1 << 30
"""Bytes of a download. The service accepts less, and a server may send without an end."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that may be an image."""

    name: str
    """What only it has: an absolute path, or a URL."""
    filename: str
    open: Callable[[], AbstractContextManager[Path]]
    """A file with its bytes, for as long as the context lasts."""
    size: int | None = None
    """Bytes; None: unknown."""
    modified: int | None = None
    """When its file changed, in nanoseconds."""
    about: Mapping[str, str] = field(default_factory=dict)
    """More for the manifest."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What an upload says about it, as the client takes it."""


@dataclass(slots=True)
class Found:
    """What a look into folders has found."""

    files: int = 0
    bytes: int = 0
    others: int = 0
    """Files that are no images, by their names."""


def of_arguments(arguments: tuple[str, ...], found: Found | None = None) -> Iterator[Source]:
    """The sources that arguments name. Files are listed as they are needed; `found` counts them."""
    found = found or Found()
    for argument in arguments:
        for source in _of_argument(argument, found):
            found.files += 1
            found.bytes += source.size or 0
            yield source


def of_file(
    path: Path,
    name: str | None = None,
    about: Mapping[str, str] | None = None,
    labels: Mapping[str, Any] | None = None,
) -> Source:
    """A file. If it is gone since it was listed, only opening it fails."""
    size = modified = None
    with contextlib.suppress(OSError):
        status = path.stat()
        size, modified = status.st_size, status.st_mtime_ns
    absolute = name or printable(str(path.absolute()))
    return Source(absolute, printable(path.name), lambda: nullcontext(path), size, modified, about or {}, labels or {})


def printable(name: str) -> str:
    r"""The name of a file that is no UTF-8, with its other bytes written as in `\xff`."""
    return os.fsencode(name).decode(errors="backslashreplace")


def of_url(url: str) -> Source:
    """A file on the web."""
    return Source(url, unquote(Path(urlsplit(url).path).name) or "image", lambda: _downloaded(url))


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files below a folder, in no order, without hidden ones. A folder below it that is unreadable is left out.

    What may be a file, such as a link in a circle, is listed: opening it says what is wrong.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                try:
                    yield from walk(Path(entry.path))
                except OSError as error:
                    _left_out(printable(entry.path), str(error.strerror))
            elif _may_be_a_file(entry):
                yield entry


def _may_be_a_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return True


@functools.cache
def _left_out(path: str, why: str) -> None:
    """Say so, once: folders are listed twice, first to count."""
    complain(f"{path} is left out: {why}")


def _of_argument(argument: str, found: Found) -> Iterator[Source]:
    if argument == "-":
        yield Source("-", "image", lambda: nullcontext(Path(_stdin().name)))
    elif argument.startswith(("http://", "https://")):
        yield of_url(argument)
    elif _SCHEME.match(argument):
        raise Failure(f"{argument} is not a URL of http or https; `imgsvc import` takes s3://", USAGE)
    elif Path(argument).is_dir():
        yield from _of_folder(Path(argument), found)
    elif not Path(argument).exists() and glob.has_magic(argument):
        paths = [Path(path) for path in sorted(glob.glob(argument, recursive=True)) if Path(path).is_file()]  # noqa: PTH207
        if not paths:
            raise Failure(f"no file fits {argument}; write a pattern such as 'photos/**/*.jpg'", USAGE)
        yield from map(of_file, paths)
    else:
        Path(argument).stat()  # what somebody has named should be there
        yield of_file(Path(argument))


def _of_folder(folder: Path, found: Found) -> Iterator[Source]:
    for entry in walk(folder):
        if Path(entry.name).suffix.lower() in EXTENSIONS:
            yield of_file(Path(entry.path))
        else:
            found.others += 1


@functools.cache
def _stdin() -> IO[bytes]:
    """A file with all of stdin, which can be read once only, for as long as the program runs."""
    file = tempfile.NamedTemporaryFile(prefix="imgsvc-")  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, file, _CHUNK)
    file.flush()
    return file


@contextmanager
def _downloaded(url: str) -> Iterator[Path]:
    with temporary() as (path, file):
        try:
            with urllib3.request("GET", url, preload_content=False, timeout=_SECONDS, retries=3) as response:
                if response.status >= 400:  # noqa: PLR2004
                    raise Failure(f"the server answers {response.status}")
                for chunk in response.stream(_CHUNK):
                    if file.tell() > _LARGEST:
                        raise Failure(f"the server sends more than {_LARGEST >> 30} GiB, which is no image")
                    file.write(chunk)
        except urllib3.exceptions.HTTPError as error:
            raise Failure(f"the server does not respond ({reason(error)})") from error
        file.flush()
        yield path


@contextmanager
def temporary() -> Iterator[tuple[Path, IO[bytes]]]:
    """A file that disappears."""
    with tempfile.NamedTemporaryFile(prefix="imgsvc-") as file:
        yield Path(file.name), file


def of_nothing(name: str, size: int) -> Source:
    """Something that only has a name and a size, for bars."""
    return Source(name, name, lambda: nullcontext(Path(os.devnull)), size)
