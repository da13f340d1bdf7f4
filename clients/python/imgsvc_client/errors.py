"""What can go wrong."""

import json
from collections.abc import Mapping


class ImgsvcError(Exception):
    """Any error of this package."""


class ConnectionFailed(ImgsvcError):
    """The service did not answer, also after the retries."""


class ApiError(ImgsvcError):
    """The service refused a request. `detail` says what is wrong, and what to do instead."""

    def __init__(self, status: int, detail: str, request_id: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.request_id = request_id
        """Find it in the log of the service."""
        self.retry_after = retry_after
        """Seconds after which the same request may succeed."""


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that a response is about."""
    try:
        detail = str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = body[:200].decode(errors="replace").strip() or "the response has no body"
    after = headers.get("Retry-After", "")
    return ApiError(status, detail, headers.get("X-Request-ID", ""), float(after) if after.isdigit() else None)
