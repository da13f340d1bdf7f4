"""The client for programs with asyncio."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from imgsvc_client import _forms as forms
from imgsvc_client import _requests as requests
from imgsvc_client._async_transport import AsyncTransport
from imgsvc_client.chains import Chain, Variant
from imgsvc_client.errors import ApiError
from imgsvc_client.models import Context, Focus, Image, ImageDetails, UploadToken, base_of


class AsyncClient:
    """A service at `url`, such as `https://images.example.com`. Tasks may share it.

    `key` is needed where the service requires keys, and `signing_secret` for signed URLs. A request that fails because
    of the connection, or because the service is busy, is sent again up to `retries` times, also an upload: it is one
    image however often it arrives.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        signing_secret: str | None = None,
        retries: int = 4,
        timeout: float = 60.0,
    ) -> None:
        self._context = Context(base_of(url), signing_secret)
        self._transport = AsyncTransport(self._context.base, key, retries, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def upload(
        self,
        file: forms.File,
        *,
        name: str | None = None,
        title: str | None = None,
        alt: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        focus: Focus | Mapping[str, float] | Sequence[float] | None = None,
        ttl: int | None = None,
        space: str | None = None,
        visibility: str | None = None,
        progress: forms.Progress | None = None,
        repeat: str | None = None,
    ) -> Image:
        """Store an image: a path, its bytes, or an open file. `name` is its file name, unless that is in the path.

        Uploads of the same file with the same `repeat` (any text) are one image, for a day.
        """
        texts = requests.labels(title=title, alt=alt, tags=tags, metadata=metadata, focus=focus, ttl=ttl)
        request = requests.upload(file, name, texts, space=space, visibility=visibility, repeat=repeat)
        return Image.read(json.loads(await self._transport.send(request, progress)), self._context)

    def image(self, image_id: str) -> Variant:
        """A stored image by its ID, for URLs. Sends nothing."""
        return Variant(f"{self._context.base}/images/{requests.image_id(image_id)}", secret=self._context.secret)

    async def info(self, image: Image | str) -> ImageDetails:
        """All that is known about an image, or that with an ID."""
        answer = await self._transport.send(requests.Request("GET", f"/images/{requests.image_id(image)}/info"))
        return ImageDetails.read(json.loads(answer), self._context)

    async def check(self, scope: str | None = None) -> None:
        """Raise ConnectionFailed or ApiError unless the service responds, and the key works and has this scope."""
        json.loads(await self._transport.send(requests.Request("GET", "/images/healthcheck")))
        try:
            answer = await self._transport.send(requests.Request("GET", "/me"))
        except ApiError as error:
            if error.status in requests.ABSENT:  # an older service
                return
            raise
        requests.check_scope(json.loads(answer), scope)

    async def exists(self, image: Image | str) -> bool:
        """Whether there is an image, which was not deleted. Raises ApiError if the key does not work."""
        try:
            await self._transport.send(requests.Request("HEAD", f"/images/{requests.image_id(image)}"))
        except ApiError as error:
            if error.status in requests.REFUSED_VIEWS:
                await self._transport.send(requests.Request("GET", "/me"))  # the key may be what is refused
                return True
            if error.status in requests.ABSENT:
                return False
            raise
        return True

    async def images(
        self,
        q: str | None = None,
        *,
        tags: Sequence[str] | None = None,
        format: str | None = None,  # noqa: A002
        visibility: str | None = None,
        colour: str | None = None,
        min_width: int | None = None,
        max_width: int | None = None,
        min_height: int | None = None,
        max_height: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        space: str | None = None,
        page: int = 100,
    ) -> AsyncIterator[Image]:
        """All images that fit, newest first. Requests them in pages, as you read on."""
        filters = {
            "q": q,
            "tags": tags,
            "format": format,
            "visibility": visibility,
            "colour": colour,
            "min_width": min_width,
            "max_width": max_width,
            "min_height": min_height,
            "max_height": max_height,
            "created_after": created_after,
            "created_before": created_before,
            "space": space,
        }
        cursor = None
        while True:
            answer = json.loads(await self._transport.send(requests.listed(page, cursor, filters)))
            for each in answer["images"]:
                yield Image.read(each, self._context)
            if (cursor := answer["cursor"]) is None:
                return

    async def similar(self, image: Image | str, limit: int = 20) -> list[tuple[Image, int]]:
        """Images that look the same, most similar first, and in how many of 64 bits their perceptual hashes differ."""
        path = f"/images/{requests.image_id(image)}/similar?limit={limit}"
        answer = json.loads(await self._transport.send(requests.Request("GET", path)))
        return [(Image.read(each["image"], self._context), each["distance"]) for each in answer["images"]]

    def named(self, name: str) -> Variant:
        """What a name shows, for URLs. Sends nothing."""
        return Variant(f"{self._context.base}/names/{requests.named(name)}", is_named=True)

    async def point(
        self,
        name: str,
        file: forms.File | None = None,
        *,
        image: Image | str | None = None,
        version: int | None = None,
    ) -> Image:
        """Make a name show a file, an image that is stored already, or what it showed in a version."""
        shown = None if image is None else requests.image_id(image)
        answer = await self._transport.send(requests.pointed(name, file, shown, version))
        return Image.read(json.loads(answer)["image"], self._context)

    async def change(self, image: Image | str, **values: Any) -> Image:
        """Change `title`, `alt`, `tags`, `metadata`, `focus`, `expires_at`, `original_filename` or `visibility`."""
        answer = await self._transport.send(requests.posted("PATCH", f"/images/{requests.image_id(image)}", values))
        return Image.read(json.loads(answer), self._context)

    async def delete(self, image: Image | str) -> None:
        """Delete an image, with all its variants."""
        await self._transport.send(requests.Request("DELETE", f"/images/{requests.image_id(image)}"))

    async def download(self, picture: Image | Variant, format: str | None = None) -> bytes:  # noqa: A002
        """The bytes of an image or a variant."""
        path = picture.url(format).removeprefix(self._context.base)
        return await self._transport.send(requests.Request("GET", path))

    async def transform(self, file: forms.File, chain: Chain, format: str | None = None) -> bytes:  # noqa: A002
        """The bytes of an image after some operations. The service does not store it."""
        return await self._transport.send(requests.transform(file, chain, format))

    async def upload_token(self, **values: Any) -> UploadToken:
        """A right to upload for a web page: `max_bytes`, `formats`, `count`, `expires_in`, `visibility`, `space`."""
        answer = await self._transport.send(requests.posted("POST", "/uploads", values, repeats=False))
        return UploadToken.read(json.loads(answer))
