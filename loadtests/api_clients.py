"""Programs that use the API: transforms without storing, facts, and deletions that must hold."""

import json
from typing import Any

from locust import between, task

from loadtests import checks
from loadtests.visitor import Visitor, form, uploads

_CHAINS = ("thumb=300&rotate=90", "resize=640x&grayscale", "resize=400x400,cover&sharpen=1", "rotate=12.5&thumb=500")


class ApiClient(Visitor):
    """One program, which does one thing after the other."""

    role = "api"
    weight = 1
    wait_time = between(0.5, 2)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._files = uploads()

    @task(4)
    def facts(self) -> None:
        """Ask for the facts of an image."""
        entry = self.chance.choice(self.entries)
        facts = {"image_id": entry.image_id, "width": entry.width, "height": entry.height, "bytes": entry.bytes}
        self.ask(
            "GET", f"/v1/images/{entry.image_id}/info", "api info", lambda answer: checks.facts(answer, 200, facts)
        )

    @task(2)
    def transform_stored(self) -> None:
        """Transform a stored image."""
        entry = self.chance.choice(self.entries)
        self._transform("api transform id", form("image_id", entry.image_id.encode()))

    @task(2)
    def transform_sent(self) -> None:
        """Transform a file that is sent along."""
        if self._files:
            body, _ = self.chance.choice(self._files)
            self._transform("api transform file", form("image", body, "photo"))

    @task(1)
    def delete(self) -> None:
        """Upload an image, delete it, and see that it is gone."""
        if not self._files:
            return
        body, _ = self.chance.choice(self._files)
        upload = form("image", body, "photo")
        answer = self.ask("POST", "/v1/images", "api upload", _stored, **upload)
        if answer is not None:
            path = f"/v1/images/{json.loads(answer.content)['image_id']}"
            # An answer without a body has no length, and so no truth either.
            if self.ask("DELETE", path, "api delete", lambda a: checks.status(a, 204)) is not None:
                self.ask("GET", f"{path}.webp?thumb=64", "api deleted", lambda a: checks.status(a, 410))

    def _transform(self, name: str, sent: dict[str, Any]) -> None:
        path = f"/v1/transform?{self.chance.choice(_CHAINS)}&format=webp"
        self.ask("POST", path, name, _webp, **sent)


def _webp(answer: checks.Answer) -> str | None:
    return checks.status(answer, 200) or checks.content(answer, "image/webp")


def _stored(answer: checks.Answer) -> str | None:
    return checks.status(answer, 201) or checks.identified(answer)
