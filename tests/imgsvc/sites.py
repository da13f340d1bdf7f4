"""Running services with access control, and what tests do with them."""

import itertools
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from yarl import URL

from tests import pictures, servers

PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())
JPEG = {"Content-Type": "image/jpeg"}
KEY = re.compile("ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


_ADDRESSES = itertools.count()


@dataclass
class Site:
    """A running service, its folder, and its first key, if it has one."""

    url: str
    folder: Path
    log: Path
    http: aiohttp.ClientSession
    key: str = ""

    async def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, str]:
        """Status and text of the response."""
        async with self.http.request(
            method, URL(f"{self.url}{path}", encoded=True), headers=headers, data=body
        ) as response:
            return response.status, (await response.read()).decode(errors="replace")

    async def request_bytes(self, path: str) -> tuple[int, bytes]:
        """Status and body of the response to a GET."""
        async with self.http.get(f"{self.url}{path}") as response:
            return response.status, await response.read()

    async def json(self, method: str, path: str, key: str = "", body: object = None) -> tuple[int, dict[str, object]]:
        """Status and JSON of the response to a request with a key and a JSON body."""
        headers = {**(bearer(key) if key else {}), "Content-Type": "application/json"}
        status, text = await self.request(method, path, headers, None if body is None else json.dumps(body).encode())
        return status, json.loads(text) if text else {}

    async def upload(self, headers: dict[str, str] | None = None, query: str = "") -> str:
        """Upload an image, and return its ID."""
        status, text = await self.request("POST", f"/v1/images{query}", {**JPEG, **(headers or {})}, PHOTO)
        assert status == 201, text
        return str(json.loads(text)["image_id"])

    @asynccontextmanager
    async def from_elsewhere(self) -> AsyncIterator["Site"]:
        """The same service for a client at another address, since one that sends wrong keys is throttled."""
        address = f"127.{next(_ADDRESSES) // 250 + 1}.0.{next(_ADDRESSES) % 250 + 2}"
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        async with aiohttp.ClientSession(connector=connector) as http:
            yield replace(self, http=http)

    def command(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run `imgsvc`, and return what it prints."""
        variables = {**os.environ, "DATA_DIR": str(self.folder), **environment}
        command = [sys.executable, "-m", "imgsvc", *arguments]
        done = subprocess.run(command, cwd=servers.ROOT, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def keys(self, *arguments: str, code: int = 0) -> str:
        """Run `imgsvc keys`, and return what it prints."""
        return self.command("keys", *arguments, code=code)

    def new_key(self, *scopes: str, space: str | None = None) -> str:
        """A new key."""
        return self._new_key(scopes, space)[0]

    def new_signer(self, *, space: str | None = None) -> tuple[str, str]:
        """A new key that may sign, and its signing secret."""
        key, secret = self._new_key(["sign"], space)
        return key, secret

    def _new_key(self, scopes: Sequence[str], space: str | None) -> list[str]:
        """Over HTTP if possible, since a command takes a second."""
        if not self.key:
            options = [f"--scope={scope}" for scope in scopes] + ([f"--space={space}"] if space else [])
            return self.keys("create", "test", *options).splitlines()[:2]
        wanted = json.dumps({"name": "test", "scopes": scopes, "space": space}).encode()
        headers = {**bearer(self.key), "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/v1/keys", wanted, headers)) as response:
            made = json.load(response)
        return [made["key"], made.get("signing_secret", "")]


def bearer(key: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def local_site(folder: Path, http: aiohttp.ClientSession, **environment: str) -> Iterator[Site]:
    """A service that only this machine reaches."""
    with servers.serve(folder, **{"AUTH": "auto", **environment}) as served:
        yield Site(served.url, folder / "data", served.log, http)


@contextmanager
def closed_site(folder: Path, http: aiohttp.ClientSession, **environment: str) -> Iterator[Site]:
    """A service that others can reach, so that it requires keys."""
    with servers.serve(folder, **{"HOST": "0.0.0.0", "AUTH": "auto", **environment}) as served:
        url = served.url.replace("0.0.0.0", "127.0.0.1")
        first = set(KEY.findall(served.log.read_text()))
        assert len(first) == 1
        yield Site(url, folder / "data", served.log, http, first.pop())
