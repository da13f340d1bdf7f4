"""People who look at pages: nearly all of the traffic."""

from typing import Any

import gevent
from locust import between, task

from loadtests import checks, pixels, variants
from loadtests.variants import Asked
from loadtests.visitor import Visitor

_SAMPLE = pixels.Sample()


class Viewer(Visitor):
    """One browser, which looks at one picture after the other."""

    role = "viewers"
    weight = 17
    wait_time = between(0.1, 0.5)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._site, self._accept = variants.Site(self.entries), variants.accept(self.chance)

    @task
    def picture(self) -> None:
        """Request one picture."""
        asked = self._site.asked(self._accept, self.chance)
        headers = {"Accept": self._accept}
        self.ask("GET", asked.path, asked.kind, lambda answer: _wrong(answer, asked), headers=headers)


def _wrong(answer: checks.Answer, asked: Asked) -> str | None:
    wrong = checks.image(answer, asked.expected)
    if wrong or not _SAMPLE.due():
        return wrong
    # In a real thread: decoding would block all users of this process.
    return gevent.get_hub().threadpool.apply(pixels.difference, (answer.content, asked.expected))  # type: ignore[no-any-return]
