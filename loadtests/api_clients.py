"""Programs that use the API: facts, transforms without storing, and deletions that must hold."""

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

    @task(4)
    def facts(self) -> None:
        """Request the facts of an image."""
        entry = self.chance.choice(self.entries)
        facts = {"image_id": entry.image_id, "width": entry.width, "height": entry.height, "bytes": entry.bytes}
        path = f"/v1/images/{entry.image_id}/info"
        self.ask("GET", path, "info", lambda answer: checks.facts(answer, 200, facts))

    @task(2)
    def transform_stored(self) -> None:
        """Transform a stored image."""
        self._transform("transform id", form("image_id", self.chance.choice(self.entries).image_id.encode()))

    @task(2)
    def transform_sent(self) -> None:
        """Transform a file in the request."""
        self._transform("transform file", self._photo())

    @task(1)
    def delete_one(self) -> None:
        """Upload an image, delete it, and check that it is gone."""
        image_id = self.upload(lambda answer: checks.status(answer, 201), **self._photo())
        if image_id and self.delete(image_id):
            path = f"/v1/images/{image_id}.webp?thumb=64"
            self.ask("GET", path, "deleted", lambda answer: checks.status(answer, 410))

    def _photo(self) -> dict[str, Any]:
        return form("image", self.chance.choice(uploads())[0], "photo")

    def _transform(self, kind: str, sent: dict[str, Any]) -> None:
        path = f"/v1/transform?{self.chance.choice(_CHAINS)}&format=webp"
        self.ask("POST", path, kind, lambda a: checks.status(a) or checks.content(a, "image/webp"), **sent)
