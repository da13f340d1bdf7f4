"""PostgreSQL as people run it: several servers that take over from each other, and poolers in front."""

import asyncio
import io
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from tests import servers
from tests.faults.test_disks import new_database, numbered

_HEALED_SECONDS = 15
_LONGEST_ANSWER = 3.0
"""The promise is 2 s; the rest is for a busy machine."""


@dataclass
class Site:
    """A running service."""

    http: aiohttp.ClientSession
    served: servers.Served

    async def ask(self, method: str, path: str = "", body: bytes | None = None) -> tuple[int, str]:
        form = aiohttp.FormData()
        if body:
            form.add_field("image", io.BytesIO(body), filename="x")
        started = time.monotonic()
        url = f"{self.served.url}/v1/images{path}"
        async with self.http.request(method, url, data=form if body else None) as answer:
            text = await answer.text(errors="replace")
        assert time.monotonic() - started < _LONGEST_ANSWER, text
        return answer.status, text

    async def upload(self, body: bytes) -> str:
        status, text = await self.ask("POST", body=body)
        assert status == 201, text
        found = re.search(r'"image_id": ?"([^"]+)"', text)
        assert found
        return found[1]

    async def works(self, number: int) -> None:
        """Wait until uploads and deletions work again. Nothing but 503 comes before."""
        async with asyncio.timeout(_HEALED_SECONDS):
            for method in ("POST", "DELETE"):
                image_id = ""
                while not image_id:
                    status, text = await self.ask("POST", body=numbered(number))
                    assert status in {201, 503}, text
                    image_id = "".join(re.findall(r'"image_id": ?"([^"]+)"', text))
                while method == "DELETE" and (status := (await self.ask("DELETE", f"/{image_id}"))[0]) != 204:
                    assert status == 503


@contextmanager
def pair(folder: Path) -> Iterator[tuple[str, str]]:
    """A primary and its standby."""
    folder.mkdir()
    with servers.postgres(folder, "--no-sync") as primary, servers.standby(folder / "standby", primary) as standby:
        yield primary, standby


def several(*urls: str) -> str:
    """One URL for several servers."""
    first = urlsplit(urls[0])
    hosts = ",".join(f"{urlsplit(url).hostname}:{urlsplit(url).port}" for url in urls)
    return f"{first.scheme}://{first.username}@{hosts}{first.path}"


def run_sql(url: str, *statements: str) -> str:
    command = [servers.program("psql"), url, "-Atq", *(part for each in statements for part in ("-c", each))]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def processes(folder: Path) -> list[int]:
    """The processes of the server whose data is in `folder`."""
    postmaster = int((folder / "postgres/postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


class Address:
    """An address that moves from one server to another, while old connections stay where they are."""

    def __init__(self, url: str) -> None:
        self.leads_to = urlsplit(url)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        port = servers.free_port()
        async with await asyncio.start_server(self._forward, "127.0.0.1", port):
            yield self.leads_to._replace(netloc=f"imgsvc@127.0.0.1:{port}").geturl()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            answers, requests = await asyncio.open_connection(self.leads_to.hostname, self.leads_to.port)
            await asyncio.gather(_copy(reader, requests), _copy(answers, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(2**16):
            writer.write(some)
    writer.close()


async def test_a_failover_that_leaves_read_only_sessions_behind_heals(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with ExitStack() as stack:
        primary, standby = stack.enter_context(pair(tmp_path / "databases"))
        address = Address(primary)
        async with address.open() as url:
            settings = {"DATABASE_URL": url, "RENDERERS": "1"}
            served = await asyncio.to_thread(stack.enter_context, servers.serve(tmp_path, **settings))
            site = Site(http, served)
            kept = [await site.upload(numbered(number)) for number in range(5)]
            await asyncio.gather(*(site.upload(numbered(number)) for number in range(10, 30)))  # many sessions
            await caught_up(primary, standby)
            address.leads_to = urlsplit(standby)
            run_sql(primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
            run_sql(standby, "SELECT pg_promote()")
            await site.works(100)
            assert "only reads at the moment" in site.served.log.read_text(), "a session was read-only"
            statuses = await asyncio.gather(*(site.ask("POST", body=numbered(number)) for number in range(200, 240)))
            assert {status for status, _ in statuses} == {201}, "no read-only session is left"
            for image_id in kept:
                assert (await site.ask("GET", f"/{image_id}"))[0] == 200
            assert "Traceback" not in site.served.log.read_text()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_the_server_that_takes_over_is_found_among_several_hosts(
    tmp_path: Path, http: aiohttp.ClientSession, how: str
) -> None:
    with ExitStack() as stack:
        primary, standby = stack.enter_context(pair(tmp_path / "databases"))
        url = several(standby, primary)  # the first one takes no writes yet
        site = Site(http, stack.enter_context(servers.serve(tmp_path, DATABASE_URL=url, RENDERERS="1")))
        kept = [await site.upload(numbered(number)) for number in range(5)]
        await asyncio.gather(*(site.upload(numbered(number)) for number in range(10, 30)))
        await caught_up(primary, standby)
        pids = processes(tmp_path / "databases")
        stack.callback(signal_all, pids, signal.SIGCONT)
        signal_all(pids, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        status, _ = await site.ask("POST", body=numbered(99))
        assert status == 503
        run_sql(standby, "SELECT pg_promote()")
        await site.works(100)
        for image_id in kept:
            assert (await site.ask("GET", f"/{image_id}"))[0] == 200
        assert "Traceback" not in site.served.log.read_text()


async def test_a_standby_alone_is_not_asked(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """It may still have images that were deleted."""
    with ExitStack() as stack:
        primary, standby = stack.enter_context(pair(tmp_path / "databases"))
        url = several(primary, standby)
        site = Site(http, stack.enter_context(servers.serve(tmp_path, DATABASE_URL=url, RENDERERS="1")))
        image_id = await site.upload(numbered(1))
        await caught_up(primary, standby)
        signal_all(processes(tmp_path / "databases"), signal.SIGKILL)
        for _ in range(3):  # the first one finds that its connection is gone
            status, text = await site.ask("GET", f"/{image_id}")
        assert status == 503
        assert "is a standby; retry when a server in DATABASE_URL takes writes" in text


async def test_a_primary_that_only_reads_is_read(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Some providers make a server read-only when its disk is nearly full."""
    with ExitStack() as stack:
        url = stack.enter_context(servers.postgres(tmp_path))
        site = Site(http, stack.enter_context(servers.serve(tmp_path, DATABASE_URL=url, RENDERERS="1")))
        image_id = await site.upload(numbered(1))
        run_sql(url, "ALTER ROLE imgsvc SET default_transaction_read_only = on")
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        run_sql(url, terminate + " AND backend_type = 'client backend'")
        status, text = await site.ask("POST", body=numbered(2))
        assert status == 503
        for _ in range(3):
            status, text = await site.ask("POST", body=numbered(2))
            assert (status, "the metadata database only reads at the moment; retry later" in text) == (503, True), text
            assert (await site.ask("GET", f"/{image_id}"))[0] == 200
        run_sql(url, "SET default_transaction_read_only = off", "ALTER ROLE imgsvc RESET default_transaction_read_only")
        await site.works(3)


async def caught_up(primary: str, standby: str) -> None:
    """Wait until the standby has what the primary has."""
    wanted = run_sql(primary, "SELECT pg_current_wal_lsn()")
    async with asyncio.timeout(20):
        while run_sql(standby, f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'") != "t":
            await asyncio.sleep(0.05)


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def test_pgbouncer_in_transaction_mode(postgres_url: str, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Uploads, deletions, purges, sweeps and the list, with fewer connections of PostgreSQL than of clients."""
    url = new_database(postgres_url)
    with ExitStack() as stack:
        pooled = stack.enter_context(servers.pgbouncer(tmp_path / "pgbouncer", url, default_pool_size="12"))
        settings = {
            "DATABASE_URL": pooled,
            "DATABASE_PREPARED_STATEMENTS": "false",
            "DATABASE_POOL": "20",
            "AUTH": "auto",  # AUTH=open is a warning
            "SWEEP_SECONDS": "1",
            "RENDERERS": "1",
        }
        site = Site(http, stack.enter_context(servers.serve(tmp_path, **settings)))

        async def visit(number: int) -> None:
            image_id = await site.upload(numbered(number % 40))
            for method, path, wanted in [
                ("GET", f"/{image_id}", 200),
                ("GET", f"/{image_id}.png?thumb=9", 200),
                ("GET", "?limit=5", 200),
                ("DELETE", f"/{image_id}", 204),
                ("GET", f"/{image_id}", 410),
            ]:
                status, text = await site.ask(method, path)
                assert status == wanted, text

        for start in range(0, 120, 20):
            await asyncio.gather(*(visit(number) for number in range(start, start + 20)))
        log = site.served.log.read_text()
        assert not re.search(" (WARNING|ERROR) ", log), log[-3000:]


async def test_a_pooler_that_loses_prepared_statements_is_named(
    postgres_url: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    url = new_database(postgres_url)
    with ExitStack() as stack:
        pooled = stack.enter_context(servers.pgbouncer(tmp_path / "pgbouncer", url, default_pool_size="2"))
        connections = [await asyncpg.connect(pooled, statement_cache_size=0) for _ in range(3)]
        log = tmp_path / "imgsvc.log"
        try:
            site = Site(http, stack.enter_context(servers.serve(tmp_path, DATABASE_URL=pooled, RENDERERS="1")))
            async with asyncio.timeout(20):
                text = ""
                while "set DATABASE_PREPARED_STATEMENTS=false" not in text:
                    answers = await asyncio.gather(*(site.ask("GET", "?limit=5") for _ in range(10)))
                    text = "".join(text for status, text in answers if status == 503)
        except pytest.fail.Exception:  # or it does not even start
            assert "set DATABASE_PREPARED_STATEMENTS=false" in log.read_text()
        for connection in connections:
            await connection.close()
