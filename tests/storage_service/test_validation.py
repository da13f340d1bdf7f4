"""The service checks what its validators say: a decoder that was taken over may say anything."""

from pathlib import Path
from typing import BinaryIO

import pydantic
import pytest

from imaging.formats import InputLimits
from imaging.header import Header
from service_kit.errors import UnprocessableImage
from service_kit.processes import worker
from service_kit.processes.worker import Task
from service_kit.spool import Spool
from storage_service import validation
from storage_service.settings import StorageSettings


def huge(_: BinaryIO, __: InputLimits) -> Header:
    """A header beyond all limits, from a reader that does not check them."""
    return Header(
        format="png", width=40_000, height=40_000, frames=1, orientation=1,
        colour_space="srgb", alpha=False, progressive=False,
    )  # fmt: skip


HUGE: Task[Header] = Task(__name__, "huge", returns=Header)


async def test_the_limits_hold_even_if_a_validator_ignores_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "READ_HEADER", HUGE)
    spool = Spool(tmp_path)
    spool.prepare()
    validator = validation.Validator(StorageSettings())
    worker.preload([HUGE])
    await validator.start()
    try:
        async with spool.writer(100, "the image") as writer:
            await writer.write(b"x")
            with pytest.raises(UnprocessableImage, match="the limit is 32768 on each side"):
                await validator.read_header(await writer.finish())
    finally:
        await validator.close()


@pytest.mark.parametrize("name", ["width", "height", "frames", "bands", "sample_bytes", "held_bytes"])
@pytest.mark.parametrize("value", [10**30, 2**63, -1])
def test_no_header_has_numbers_that_a_database_cannot_hold(name: str, value: int) -> None:
    good = huge(None, None).model_dump()  # type: ignore[arg-type]
    assert Header(**good)
    with pytest.raises(pydantic.ValidationError):
        Header(**good | {name: value})
