"""People who add pictures and look at them."""

import hashlib
import uuid
from collections import deque
from typing import Any

from locust import between, task

from loadtests import checks
from loadtests.variants import Expected
from loadtests.visitor import Visitor, uploads

_KEPT = 5
"""Uploads per person. Older ones are deleted, so that a long run does not fill the disk."""
_THUMB = Expected("image/webp", 300, 300, None)


class Uploader(Visitor):
    """One person with a camera."""

    role = "uploaders"
    weight = 1
    wait_time = between(2, 6)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._own: deque[str] = deque()

    @task
    def photo(self) -> None:
        """Upload a photo, look at its thumbnail, and delete the oldest photo."""
        body, entry = self.chance.choice(uploads())
        body += uuid.uuid4().bytes  # after the picture's end, where decoders do not look: all uploads differ
        facts = {"width": entry.width, "height": entry.height, "bytes": len(body), "format": entry.format}
        facts["sha256"] = hashlib.sha256(body).hexdigest()
        headers = {"Content-Type": f"image/{entry.format}"}
        if image_id := self.upload(lambda answer: checks.facts(answer, 201, facts), data=body, headers=headers):
            self._own.append(image_id)
            path = f"/v1/images/{image_id}.webp?thumb=300"
            self.ask("GET", path, "first look", lambda answer: checks.image(answer, _THUMB))
        if len(self._own) > _KEPT:
            self.delete(self._own.popleft())

    def on_stop(self) -> None:
        """Leave nothing behind."""
        for image_id in self._own:
            self.client.delete(f"/v1/images/{image_id}", name="clean-up")
