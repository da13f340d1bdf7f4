"""The errors a client can cause or must be told of, each with its HTTP status."""

import logging
from http import HTTPStatus


class ServiceError(Exception):
    """An error that is answered as problem+json (RFC 9457).

    `detail` says what is wrong, where, and what to do instead.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after: int | None = None
    """Seconds after which the same request may succeed."""
    level = logging.WARNING
    """How loudly the log tells of it, where it is the service's fault."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def problem(self, request_id: str) -> dict[str, object]:
        """The body of the answer; `error` repeats `detail` for the seed's clients."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "error": self.detail,
            "request_id": request_id,
        }


class BadRequest(ServiceError):
    """The request is not understood: a field, an id, an operation or a value."""

    status = HTTPStatus.BAD_REQUEST


class NotFound(ServiceError):
    """Nothing is known under this name."""

    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(ServiceError):
    """The path exists, the method does not."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class NotAcceptable(ServiceError):
    """The output format is not offered."""

    status = HTTPStatus.NOT_ACCEPTABLE


class Gone(ServiceError):
    """The image was deleted."""

    status = HTTPStatus.GONE


class RequestTimedOut(ServiceError):
    """The body did not come in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class PreconditionFailed(ServiceError):
    """The image is not the one that the client means."""

    status = HTTPStatus.PRECONDITION_FAILED


class ContentTooLarge(ServiceError):
    """More bytes than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class URITooLong(ServiceError):
    """The URL, or the chain of operations in it, is too long."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class UnsupportedImage(ServiceError):
    """The bytes are no image of an accepted format."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnsupportedEncoding(ServiceError):
    """The body is compressed, which images are already."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class RangeNotSatisfiable(ServiceError):
    """The byte range lies outside the original."""

    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


class UnprocessableImage(ServiceError):
    """Corrupt or truncated, or more pixels or frames than allowed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class BadGateway(ServiceError):
    """A remote source failed."""

    status = HTTPStatus.BAD_GATEWAY


class ContentLost(BadGateway):
    """An image exists, but its bytes are not there, or not all of them: an operator must know."""

    level = logging.ERROR


class Unavailable(ServiceError):
    """Queue full, deadline passed, or a part the answer needs is down."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = 1


class GatewayTimeout(ServiceError):
    """A remote source was too slow."""

    status = HTTPStatus.GATEWAY_TIMEOUT


class InsufficientStorage(ServiceError):
    """No room to store."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
