"""The errors that clients see, each with its HTTP status, and the error that keeps a program from starting."""

import logging
from http import HTTPStatus


class CannotStart(Exception):
    """A program cannot start in this environment. The text says what to change."""


class ServiceError(Exception):
    """An error that the client sees as problem+json (RFC 9457).

    `detail` says what is wrong, where, and what to do instead.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after: int | None = None
    """Seconds after which the same request may succeed."""
    level = logging.WARNING
    """The level at which it is logged if its status is 5xx."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def problem(self, request_id: str) -> dict[str, object]:
        """The body of the response. `error` repeats `detail` for clients of the first API."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "error": self.detail,
            "request_id": request_id,
        }


class BadRequest(ServiceError):
    """A field, an ID, an operation or a value is invalid."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(ServiceError):
    """The request needs a key, or a signed URL."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(ServiceError):
    """The key, token or signature is wrong, or does not allow this, or the origin or host is not allowed."""

    status = HTTPStatus.FORBIDDEN


class WrongCredential(Forbidden):
    """A key, a token or a signature that was never right. Who sends many has to wait."""


class TooManyRequests(ServiceError):
    """The client tried too often."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class NotFound(ServiceError):
    """The path, the image or the key does not exist, or not for this client."""

    status = HTTPStatus.NOT_FOUND


class Hidden(NotFound):
    """The name exists, but not for this client. No cache may keep that for others."""


class MethodNotAllowed(ServiceError):
    """The path exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class NotAcceptable(ServiceError):
    """The service does not write this format."""

    status = HTTPStatus.NOT_ACCEPTABLE


class Gone(ServiceError):
    """The image was deleted."""

    status = HTTPStatus.GONE


class RequestTimedOut(ServiceError):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class PreconditionFailed(ServiceError):
    """The client expects different content."""

    status = HTTPStatus.PRECONDITION_FAILED


class ContentTooLarge(ServiceError):
    """The body is larger than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class URITooLong(ServiceError):
    """The URL, or the chain in it, is too long."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class ExpectationFailed(ServiceError):
    """The client expects something unknown."""

    status = HTTPStatus.EXPECTATION_FAILED


class HeadersTooLarge(ServiceError):
    """The headers are larger than any client needs."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class UnsupportedImage(ServiceError):
    """The file is not an image in a supported format."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnsupportedEncoding(ServiceError):
    """The body is compressed."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class RangeNotSatisfiable(ServiceError):
    """The byte range lies outside the original."""

    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


class UnprocessableImage(ServiceError):
    """The image is corrupt or truncated, or has more pixels or frames than allowed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class MemoryExceeded(UnprocessableImage):
    """Processing the image takes more memory than was estimated for it."""

    crashed = True
    """It counts like a crash of the process."""

    def __init__(self, detail: str = "processing this image takes more memory than the service allows for it") -> None:
        super().__init__(detail)


class BadGateway(ServiceError):
    """A remote source failed."""

    status = HTTPStatus.BAD_GATEWAY


class ContentLost(BadGateway):
    """An image exists, but some or all of its bytes are missing: an operator has to act."""

    level = logging.ERROR


class Unavailable(ServiceError):
    """The queue is full, the deadline passed, or a part that the request needs is down."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = 1


class DiskFailed(Unavailable):
    """The disk reported an error other than being full: an operator has to act."""

    level = logging.ERROR


class GatewayTimeout(ServiceError):
    """A remote source was too slow."""

    status = HTTPStatus.GATEWAY_TIMEOUT


class InsufficientStorage(ServiceError):
    """The disk is full."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
