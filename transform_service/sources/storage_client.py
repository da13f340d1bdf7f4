"""Locates images, and recognises keys, by asking the storage service over HTTP."""

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from cachetools import TTLCache
from pydantic import ValidationError
from yarl import URL

from imaging.formats import FORMATS, SNIFF_BYTES, sniff
from imaging.levels import Level
from imaging.locator import Located, NewVariant, Variant
from imaging.looks import Look
from service_kit.access import Identity, identity_from
from service_kit.errors import (
    BadGateway,
    BadRequest,
    ContentLost,
    Forbidden,
    Gone,
    InsufficientStorage,
    NotFound,
    ServiceError,
    Unavailable,
    WrongCredential,
)
from service_kit.http import tracing
from service_kit.http.bounded import bounded
from service_kit.http.paths import (
    ACCESS,
    IDENTITY,
    LOCATION,
    VARIANTS_USED,
    level_path,
    look_path,
    named_path,
    stored_variant_path,
)
from service_kit.http.problems import REFUSED_HEADER
from service_kit.observing.logging import request_id
from service_kit.threads import in_thread
from transform_service.caching.places import BlobPlaces

logger = logging.getLogger(__name__)

_MOST = 32 * 1024
"""The longest answer about an image, in bytes, with the signed URLs of its levels, and its variants, in it."""
_LEVEL_SECONDS = 30.0
"""Time for storing a level, which nobody waits for."""
_OURS = "application/problem+json"
"""The type of the storage service's errors. Those of a proxy in front of it say nothing about the image."""
_REMEMBERED, _KNOWN_SECONDS = 10_000, 1.0
"""Identities that are remembered, and for how long. See storage_service/keyring.py."""
_OF_NAMES: dict[int, type[ServiceError]] = {400: BadRequest, 404: NotFound}
_KNOWN: dict[int, tuple[type[ServiceError], str]] = {
    404: (NotFound, "the image {} does not exist"),
    410: (Gone, "the image {} was deleted"),
    502: (ContentLost, "the bytes of image {} are damaged; upload the same file again to restore them"),
}


class StorageClient:
    """A Locator and an Authority that ask the storage service at `base_url`, for at most `seconds` each time.

    It accepts only answers that this version understands, about images at one of `places`.
    """

    def __init__(self, base_url: str, seconds: float, places: BlobPlaces) -> None:
        self._session = aiohttp.ClientSession(
            base_url,
            connector=bounded(aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())),
            timeout=aiohttp.ClientTimeout(total=seconds),
        )
        self._places = places
        self._identities: TTLCache[str, Identity | Forbidden] = TTLCache(_REMEMBERED, _KNOWN_SECONDS)
        """Identities, or why there is none, by digest of the key."""
        self._signed: TTLCache[str, Identity | Forbidden] = TTLCache(_REMEMBERED, _KNOWN_SECONDS)
        """The same by signed URL."""

    async def identify(self, key: str) -> Identity:
        """See Authority."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        answer = self._identities.get(digest)
        if answer is None:
            answer = self._identities[digest] = await self._identity(key)
        if isinstance(answer, Forbidden):
            raise type(answer)(answer.detail)
        return answer

    async def verify(self, target: str) -> Identity:
        """See Authority."""
        answer = self._signed.get(target)
        if answer is None:
            answer = self._signed[target] = _read(await self._ask(ACCESS + target, {}), identity_from)
        if isinstance(answer, Forbidden):
            raise type(answer)(answer.detail)
        return answer

    async def _identity(self, key: str) -> Identity | Forbidden:
        return _read(await self._ask(IDENTITY, {"Authorization": f"Bearer {key}"}), identity_from)

    async def _ask(self, path: str, headers: dict[str, str]) -> "_Answer":
        """The answer to a request. Raises Unavailable without one."""
        try:
            headers = tracing.inject({"X-Request-ID": request_id.get(), **headers})
            async with self._session.get(URL(path, encoded=True), headers=headers) as response:
                is_ours, is_wrong = response.content_type == _OURS, REFUSED_HEADER in response.headers
                return _Answer(response.status, is_ours, is_wrong, await _body(response))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("the storage service does not respond; retry later") from error

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        answer = await self._ask(LOCATION.format(image_id=image_id), {})
        if answer.status in _KNOWN and answer.is_ours:
            kind, text = _KNOWN[answer.status]
            raise kind(text.format(image_id))
        if answer.status != HTTPStatus.OK:
            raise _trouble(answer)
        try:
            located = Located.model_validate_json(answer.body)
        except ValidationError as error:
            raise Unavailable("the storage service sent an answer of another version; retry later") from error
        if located.image_id != image_id or located.header.format not in FORMATS:
            raise Unavailable("the storage service sent an answer of another version; retry later")
        if not self._places.has(located):
            logger.error(
                "storage keeps the image %s outside of BLOB_URL; set it to the same as there, or set BLOB_HOSTS",
                image_id,
            )
            raise Unavailable(
                "the services do not agree where images are; an operator has to set BLOB_URL or BLOB_HOSTS"
            )
        return located

    async def named(self, name: str) -> str:
        """See Locator."""
        answer = await self._ask(named_path(name), {})
        if answer.status in _OF_NAMES and answer.is_ours:
            raise _OF_NAMES[answer.status](str(json.loads(answer.body)["detail"]))
        if answer.status != HTTPStatus.OK:
            raise _trouble(answer)
        return answer.body.decode("ascii", "replace")

    async def confirm(self, image_id: str) -> str:
        """See Locator."""
        return (await self.locate(image_id)).actual_visibility

    async def keep_look(self, image_id: str, look: Look) -> None:
        """See Locator."""
        headers = {"Content-Type": "application/json"}
        await self._change(("PUT", look_path(image_id)), image_id, headers, look.model_dump_json().encode())

    async def keep_level(self, image_id: str, side: int, file: Path) -> None:
        """See Locator."""
        content = await in_thread(file.read_bytes)
        fmt = sniff(content[:SNIFF_BYTES])
        headers = {"Content-Type": fmt.media_type if fmt else "image/unknown"}
        await self._change(("PUT", level_path(image_id, side)), image_id, headers, content)

    async def drop_level(self, image_id: str, level: Level) -> None:
        """See Locator."""
        await self._change(("DELETE", level_path(image_id, level.side)), image_id, _if_match(level.sha256))

    async def variant_url(self, image_id: str, key: str) -> str:
        """See Locator."""
        answer = await self._ask(stored_variant_path(image_id, key), {})
        if answer.status in _KNOWN and answer.is_ours:
            kind, text = _KNOWN[answer.status]
            raise kind(text.format(image_id))
        url = answer.body.decode(errors="replace")
        if answer.status != HTTPStatus.OK or not self._places.has_url(url):
            raise Unavailable("the storage service does not say where a variant is; retry later")
        return url

    async def keep_variant(self, image_id: str, variant: NewVariant) -> None:
        """See Locator."""
        content = await in_thread(variant.file.read_bytes)
        query = f"chain={quote(variant.chain, safe='')}&hot={variant.hot:d}"
        path = f"{stored_variant_path(image_id, variant.key)}?{query}"
        await self._change(("PUT", path), image_id, {"Content-Type": "application/octet-stream"}, content)

    async def note_variants(self, keys: Sequence[str]) -> None:
        """See Locator."""
        headers = {"Content-Type": "application/json"}
        await self._change(("POST", VARIANTS_USED), "", headers, json.dumps({"keys": list(keys)}).encode())

    async def drop_variant(self, image_id: str, variant: Variant) -> None:
        """See Locator."""
        path = stored_variant_path(image_id, variant.key)
        await self._change(("DELETE", path), image_id, _if_match(variant.sha256))

    async def _change(
        self, method_and_path: tuple[str, str], image_id: str, headers: dict[str, str], body: bytes = b""
    ) -> None:
        method, path = method_and_path
        url, content = URL(path, encoded=True), io.BytesIO(body)
        headers = tracing.inject({"X-Request-ID": request_id.get(), **headers})
        timeout = aiohttp.ClientTimeout(total=_LEVEL_SECONDS)
        try:
            async with self._session.request(method, url, headers=headers, data=content, timeout=timeout) as response:
                if response.status == HTTPStatus.NO_CONTENT:
                    return
                answer = await _body(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("the storage service does not respond; retry later") from error
        if response.status in _KNOWN:
            known, text = _KNOWN[response.status]
            raise known(text.format(image_id))
        if response.status == HTTPStatus.INSUFFICIENT_STORAGE:
            raise InsufficientStorage("storage is full; nothing was stored")
        kind = Unavailable if response.status == HTTPStatus.SERVICE_UNAVAILABLE else BadGateway
        raise kind(
            f"the storage service did not accept what was made of an image: {response.status} {_printable(answer)}"
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


T = TypeVar("T")


def _if_match(digest: str) -> dict[str, str]:
    return {"If-Match": f'"{digest}"'}


def _printable(answer: bytes) -> str:
    """The start of an answer, for the log."""
    return repr(answer[:200].decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    is_ours: bool
    """Whether it is an error of the storage service itself."""
    is_wrong: bool
    """Whether it says that a credential was never right."""
    body: bytes


def _read(answer: _Answer, read: Callable[[bytes], T]) -> T | Forbidden:
    """What the storage service says about a key, or why it refuses it. Raises Unavailable if it says neither."""
    try:
        if answer.status == HTTPStatus.FORBIDDEN and answer.is_ours:
            kind = WrongCredential if answer.is_wrong else Forbidden
            return kind(str(json.loads(answer.body)["detail"]))
        if answer.status == HTTPStatus.OK:
            return read(answer.body)
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("the storage service sent an answer of another version; retry later") from error
    raise _trouble(answer)


def _trouble(answer: _Answer) -> Unavailable:
    """The error for clients when the storage service fails. It passes on the reason, if there is one."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and answer.is_ours:
            return Unavailable(str(json.loads(answer.body)["detail"]))
    return Unavailable("the storage service reported an error; retry later")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body; cut off, and so no valid answer, if it is longer than any answer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST:
            break
    return bytes(body[:_MOST])
