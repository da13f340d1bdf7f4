"""Generated documents say what the code does now, and nothing committed names this machine or a registry."""

import re
import subprocess

import pytest

from docs.generate import DOCUMENTS
from tests.servers import ROOT

# Spelled so that this file does not match itself.
_FORBIDDEN = re.compile(
    r"/(work|opt)/(main|shared|wheels)|pypi\.(org|python)|files\.python" + r"hosted|registry\.npm" + "js"
)
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_generated_document_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == DOCUMENTS[name](), "run `make docs`"


def test_nothing_committed_names_this_machine_or_a_registry() -> None:
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.splitlines() if not name.endswith("test_generated.py")]
    texts = {file: file.read_text(errors="replace") for file in files if file.is_file()}
    assert not [str(file) for file, text in texts.items() if _FORBIDDEN.search(text)]


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{document.name}: {target}"
        for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", _CODE.sub("", document.read_text()))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not broken
