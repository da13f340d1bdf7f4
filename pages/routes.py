"""Serves the files in static/, each at its path."""

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web

from service_kit.errors import Hidden
from service_kit.http.delivery import is_unchanged, not_modified
from service_kit.http.middlewares import Handler
from service_kit.http.problems import no_such_path
from service_kit.threads import in_thread

FOLDER = Path(__file__).with_name("static")
HOME = "/console/"
"""Where browsers are sent that ask for `/`."""
_INDEX = "index.html"
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    # All files of a page have to be of one version.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
}
_GZIP = re.compile(r"(?:^|[,\s])gzip\s*(?:,|$|;(?!\s*q\s*=\s*0(?:\.0*)?\s*(?:,|$)))")
_BROWSERS = re.compile(r"text/html|\*/\*")
_COMPRESSED = {".css", ".html", ".js", ".json", ".svg"}


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    etag: str
    body: bytes
    compressed: bytes | None
    """With gzip; None if that does not pay."""


def routes(prefix: str) -> list[web.RouteDef]:
    """The routes: of files, of folders with an index, and of `/`. Clients see them below the path `prefix`."""
    found = [web.get("/", _home(prefix + HOME))]
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        name = path.relative_to(FOLDER).as_posix()
        found.append(web.get(f"/{name.removesuffix(_INDEX)}", _sends(path)))
        if path.name == _INDEX:
            folder = f"/{path.parent.relative_to(FOLDER).as_posix()}"
            found.append(web.get(folder, _redirects(f"{prefix}{folder}/")))
    return found


def _home(location: str) -> Handler:
    async def home(request: web.Request) -> web.Response:
        if not _BROWSERS.search(request.headers.get("Accept", "*/*")):  # who wants JSON is wrong here
            raise Hidden(no_such_path(request).detail)
        return web.Response(status=302, headers={"Location": location, "Vary": "Accept"})

    return home


def _redirects(location: str) -> Handler:
    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": location})

    return redirect


def _sends(path: Path) -> Handler:
    async def send(request: web.Request) -> web.Response:
        file = await in_thread(_read, path)
        is_gzip = file.compressed is not None and _GZIP.search(request.headers.get("Accept-Encoding", ""))
        etag = f"{file.etag}-gzip" if is_gzip else file.etag
        headers = {**_HEADERS, "ETag": f'"{etag}"', "Content-Type": file.content_type}
        if file.compressed is not None:
            headers["Vary"] = "Accept-Encoding"
        if is_unchanged(request, etag):
            return not_modified(headers)
        if is_gzip:
            return web.Response(body=file.compressed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=file.body, headers=headers)

    return send


@cache
def _read(path: Path) -> _File:
    body = path.read_bytes()
    content_type = mimetypes.guess_type(path.name)[0] or "text/plain"
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    compressed = gzip.compress(body, mtime=0) if path.suffix in _COMPRESSED else None
    return _File(content_type, hashlib.sha256(body).hexdigest(), body, compressed)
