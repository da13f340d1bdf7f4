"""Lines of JSON."""

import json
import logging

import pytest

from service_kit.observing.logging import Event, configure_logging, log_events


def test_a_line_is_one_whatever_is_in_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also half a character, which is none of UTF-8's, and what Unicode calls the end of a line."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers.copy())
    monkeypatch.setattr(root, "level", root.level)
    configure_logging("INFO", "json")
    odd = ["\udcff", "\u2028\x85\n\0", 'é"']
    log_events(logging.getLogger("access"), [Event(0, "done", {"uri": uri}) for uri in odd])
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["uri"] for line in lines] == odd
    assert all(line.isascii() for line in lines)
