"""What the pages of the site mention in their texts exists: commands, targets of make, settings, operations."""

import asyncio
import re
import subprocess
import sys

import pytest

from service_kit.errors import BadRequest
from tests.docs.pages import inline_code, pages
from tests.servers import ROOT
from transform_service.chain import parse
from transform_service.operations.base import load_operations

_COMMAND = re.compile(r"(?:\.venv/bin/)?imgsvc ((?:[a-z]+ ?)+)")
_TARGET = re.compile(r"(?:[A-Z_]+=\S+ )*make ([a-z-]+)")
_SETTING = re.compile(r"([A-Z][A-Z0-9_]{2,})=")
_PAIR = re.compile(r"([a-z]+)(=[^ &]*)?")
_OTHERS = {"NODE_ENV", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
"""Settings of libraries."""


def _mentioned() -> list[str]:
    """The code in texts, but not in what was said about earlier versions."""
    return sorted({code for page in pages() if page.name != "CHANGELOG.md" for code in inline_code(page)})


async def test_every_command_of_imgsvc_exists() -> None:
    found = {words[1].strip() for code in _mentioned() if (words := _COMMAND.match(code))}
    commands = {each for each in found if not any(other.startswith(f"{each} ") for other in found)}
    assert len(commands) > 5

    async def explain(command: str) -> str | None:
        arguments = ["-m", "imgsvc", *command.split(), "--help"]
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=subprocess.DEVNULL)
        return command if await process.wait() else None

    assert [each for each in await asyncio.gather(*map(explain, commands)) if each] == []


def test_every_target_of_make_exists() -> None:
    targets = {found[1] for code in _mentioned() if (found := _TARGET.match(code))}
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets
    assert targets <= rules


def test_every_setting_exists() -> None:
    names = {found[1] for code in _mentioned() if (found := _SETTING.match(code))} - _OTHERS
    patterns = [part for name in names for part in ("-e", name)]
    command = ["git", "grep", "-how", *patterns, "--", ":!*.md", ":!tests/docs"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    read = {name.lower() for name in re.findall(r"^    (\w+): ", _sources_of_settings(), re.MULTILINE)}
    assert {name for name in names - {*found} if name.lower() not in read} == set()


def _sources_of_settings() -> str:
    return "".join(file.read_text() for file in ROOT.glob("*/settings.py"))


def test_every_operation_is_spelt_as_the_service_reads_it() -> None:
    operations = load_operations()
    refused = {}
    for code in _mentioned():
        pairs = [_PAIR.fullmatch(part) for part in code.split("&")]
        names = {pair[1] for pair in pairs if pair}
        if "=" in code and all(pairs) and names <= {*operations} and not re.search(r"[…\[{]|\b[A-Z_]{2,}\b", code):
            try:
                parse(code, max_operations=20)
            except BadRequest as error:
                refused[code] = str(error)
    assert [*refused] == ["thumb=abc"], refused  # an example of a mistake
