"""The queue of the storage service, and the runners of the transform service, over HTTP."""

import json
from contextlib import suppress
from typing import Any

import aiohttp
from pydantic import ValidationError

from service_kit.errors import (
    BadGateway,
    Gone,
    InsufficientStorage,
    ServiceError,
    Unavailable,
    UnprocessableImage,
)
from service_kit.http.paths import JOB_CLAIM, JOB_RUN, JOB_SETTLE
from service_kit.jobs import Job, Settlement

_QUEUE_SECONDS, _JOB_SECONDS = 5.0, 45.0
"""The second is less than the minute after which a claimed job is due again. A job that takes longer goes on, and the
next attempt joins it."""
_MOST = 16 * 1024
_OK, _NO_CONTENT = 200, 204
_ERRORS: dict[int, type[ServiceError]] = {
    cls.status: cls for cls in (Gone, UnprocessableImage, InsufficientStorage, Unavailable)
}


class RemoteQueue:
    """See JobQueue."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str) -> None:
        self._http = http
        self._base_url = base_url

    async def claim(self) -> Job | None:
        """See JobQueue."""
        status, body = await _post(self._http, self._base_url + JOB_CLAIM, None, _QUEUE_SECONDS)
        if status == _NO_CONTENT:
            return None
        try:
            if status == _OK:
                return Job.model_validate_json(body)
        except ValidationError as error:
            raise Unavailable("the storage service sent a job of another version") from error
        raise Unavailable(f"the storage service answered {status} to a claim")

    async def settle(self, settlement: Settlement) -> None:
        """See JobQueue."""
        body = settlement.model_dump(mode="json")
        status, _ = await _post(self._http, self._base_url + JOB_SETTLE, body, _QUEUE_SECONDS)
        if status != _NO_CONTENT:
            raise Unavailable(f"the storage service answered {status} to a settlement")


class RemoteRunner:
    """See JobRunner. Another node may get each job."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str) -> None:
        self._http = http
        self._base_url = base_url

    async def run(self, job: Job) -> None:
        """See JobRunner."""
        status, body = await _post(self._http, self._base_url + JOB_RUN, job.model_dump(mode="json"), _JOB_SECONDS)
        if status == _NO_CONTENT:
            return
        detail = f"the transform service answered {status}"
        with suppress(ValueError, KeyError, TypeError):
            detail = str(json.loads(body)["detail"])
        raise _ERRORS.get(status, BadGateway)(detail)  # 404 may come from a version without this path


async def _post(http: aiohttp.ClientSession, url: str, body: Any, seconds: float) -> tuple[int, bytes]:
    """Status and body of the answer. Raises Unavailable without one."""
    try:
        async with http.post(url, json=body, timeout=aiohttp.ClientTimeout(total=seconds)) as response:
            return response.status, await response.content.read(_MOST)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(f"{url} does not respond") from error
