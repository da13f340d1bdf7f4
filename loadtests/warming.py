"""The usual variants of every image, asked for once: what a site that has run for a while has cached."""

import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from loadtests import variants
from loadtests.corpus import Entry, progress

_AT_ONCE = 4
_SECONDS = 60


def warm(url: str, entries: Sequence[Entry]) -> None:
    """Render them, the most popular images first. What fails here will fail again under load, and be counted there."""
    asked = [(path, accept) for entry in entries for path, accept in variants.usual(entry)]

    def one(request: tuple[str, str]) -> None:
        path, accept = request
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url + path, headers={"Accept": accept}), timeout=_SECONDS
            ) as answer:
                answer.read()
        except (OSError, HTTPException):
            pass

    with progress() as shown, ThreadPoolExecutor(_AT_ONCE) as threads:
        task = shown.add_task("warming", total=len(asked))
        for _ in threads.map(one, asked):
            shown.advance(task)
