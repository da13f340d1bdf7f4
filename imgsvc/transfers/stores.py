"""Images from other places: folders, lists of URLs, object stores, and the file stores of Imbo and thumbor."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from imgsvc.terminal.failures import NO_ANSWER, USAGE, Failure
from imgsvc.transfers.sources import EXTENSIONS, Found, Source, of_file, of_url, temporary, walk

_SHA1 = re.compile("[0-9a-f]{2}/[0-9a-f]{38}")
_S3_PAGE = 500
EXPORTED = "manifest.jsonl"
"""The file of an export with all labels."""
_LABELS = ("title", "alt", "tags", "metadata", "focus", "visibility")


def images_in(where: str, kind: str | None, found: Found | None = None) -> Iterator[Source]:
    """All images in a place. `kind` is one of KINDS; None: see `kind_of`. `found` counts files that are left out."""
    return KINDS[kind or kind_of(where)](where, found or Found())


def kind_of(where: str) -> str:
    """What a place is, by its looks. Raises Failure if it is nothing."""
    if urlsplit(where).scheme in {"s3", "gs", "az"}:
        return "s3"
    path = Path(where)
    if path.is_dir():
        return "export" if (path / EXPORTED).is_file() else "folder"
    if path.is_file():
        return "urls"
    raise Failure(f"{where} does not exist; name a folder, a file with URLs, or s3://BUCKET/PREFIX", USAGE)


def _folder(where: str, found: Found) -> Iterator[Source]:
    for entry in walk(Path(where)):
        if Path(entry.name).suffix.lower() in EXTENSIONS:
            yield of_file(Path(entry.path))
        else:
            found.others += 1


def _export(where: str, _: Found) -> Iterator[Source]:
    """What `imgsvc export` has written: files, and a manifest with their labels."""
    with (Path(where) / EXPORTED).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                said = json.loads(line)
                file, labels = Path(where) / said["file"], {name: said[name] for name in _LABELS if said.get(name)}
                about = {"exported_id": said["image_id"]}
                file.resolve().relative_to(Path(where).resolve())  # a manifest from elsewhere may name any file
            except (ValueError, KeyError, TypeError):
                raise Failure(f"{where}/{EXPORTED}, line {number} is not from `imgsvc export`", USAGE) from None
            labels["name"] = said.get("original_filename") or file.name
            yield of_file(file, f"export:{said['image_id']}", about, labels)


def _urls(where: str, _: Found) -> Iterator[Source]:
    with Path(where).open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            url = line.strip()
            if not url or url.startswith("#"):
                continue
            if not url.startswith(("http://", "https://")):
                raise Failure(f"{where}, line {number}: {url[:100]!r} is not a URL; write one per line", USAGE)
            yield of_url(url)


def _imbo(where: str, _: Found) -> Iterator[Source]:
    """Imbo's Filesystem adapter: u/s/e/user/i/d/e/identifier, with short names filled up with zeros."""
    for entry in walk(Path(where)):
        parts = Path(entry.path).relative_to(where).parts
        if len(parts) == 8 and [*parts[4:7]] == [*parts[7][:3]]:  # noqa: PLR2004
            user, identifier = parts[3], parts[7]
            yield of_file(
                Path(entry.path), f"imbo:{user}/{identifier}", {"imbo_user": user, "imbo_identifier": identifier}
            )


def _thumbor(where: str, _: Found) -> Iterator[Source]:
    """Thumbor's file storage: the SHA-1 of what it was asked for. Other files there have extensions."""
    for entry in walk(Path(where)):
        name = Path(entry.path).relative_to(where).as_posix()
        if _SHA1.fullmatch(name):
            digest = name.replace("/", "")
            yield of_file(Path(entry.path), f"thumbor:{digest}", {"thumbor_sha1": digest})


def _object_store(where: str, found: Found) -> Iterator[Source]:
    from obstore.exceptions import BaseError  # noqa: PLC0415  # only this needs it
    from obstore.store import from_url  # noqa: PLC0415

    try:
        store = from_url(where, client_options={"allow_http": True})
        for page in store.list(chunk_size=_S3_PAGE):
            for each in page:
                if Path(each["path"]).suffix.lower() in EXTENSIONS:
                    yield _object(store, where, each["path"], each["size"])
                else:
                    found.others += 1
    except BaseError as error:
        reason = str(error).splitlines()[0]
        raise Failure(
            f"cannot list {where}: {reason}; check AWS_REGION, AWS_ENDPOINT and the keys", NO_ANSWER
        ) from error


def _object(store: object, where: str, path: str, size: int) -> Source:
    @contextmanager
    def opened() -> Iterator[Path]:
        with temporary() as (local, file):
            for chunk in store.get(path).stream():  # type: ignore[attr-defined]
                file.write(chunk)
            file.flush()
            yield local

    return Source(f"{where.rstrip('/')}/{path}", Path(path).name, opened, size)


KINDS: dict[str, Callable[[str, Found], Iterator[Source]]] = {
    "folder": _folder,
    "export": _export,
    "urls": _urls,
    "s3": _object_store,
    "imbo": _imbo,
    "thumbor": _thumbor,
}

__all__ = ["KINDS", "images_in", "kind_of"]
