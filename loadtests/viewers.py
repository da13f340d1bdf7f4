"""People who look at pages: nearly all of the traffic."""

from typing import Any

import gevent
from locust import between, task

from loadtests import checks, pixels, variants
from loadtests.variants import Asked
from loadtests.visitor import Visitor

_SAMPLE = pixels.Sample()


class Viewer(Visitor):
    """One browser, which looks at pictures of the site one after the other."""

    role = "viewers"
    weight = 17
    wait_time = between(0.1, 0.5)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._site = variants.Site(self.entries)
        self._accept = variants.accept(self.chance)

    @task
    def picture(self) -> None:
        """Ask for one picture."""
        asked = self._site.asked(self._accept, self.chance)
        name = f"viewers {asked.kind}"
        self.ask("GET", asked.path, name, lambda answer: _wrong(answer, asked), headers={"Accept": self._accept})


def _wrong(answer: checks.Answer, asked: Asked) -> str | None:
    wrong = checks.image(answer, asked.expected)
    if wrong or not _SAMPLE.due():
        return wrong
    # In a thread of the system's: decoding would hold up all users of this process.
    return gevent.get_hub().threadpool.apply(pixels.difference, (answer.content, asked.expected))  # type: ignore[no-any-return]
