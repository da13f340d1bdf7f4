"""Decides whether a request may be made at all: by its host, by the page that sends it, and by its key.

Whether a client may see a picture depends on the image, so that is for the handlers.
"""

import base64
import binascii
import logging
from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from service_kit import calling, signing
from service_kit.access import (
    ANYBODY,
    EVERYTHING,
    TOKEN_PREFIX,
    Authority,
    Identity,
    Mode,
    Scope,
    is_among,
    is_loopback,
    mode_of,
)
from service_kit.errors import BadRequest, Forbidden, Unauthorized, WrongCredential
from service_kit.http.middlewares import Handler
from service_kit.http.paths import route_pattern
from service_kit.http.problems import PATH_PREFIX
from service_kit.http.throttle import Throttle
from service_kit.settings import CommonSettings

_UPLOAD = ("POST", "/v1/images")
_SCOPES: dict[tuple[str, str], Scope | None] = {
    _UPLOAD: Scope.UPLOAD,
    ("GET", "/v1/images"): Scope.LIST,
    ("GET", "/v1/images/{image_id}/info"): Scope.METADATA,
    ("GET", "/v1/images/{image_id}.{extension}/plan"): Scope.METADATA,
    ("GET", "/v1/images/{image_id}/similar"): Scope.LIST,
    ("GET", "/v1/images/{image_id}/variants"): Scope.METADATA,
    ("DELETE", "/v1/images/{image_id}"): Scope.DELETE,
    ("PATCH", "/v1/images/{image_id}"): Scope.UPLOAD,
    ("POST", "/v1/uploads"): Scope.UPLOAD,
    ("POST", "/v1/sign"): Scope.SIGN,
    ("POST", "/v1/transform"): Scope.READ,
    ("GET", "/v1/images/{image_id}"): None,
    ("GET", "/v1/images/{image_id}.{extension}"): None,
    ("GET", "/v1/transform"): None,
    ("GET", "/v1/me"): None,
    ("GET", "/v1/deletions"): Scope.DELETE,
    ("POST", "/v1/deletions"): Scope.DELETE,
    ("GET", "/v1/deletions/{deletion_id}"): Scope.DELETE,
    ("POST", "/v1/deletions/{deletion_id}/stop"): Scope.DELETE,
    ("GET", "/v1/names"): Scope.LIST,
    ("GET", "/v1/names/{name}"): None,
    ("PUT", "/v1/names/{name}"): Scope.UPLOAD,
    ("DELETE", "/v1/names/{name}"): Scope.DELETE,
    ("GET", "/v1/names/{name}/versions"): Scope.METADATA,
    ("GET", "/v1/keys"): Scope.ADMIN,
    ("POST", "/v1/keys"): Scope.ADMIN,
    ("DELETE", "/v1/keys/{key_id}"): Scope.ADMIN,
    ("POST", "/v1/keys/{key_id}/rotate"): Scope.ADMIN,
    ("GET", "/v1/spaces"): Scope.ADMIN,
    ("PUT", "/v1/spaces/{space}"): Scope.ADMIN,
    ("GET", "/v1/audit"): Scope.ADMIN,
    ("GET", "/v1/usage"): Scope.ADMIN,
    ("GET", "/v1/webhooks"): Scope.ADMIN,
    ("POST", "/v1/webhooks"): Scope.ADMIN,
    ("PATCH", "/v1/webhooks/{webhook_id}"): Scope.ADMIN,
    ("DELETE", "/v1/webhooks/{webhook_id}"): Scope.ADMIN,
    ("POST", "/v1/webhooks/{webhook_id}/test"): Scope.ADMIN,
    ("POST", "/v1/webhooks/{webhook_id}/rotate"): Scope.ADMIN,
    ("GET", "/v1/webhooks/{webhook_id}/failures"): Scope.ADMIN,
    ("POST", "/v1/webhooks/{webhook_id}/failures/{event_id}/retry"): Scope.ADMIN,
}
"""What each route of the API requires. None: it sends a picture, or says what a key may do. Others: for operators."""
_ALSO = {("PATCH", "/v1/images/{image_id}"): Scope.MODERATE}
"""Scopes that lead to a handler as well, which looks closer at what is asked for."""
_NAME = "/v1/names/{name}"
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-Modified-Since, If-None-Match, If-Range, Range,"
    " X-Request-ID"
)
_REMEMBERED = "7200"
"""Seconds for which a browser remembers a preflight: the most that Chromium accepts."""
_PROXIED = ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via")
_IDENTITY = web.RequestKey("IDENTITY", Identity)
_LONGEST_KEY = 256

logger = logging.getLogger(__name__)


AUTHORITY = web.AppKey("AUTHORITY", Authority)
MODE = web.AppKey("MODE", Mode)


def setup(app: web.Application, settings: CommonSettings, address: str, *, behind_nginx: bool) -> None:
    """Give `app` a gate. The caller sets AUTHORITY. `address` is where the application, or a proxy, listens."""
    names = [settings.public_url] if settings.public_url else []
    mode = app[MODE] = mode_of(settings.auth, (address, *names, *settings.allowed_hosts))
    gate = app[_GATE] = _Gate(mode, settings.allowed_hosts, settings.allowed_origins, behind_nginx=behind_nginx)
    app.middlewares.append(gate.check)
    if mode is Mode.OPEN:
        logger.warning("AUTH=open: everybody who reaches the service may list, upload and delete")


class _Gate:
    """Checks every request to the API; `check` is a middleware.

    `hosts` and `origins` are ALLOWED_HOSTS and ALLOWED_ORIGINS. `*` allows all.
    """

    def __init__(self, mode: Mode, hosts: Collection[str], origins: Collection[str], *, behind_nginx: bool) -> None:
        self._mode = mode
        self._behind_nginx = behind_nginx
        self._throttle = Throttle()
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer preflights, refuse what is not allowed, and note who sends the request."""
        route = (request.method if request.method != "HEAD" else "GET", _pattern(request))
        if route not in _SCOPES:
            return _preflight(request) or await handler(request)
        self.check_host(request)
        scope = _SCOPES[route]
        if route == _UPLOAD and (token := _token_of(request)):
            # Whoever has a token may use it on any page: the page got it from a back end, and not from the browser.
            request[_IDENTITY] = Identity("", frozenset({Scope.UPLOAD}), token=token)
            return await self._throttle.checked(self._address(request), token, lambda: handler(request))
        if scope is not None:
            self._check_origin(request)
        identity = request[_IDENTITY] = await self._identify(request, scope)
        if scope is not None and not identity.may(scope) and not identity.may(_ALSO.get(route, scope)):
            raise refusal(identity, scope, self._mode)
        return await handler(request)

    def check_host(self, request: web.Request) -> None:
        """A page may have made its own host name lead here (DNS rebinding). To a browser, this is its own server."""
        host = _host(request.headers.get(hdrs.HOST, ""))
        allowed = is_among(host, self._hosts) if self._hosts else self._mode is not Mode.LOCAL
        if self._mode is Mode.LOCAL and not self._behind_nginx and any(name in request.headers for name in _PROXIED):
            raise Forbidden(
                "the request came through a proxy, so that others may reach the service; set PUBLIC_URL, which turns"
                " keys on, or AUTH"
            )
        if not allowed and not (self._mode is Mode.LOCAL and is_loopback(host)):
            raise Forbidden(f"the host {host[:64]!r} is not allowed; use another name, or add it to ALLOWED_HOSTS")

    def _check_origin(self, request: web.Request) -> None:
        """Any page may make a browser send requests. It leaves the origin out only if no page can read the answer."""
        origin = request.headers.get(hdrs.ORIGIN, "").lower()
        if not origin or "*" in self._origins or origin in self._origins or _is_own(origin, request):
            return
        if self._origins or self._mode is not Mode.OPEN:
            raise Forbidden(f"pages of the origin {origin[:64]!r} may not do this; add it to ALLOWED_ORIGINS")

    async def _identify(self, request: web.Request, scope: Scope | None) -> Identity:
        authority, address = request.app[AUTHORITY], self._address(request)
        target = _target(request)
        if scope is None and signing.is_signed(target):
            if _pattern(request) == _NAME:
                raise BadRequest("names are not signed, since they may show another image; sign the URL of the image")
            return await self._throttle.checked(address, signing.key_of(target), lambda: authority.verify(target))
        # A key that anybody could make would outlast the time when nobody needed one.
        if self._mode is not Mode.KEYS and scope is not Scope.ADMIN:
            return EVERYTHING
        if hdrs.AUTHORIZATION not in request.headers:
            return ANYBODY
        key = key_of(request)
        if key.startswith(TOKEN_PREFIX):
            raise WrongCredential("an upload token is for uploads only; send a key")
        return await self._throttle.checked(address, key, lambda: authority.identify(key))

    def _address(self, request: web.Request) -> str:
        """The address of the client. nginx writes the header anew."""
        forwarded = request.headers.get(hdrs.X_FORWARDED_FOR, "") if self._behind_nginx else ""
        return forwarded or request.remote or ""


_GATE = web.AppKey("_GATE", _Gate)


def scope_of(method: str, pattern: str) -> Scope | None:
    """What a route requires, by its pattern (paths.route_pattern); None for pictures and for what is open to all."""
    return _SCOPES.get((method, pattern))


def check_host(request: web.Request) -> None:
    """Raise Forbidden if nobody should reach the service by the host name of this request."""
    request.app[_GATE].check_host(request)


def identity_of(request: web.Request) -> Identity:
    """Who sends the request."""
    identity: Identity = request.get(_IDENTITY, ANYBODY)
    return identity


def _target(request: web.Request) -> str:
    """Path and query as sent, without the path in front of all routes."""
    return request.raw_path.removeprefix(request.app.get(PATH_PREFIX, ""))


def _token_of(request: web.Request) -> str:
    """The upload token that a request has; empty without one."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip().startswith(TOKEN_PREFIX) else ""


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    prefix = request.app.get(PATH_PREFIX, "")
    return "" if resource is None else route_pattern(resource.canonical.removeprefix(prefix))


def _preflight(request: web.Request) -> web.Response | None:
    """The response to OPTIONS, by which a browser asks what pages of other origins may do."""
    refused = request.match_info.http_exception
    if request.method != "OPTIONS" or not isinstance(refused, web.HTTPMethodNotAllowed):
        return None
    methods = ", ".join(sorted({*refused.allowed_methods, "OPTIONS"}))
    headers = {
        "Allow": methods,
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
        "Access-Control-Max-Age": _REMEMBERED,
    }
    return web.Response(status=204, headers=headers)


def refusal(identity: Identity, scope: Scope, mode: Mode) -> Exception:
    """Why an identity may not do what needs this scope."""
    if identity is ANYBODY and mode is Mode.LOCAL:  # the caller can create a key
        command = f"{calling.imgsvc()} keys create NAME --scope {scope}"
        return Unauthorized(
            f"this requires a key with the scope `{scope}`; make one with `{command}`, and send it as"
            " `Authorization: Bearer KEY`"
        )
    if identity is ANYBODY:
        return Unauthorized(f"this requires a key with the scope `{scope}`; send it as `Authorization: Bearer KEY`")
    return Forbidden(f"the key lacks the scope `{scope}`; use one that has it")


def key_of(request: web.Request) -> str:
    """The key in the header: the token of `Bearer`, or the password of `Basic`. Raises WrongCredential without one."""
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(given) > 1:
        raise WrongCredential("there are several Authorization headers; send one")
    scheme, _, value = "".join(given).partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode("ascii").partition(":")
        except (binascii.Error, ValueError):
            raise WrongCredential(
                "the Authorization header is not valid; send `Basic` with base64 of `key:KEY`"
            ) from None
        value = password or user
    elif scheme.lower() != "bearer":
        raise WrongCredential("the Authorization header is not valid; send `Authorization: Bearer KEY`")
    if len(value) > _LONGEST_KEY:
        raise WrongCredential("the key is not valid; check that all of it was copied")
    return value


def _host(header: str) -> str:
    """The name in a Host header, in lower case and without the port."""
    name = header.strip().lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def _is_own(origin: str, request: web.Request) -> bool:
    """Whether a page comes from this service itself."""
    try:
        parts = urlsplit(origin)
        own = {parts.netloc, f"{parts.netloc}:{'443' if parts.scheme == 'https' else '80'}"}
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and request.headers.get(hdrs.HOST, "").lower() in own
