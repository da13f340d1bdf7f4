"""Deliberate faults are mended, and failures to make them are reported."""

import subprocess

import pytest

from loadtests import faults
from loadtests.faults import Fault
from loadtests.stack import Stack

STACK = Stack("", "docker", ())


def happened(
    monkeypatch: pytest.MonkeyPatch, *, make: Exception | None, mend: Exception | None
) -> tuple[Fault, list[str]]:
    """A fault whose steps end this way, and the steps that were tried."""
    tried: list[str] = []

    def step(name: str, error: Exception | None) -> None:
        tried.append(name)
        if error:
            raise error

    steps = (lambda _: step("make", make), lambda _: step("mend", mend))
    monkeypatch.setitem(faults._FAULTS, "test", steps)
    fault = Fault("test", 0, 0)
    fault._happen(STACK, faults.threading.Event())
    return fault, tried


FAILED = subprocess.CalledProcessError(1, "docker", stderr="no such\n container")


@pytest.mark.parametrize(
    ("make", "mend", "said"),
    [
        (None, None, ""),
        (FAILED, None, "no such container"),
        (IndexError("list index out of range"), None, "list index out of range"),
        (OSError(), FAILED, "OSError"),
        (None, FAILED, "no such container"),
    ],
)
def test_a_fault_is_mended_even_after_a_failure(
    make: Exception | None, mend: Exception | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, tried = happened(monkeypatch, make=make, mend=mend)
    assert tried == ["make", "mend"]
    assert fault.failed == said
