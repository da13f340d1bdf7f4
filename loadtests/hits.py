"""Hits per second, by wrk after the load: locust cannot request that fast."""

from loadtests.corpus import Entry
from loadtests.ledger import HIT
from measuring.client import ask
from measuring.wrk import Rate, WrkFailed, wrk

_SECONDS = 5


def path(entry: Entry) -> str:
    """A thumbnail that is requested again and again."""
    return f"/v1/images/{entry.image_id}.webp?thumb=300&compress=70"


def measure(url: str, entry: Entry) -> Rate | str:
    """The rate of hits, or why it was not measured: the report of the load is written anyway."""
    try:
        for _ in range(2):  # the second answer comes from the cache
            answer = ask(url + path(entry))
            if not answer.ok:
                return f"the target did not answer after the load: {answer}"
        if answer.headers.get("X-Cache") != HIT:
            return "the target has no Varnish, so there are no hits"
        return wrk(url + path(entry), _SECONDS)
    except WrkFailed as error:
        return str(error)
    except KeyboardInterrupt:
        return "interrupted"
