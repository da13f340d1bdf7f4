"""URLs of the configuration, which may hold secrets: read, and shown without them."""

from urllib.parse import SplitResult, urlsplit


def shown(url: str) -> str:
    """Scheme, host, port and path of `url`: neither user nor password nor query, however badly it is written."""
    scheme, found, rest = url.partition("://")
    before_query, _, query = rest.partition("?")
    if not found or "@" in query:  # where the password ends nobody knows
        return f"{scheme}://…" if found else "…"
    return f"{scheme}://{before_query.rpartition('@')[2].partition('#')[0]}"


def parts_of(name: str, url: str) -> SplitResult:
    """The parts of the setting `name`; ValueError, which does not tell them, when there are none to be told apart."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            f"{name}={shown(url)!r} is no URL; percent-encode what is special in its user name and password"
        ) from None
    return parts
