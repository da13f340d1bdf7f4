"""URLs in settings, which may hold secrets: parsing them, and showing them without the secrets."""

from urllib.parse import SplitResult, urlsplit


def redacted(url: str) -> str:
    """Scheme, host, port and path of `url`, without user, password and query, however malformed it is."""
    scheme, found, rest = url.partition("://")
    before_query, _, query = rest.partition("?")
    if not found or "@" in query:  # the end of the password is unknown
        return f"{scheme}://…" if found else "…"
    return f"{scheme}://{before_query.rpartition('@')[2].partition('#')[0]}"


def parts_of(name: str, url: str) -> SplitResult:
    """The parts of the setting `name`; ValueError, without secrets in its text, if it is not a URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            f"{name}={redacted(url)!r} is not a valid URL; percent-encode special characters in user name and password"
        ) from None
    return parts
