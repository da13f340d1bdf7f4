"""The spool sweeps only its own files, and needs a folder of its own."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from service_kit.spool import Spool
from tests.servers import missing

NAME = "0123456789abcdef" * 2
LONG_AGO = (1_000_000_000, 1_000_000_000)


def test_a_sweep_removes_only_old_files_of_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    left, fresh, letter, folder = tmp_path / NAME, spool.new_path(), tmp_path / "letter.txt", tmp_path / NAME[::-1]
    link = tmp_path / ("f" * 32)
    for file in (left, fresh, letter):
        file.write_bytes(b"x")
    folder.mkdir()
    link.symlink_to(letter)
    for path in (left, letter, folder, link):
        os.utime(path, LONG_AGO, follow_symlinks=False)
    spool.prepare()
    assert set(tmp_path.iterdir()) == {fresh, letter, folder, link}


async def test_a_removed_folder_is_created_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    spool.folder.rmdir()
    async with spool.writer(10, "the image") as writer:
        await writer.write(b"12345")
        assert (await writer.finish()).path.read_bytes() == b"12345"


async def test_an_aborted_write_has_ended_when_its_file_is_closed(tmp_path: Path) -> None:
    """Otherwise it would go on in the file that gets the same descriptor, that of another client."""
    spool, chunk = Spool(tmp_path), bytes(64 * 1024**2)
    async with spool.writer(len(chunk), "the image") as writer:
        writing = asyncio.create_task(writer.write(chunk))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert [file.stat().st_size for file in tmp_path.iterdir()] == [len(chunk)]
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_is_private_to_its_user(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a" / "spool")
    spool.prepare()
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["owner", "link"])
def test_a_folder_of_another_user_is_refused_in_a_shared_directory(tmp_path: Path, how: str) -> None:
    tmp_path.chmod(0o1777)
    folder = tmp_path / "spool"
    if how == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    elif os.getuid():
        missing("giving a folder to another user needs root")
    else:
        folder.mkdir()
        os.chown(folder, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to another user; remove it, or set another SPOOL_DIR"):
        Spool(folder).prepare()


def test_a_link_is_accepted_in_a_private_directory(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "elsewhere")
    Spool(tmp_path / "spool").prepare()
