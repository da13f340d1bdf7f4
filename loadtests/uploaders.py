"""People who add pictures, and look at what they added."""

import hashlib
import json
import uuid
from collections import deque
from typing import Any

from locust import between, task

from loadtests import checks
from loadtests.variants import Expected
from loadtests.visitor import Visitor, uploads

_KEPT = 5
"""Uploads that are left; older ones are deleted, so that a long run fills no disk."""


class Uploader(Visitor):
    """One person with a camera."""

    role = "uploaders"
    weight = 1
    wait_time = between(2, 6)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._files = uploads()
        self._own: deque[str] = deque()

    @task
    def upload(self) -> None:
        """Upload a photo, see its thumbnail, and delete the oldest."""
        if not self._files:
            return
        body, entry = self.chance.choice(self._files)
        body += uuid.uuid4().bytes  # behind the picture's end, where no decoder looks: no two uploads are equal
        facts = {"width": entry.width, "height": entry.height, "bytes": len(body), "format": entry.format}
        facts["sha256"] = hashlib.sha256(body).hexdigest()
        headers = {"Content-Type": f"image/{entry.format}"}

        def check(answer: checks.Answer) -> str | None:
            return checks.facts(answer, 201, facts) or checks.identified(answer)

        answer = self.ask("POST", "/v1/images", "uploaders upload", check, data=body, headers=headers)
        if answer is not None:
            self._own.append(str(json.loads(answer.content)["image_id"]))
            self._look(self._own[-1])
        if len(self._own) > _KEPT:
            self._delete(self._own.popleft())

    def on_stop(self) -> None:
        """Leave nothing behind."""
        while self._own:
            self.client.delete(f"/v1/images/{self._own.popleft()}", name="clean-up")

    def _look(self, image_id: str) -> None:
        expected = Expected("image/webp", 300, 300, None)
        path = f"/v1/images/{image_id}.webp?thumb=300"
        self.ask("GET", path, "uploaders first look", lambda answer: checks.image(answer, expected))

    def _delete(self, image_id: str) -> None:
        self.ask("DELETE", f"/v1/images/{image_id}", "uploaders delete", lambda answer: checks.status(answer, 204))
