"""Hostile requests against the containers, with their documented limits."""

import re

import pytest

from tests.compose import stack
from tests.faults.length import LONG
from tests.hostile.examples import EXAMPLES, NO_ANSWER
from tests.hostile.run import run_against

_FROZEN = 2000
"""Milliseconds that a health check may wait on a busy machine."""
_REFUSED = {NO_ANSWER, *range(400, 500)}
"""Varnish and nginx refuse some requests with another status, or close the connection."""


@pytest.mark.skipif(not LONG, reason="two minutes; the same requests are sent to `imgsvc serve`")
def test_hostile_requests_harm_no_container() -> None:
    with stack.up(project="imgsvc-test-hostile") as started:
        for outcome in run_against(started.url, EXAMPLES):
            assert outcome.status in outcome.example.statuses | _REFUSED, outcome
            assert outcome.wait <= _FROZEN, outcome
        for service in ("varnish", "nginx", "storage", "transform", "postgres", "redis"):
            (container,) = started.containers(service)
            found = started.docker("inspect", "-f", "{{.State.OOMKilled}} {{.RestartCount}}", container)
            assert found.split() == ["false", "0"], service
            events = "cat /sys/fs/cgroup/memory.events || cat /sys/fs/cgroup/memory/memory.oom_control"
            killed = re.findall(
                r"^oom_kill (\d+)$", started.docker("exec", container, "sh", "-c", events), re.MULTILINE
            )
            assert killed == ["0"], service
