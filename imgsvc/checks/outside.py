"""Looks at a deployment from outside, by its URL. Changes nothing."""

import http.client
import re
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import urllib3

import imgsvc
from imgsvc.checks.findings import Finding, good, note, problem, warning
from imgsvc.checks.requests import Examined, Response
from imgsvc.terminal.failures import reason
from imgsvc.terminal.output import size

_SLOW_SECONDS, _SKEW_SECONDS, _WRONG_SECONDS = 1.0, 5.0, 60.0
_DAYS_LEFT = 14
_TRIED = 5
"""How many of the newest images are tried, until one can be decoded."""
_WHERE = "the logs of storage and transform say more"
_LIMIT = re.compile(r"(\d{4,}) bytes")


def look(service: Examined) -> Iterator[Finding]:
    """Everything that can be seen without storing anything. Ends early if nothing responds."""
    yield from _tls(service)
    try:
        health = service.ask("GET", "/v1/images/healthcheck")
    except urllib3.exceptions.HTTPError as error:
        yield problem("health", f"{service.base} does not respond ({reason(error)})", "start it, or correct the URL")
        return
    yield from _health(service, health)
    if not isinstance(health.json, dict):
        return
    yield from _clock(health)
    yield from _version(service)
    yield from _access(service)
    yield from _uploads(service)
    yield from _errors(service)
    yield from _caching(service)


def _tls(service: Examined) -> Iterator[Finding]:
    if service.parts.scheme == "http":
        if not service.is_local:
            yield warning("tls", "keys and images travel unencrypted", "use https: see `Add TLS` in docs/production.md")
        return
    try:
        certificate = service.certificate()
    except ssl.SSLCertVerificationError as error:
        advice = "renew it, or add the intermediate certificates"
        yield problem("tls", f"the certificate is not valid: {error.verify_message}", advice)
        return
    except OSError:
        return  # the next check says that it does not respond
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400
    if days < _DAYS_LEFT:
        yield warning("tls", f"the certificate expires in {days:.0f} days", "renew it; see docs/production.md")
    else:
        yield good("tls", f"the certificate is valid for {days:.0f} days")


def _health(service: Examined, storage: Response) -> Iterator[Finding]:
    for name, path in (("storage", "/v1/images/healthcheck"), ("transform", "/v1/transform/healthcheck")):
        answer = storage if name == "storage" else service.ask("GET", path)
        if not isinstance(answer.json, dict):
            advice = "check the URL: something else answers there"
            yield problem("health", f"{service.base}{path} answers {answer.status} without JSON", advice)
        elif answer.status != http.HTTPStatus.OK:
            advice = f"see whether {name} and nginx run, and then look at their logs"
            yield problem("health", f"{name} answers {answer.status}{_detail(answer)}", advice)
        elif answer.seconds > _SLOW_SECONDS:
            advice = "look at the load of the machine, and at docs/performance.md"
            yield warning("health", f"{name} takes {answer.seconds:.1f} s to answer", advice)
        else:
            yield good("health", f"{name} answers within {answer.seconds * 1000:.0f} ms")


def _clock(health: Response) -> Iterator[Finding]:
    told = health.headers.get("Date")
    if not told:
        return
    apart = parsedate_to_datetime(told).timestamp() - time.time()
    apart = max(0.0, abs(apart) - 1 - health.seconds)  # the header has whole seconds
    if apart > _SKEW_SECONDS:
        level = problem if apart > _WRONG_SECONDS else warning
        advice = "synchronise both clocks (NTP): signed URLs and upload tokens depend on the time"
        yield level("clock", f"its clock and that of this machine are {apart:.0f} s apart", advice)
    else:
        yield good("clock", "its clock is right")


def _version(service: Examined) -> Iterator[Finding]:
    answer = service.ask("GET", "/openapi.json")
    found = (answer.json or {}).get("info", {}).get("version") if answer.status == http.HTTPStatus.OK else None
    if found is None:
        yield note("version", "it does not tell its version at /openapi.json")
    elif found != imgsvc.__version__:
        yield note("version", f"it is {found}, this command {imgsvc.__version__}", "use the same version of both")
    else:
        yield good("version", f"it is {found}, as this command")


def _access(service: Examined) -> Iterator[Finding]:
    answer = service.ask("GET", "/v1/images?limit=1", with_key=False)
    if answer.status == http.HTTPStatus.OK and service.is_local:
        yield note("keys", "no keys are required, since only this machine reaches it")
    elif answer.status == http.HTTPStatus.OK:
        advice = "set AUTH=keys, and make keys with `imgsvc keys create`"
        yield problem("keys", "everybody may list, upload and delete images", advice)
    elif answer.status in {401, 403}:
        yield from _key(service)
    else:
        yield problem("keys", f"the list of images answers {answer.status}{_detail(answer)}", _WHERE)


def _key(service: Examined) -> Iterator[Finding]:
    if not service.key:
        advice = "set IMGSVC_KEY to look further: caching and --write need a key"
        yield note("keys", "keys are required, and there is none", advice)
        return
    answer = service.ask("GET", "/v1/images?limit=1")
    detail = str((answer.json or {}).get("detail", ""))
    if answer.status == http.HTTPStatus.OK:
        yield good("keys", "keys are required, and this one may list images")
    elif "scope" in detail:
        yield note("keys", "keys are required, and this one may not list images", "use one with the scope `list`")
    elif answer.status in {401, 403}:
        yield problem("keys", detail, "make another: imgsvc keys")
    else:
        yield problem("keys", f"the list of images answers {answer.status}{_detail(answer)}", _WHERE)


def _uploads(service: Examined) -> Iterator[Finding]:
    try:
        answer = service.promise("/v1/images")
    except (OSError, http.client.HTTPException) as error:
        advice = "let the proxy in front pass answers to requests that it has not read"
        if isinstance(error, TimeoutError):
            return  # the service is slow, or a part of it is down, which other checks say
        yield warning("uploads", f"an upload that is too large gets no answer ({error or 'closed'})", advice)
        return
    if answer.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = _LIMIT.search(answer.body.decode(errors="replace"))
        yield good("uploads", f"files may have up to {size(int(limit[1]))}" if limit else "too large files are refused")
    elif answer.status not in {401, 403, 429}:
        advice = "set MAX_UPLOAD_BYTES, for nginx and for the services"
        yield warning("uploads", f"an upload of a terabyte is not refused, but answered with {answer.status}", advice)


def _errors(service: Examined) -> Iterator[Finding]:
    answer = service.ask("GET", f"/v1/images/{'0' * 32}?thum=1")
    kind = answer.headers.get("Content-Type", "")
    if kind.startswith("application/problem+json"):
        yield good("errors", "errors reach clients as they are")
    else:
        advice = "let the proxy or CDN in front pass the bodies of errors"
        yield warning("errors", f"an error arrives as {kind or 'nothing'}, without the reason", advice)


def _caching(service: Examined) -> Iterator[Finding]:
    listed = service.ask("GET", f"/v1/images?limit={_TRIED}&visibility=public")
    if listed.status != http.HTTPStatus.OK:
        return  # another check has said so
    images = (listed.json or {}).get("images")
    if not images:
        yield note("caching", "there is no public image to look at", "upload one")
    for image in images or ():
        found = [*cached(service, image["image_id"])]
        if found:
            yield from found
            return
    if images:
        advice = "look at the log of transform, and at MAX_PIXELS; if only these files are damaged, upload another one"
        yield warning("caching", f"none of the {len(images)} newest images can be decoded", advice)


def cached(service: Examined, image_id: str) -> Iterator[Finding]:
    """Whether a cache answers the second request for a variant. Yields nothing if the image cannot be decoded."""
    path = f"/v1/images/{image_id}.webp?thumb=32"
    first, second = (service.ask("GET", path, with_key=False) for _ in range(2))
    if second.status == http.HTTPStatus.UNPROCESSABLE_ENTITY:
        return
    if second.status != http.HTTPStatus.OK:
        yield problem("caching", f"a variant answers {second.status}{_detail(second)}", _WHERE)
    elif "X-Cache" not in second.headers:
        yield note("caching", "there is no Varnish in front: the service answers everything", "see docs/production.md")
    elif second.headers["X-Cache"] == "MISS":
        advice = "look at CACHE, and at what the proxies in front of Varnish change in requests"
        yield problem("caching", "Varnish does not cache: the second request is a miss too", advice)
    else:
        times = f"{first.seconds * 1000:.0f} ms, then {second.seconds * 1000:.0f} ms"
        yield good("caching", f"the second request for a variant is a hit ({times})")


def _detail(answer: Response) -> str:
    detail = answer.json.get("detail") if isinstance(answer.json, dict) else None
    return f": {detail}" if detail else ""
