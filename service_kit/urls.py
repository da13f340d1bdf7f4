"""Parses URLs in settings, and shows them without the secrets that they may contain."""

from urllib.parse import SplitResult, urlsplit


def redacted(url: str) -> str:
    """Scheme, host, port and path of `url`, without user, password and query. `url` may be malformed."""
    scheme, found, rest = url.partition("://")
    before_query, _, query = rest.partition("?")
    if not found or "@" in query:  # it is unclear where the password ends
        return f"{scheme}://…" if found else "…"
    return f"{scheme}://{before_query.rpartition('@')[2].partition('#')[0]}"


def parts_of(name: str, url: str) -> SplitResult:
    """The parts of the URL in the setting `name`. Raises ValueError, without secrets, if it is not a URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            f"{name}={redacted(url)!r} is not a valid URL; percent-encode special characters in user name and password"
        ) from None
    return parts


def for_each_host(url: str) -> list[str]:
    """The same URL with one host each, if `url` has several: `scheme://user:password@a:1,b:2/path`."""
    scheme, found, rest = url.partition("://")
    end = min((place for mark in "/?#" if (place := rest.find(mark)) >= 0), default=len(rest))
    user, at, hosts = rest[:end].rpartition("@")
    return [f"{scheme}{found}{user}{at}{host}{rest[end:]}" for host in hosts.split(",")]
