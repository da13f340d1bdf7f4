"""nginx's own responses are in no metric, but the command in the docs finds them in its log."""

import re
import subprocess

from tests.servers import ROOT


def line(status: int) -> str:
    """A line of nginx's log, with this status."""
    log = (ROOT / "nginx/conf.d/log.conf").read_text()
    _, _, format_ = log.partition("log_format access")
    shape = "".join(re.findall(r"'(.*)'", format_)).replace("$status", str(status))
    return re.sub(r"\$\w+", "429", shape)


def test_the_command_in_the_docs_finds_what_nginx_answered_itself() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    _, _, section = page.partition("### What nginx answers by itself\n")
    command = re.search(r"```sh\nfor node in [^|]*docker logs [^|]*; done \| (.*)\n```", section)
    assert command
    lines = {status: line(status) for status in (200, 304, 429, 500, 502, 503, 504)}
    log = "\n".join([*lines.values(), "2026/01/01 00:00:00 [info] limiting requests"])
    found = subprocess.run(["sh", "-c", command[1]], input=log, capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == [lines[429], lines[502], lines[504]]


def test_the_command_of_the_runbook_finds_every_failure_of_a_service() -> None:
    """A full disk is no ERROR: nothing is broken."""
    page = (ROOT / "docs/observability.md").read_text()
    _, _, section = page.partition("### Failing\n")
    command = re.search(r"`docker compose logs storage transform \| (grep [^`]*)`", section)
    assert command
    request = '{"level":"INFO","logger":"access","message":"POST 507 in 26.5 ms","status":%d,"bytes_in":5014184}'
    event = '{"level":"%s","logger":"service_kit.http.middlewares","message":"the image was lost"}'
    shown = [request % 502, request % 507, event % "ERROR"]
    log = "\n".join([request % 201, request % 404, *shown, event % "INFO"])
    found = subprocess.run(["sh", "-c", command[1]], input=log, capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == shown
