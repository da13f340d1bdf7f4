"""Log lines in JSON."""

import json
import logging

import pytest

from service_kit.observing.logging import Event, configure_logging, log_events


def test_an_event_is_always_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with a lone surrogate, which UTF-8 cannot encode, and with Unicode's own line separators."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers.copy())
    monkeypatch.setattr(root, "level", root.level)
    configure_logging("INFO", "json")
    odd = ["\udcff", "\u2028\x85\n\0", 'é"']
    log_events(logging.getLogger("access"), [Event(0, "done", {"uri": uri}) for uri in odd])
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["uri"] for line in lines] == odd
    assert all(line.isascii() for line in lines)
