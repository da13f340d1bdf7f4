"""`imgsvc check`, next to a service that uses the same database and blobs."""

import asyncio
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time

import obstore
import pytest

from tests import servers
from tests.storage_service.test_scrub import LOCAL, Site, numbered, site

__all__ = ["site"]

_RUN = [sys.executable, "-m", "imgsvc", "check"]


def check(site: Site, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_RUN, *options], env=site.environment, cwd=servers.ROOT, capture_output=True, text=True, check=False
    )


def report(site: Site, *options: str) -> tuple[int, dict[str, object]]:
    done = check(site, "--json", *options)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def test_both_kinds_of_loss_are_found_and_nothing_is_changed(site: Site) -> None:
    bodies = [numbered(number) for number in range(40)]
    ids = [await site.upload(body) for body in bodies]
    twin = await site.upload(bodies[0])
    gone = await site.upload(numbered(99))
    assert (await site.get(gone, "DELETE"))[0] == 204
    code, found = report(site)
    assert (code, found["blobs"], found["contents"], found["findings"], found["complete"]) == (0, 40, 40, [], True)
    await site.replace(bodies[0], None)
    await site.replace(bodies[1], bodies[1][:-1])
    orphan = b"an orphan"
    await site.replace(orphan, orphan)
    for name in ("sha256/ab/cd/notes.txt", "sha256/README", f"sha256/00/00/{sha256(orphan)}"):
        await obstore.put_async(site.blobs._store, name, b"of somebody else")
    for _ in range(2):
        code, found = report(site)
        assert code == 1
        faults = {(each["fault"], each["sha256"], tuple(sorted(each["images"]))) for each in found["findings"]}  # type: ignore[attr-defined]
        assert faults == {
            ("no blob", sha256(bodies[0]), tuple(sorted([ids[0], twin]))),
            ("wrong size", sha256(bodies[1]), (ids[1],)),
            ("no record", sha256(orphan), ()),
        }
    assert (found["without_blob"], found["wrong_size"], found["without_record"]) == (1, 1, 1)
    assert await site.blobs.size(sha256(orphan)) == len(orphan)
    assert (await site.get(ids[2]))[0] == 200
    await site.replace(bodies[0], bodies[0])
    await site.replace(bodies[1], bodies[1])
    await site.blobs.delete(sha256(orphan))
    assert report(site)[0] == 0


async def test_uploads_in_progress_and_deletions_under_way_are_no_findings(site: Site) -> None:
    done = False
    counted = 0

    async def come_and_go(client: int) -> None:
        nonlocal counted
        number = 0
        while not done:
            number += 1
            image_id = await site.upload(numbered(client * 100_000 + number % 50))
            assert (await site.get(image_id, "DELETE"))[0] == 204
            counted += 1

    clients = [asyncio.create_task(come_and_go(client)) for client in range(4)]
    for _ in range(3):
        code, found = await asyncio.to_thread(report, site, "--rate", "0")
        assert (code, found["findings"]) == (0, []), found
    done = True
    await asyncio.gather(*clients)
    assert counted > 20


@LOCAL
async def test_the_text_names_each_finding_and_the_rate_is_limited(site: Site) -> None:
    bodies = [numbered(number) for number in range(20)]
    ids = [await site.upload(body) for body in bodies]
    await site.replace(bodies[3], None)
    started = time.monotonic()
    done = check(site, "--rate", "20")
    assert time.monotonic() - started > 1.9, "40 names at 20 a second"
    assert done.returncode == 1
    key = site.blobs.key(sha256(bodies[3]))
    lines = done.stdout.splitlines()
    assert lines[0] == f"no blob: {key} ({len(bodies[3])} bytes), images: {ids[3]}"
    assert lines[1].startswith("compared 19 blobs with 20 contents in ")
    assert "1 blob missing, 0 of wrong size, 0 blobs without a record" in lines[1]
    assert "Traceback" not in done.stderr


@LOCAL
async def test_a_terminal_gets_a_bar(site: Site) -> None:
    for number in range(30):
        await site.upload(numbered(number))
    main, other = pty.openpty()
    with subprocess.Popen(
        [*_RUN, "--rate", "3"], env=site.environment, cwd=servers.ROOT, stdout=subprocess.PIPE, stderr=other
    ) as process:
        os.close(other)
        shown = os.read(main, 4096)
        assert b"\r[" in shown
        assert b"%" in shown
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
        assert process.returncode == 130
        assert b"not finished: interrupted" in out
    os.close(main)


async def test_a_store_that_is_out_of_order_is_exit_code_3(site: Site) -> None:
    await site.upload(numbered(1))
    if site.blobs.path("0" * 64):
        site.environment["DATABASE_URL"] = f"postgresql://x@127.0.0.1:{servers.free_port()}/x"
    else:
        site.environment["AWS_ENDPOINT"] = f"http://127.0.0.1:{servers.free_port()}"
    done = check(site, "--json")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rate", ["fast", "-1", "1.5", ""])
def test_wrong_usage_is_exit_code_2(rate: str) -> None:
    done = subprocess.run([*_RUN, "--rate", rate], cwd=servers.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not a rate; write a number of blobs per second" in done.stderr
