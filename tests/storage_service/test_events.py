"""Events reach each receiver that wants them, whatever happens meanwhile."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import WebhookVerificationError

from service_kit.access import EVERYTHING, Visibility
from service_kit.errors import BadRequest, Forbidden, NotFound, Unavailable
from service_kit.http.server import Runner, listen
from service_kit.jobs import Outcome, Settlement
from storage_service import deliveries as deliveries_module
from storage_service import delivering as delivering_module
from storage_service import emptying as emptying_module
from storage_service import events as events_module
from storage_service import receivers as receivers_module
from storage_service.app import describing
from storage_service.audit import AuditTrail
from storage_service.blobs import Blobs
from storage_service.caches import Caches
from storage_service.changes import Change, Changes
from storage_service.deliveries import Deliveries
from storage_service.delivering import Delivering
from storage_service.events import Events, EventType
from storage_service.jobs import Jobs, job_for_upload
from storage_service.library import Library
from storage_service.metadata.base import Labels, MetadataStore, Space, create_store
from storage_service.names import Names
from storage_service.purging import Purger
from storage_service.receivers import Receivers
from storage_service.settings import StorageSettings
from storage_service.subscriptions import NewSecret, Subscriptions, WebhookChange
from storage_service.validation import Validator
from tests.receiver import Received, Receiver
from tests.storage_service.conftest import derived
from tests.storage_service.test_metadata import NOW, add, record, run_sql, store_config
from tests.tls.proxy import write_certificate

LOOPBACK = (ip_network("127.0.0.0/8"),)
MASTER = b"a secret of the service, for tests"


@dataclass
class Node:
    """What a process of the storage service does about events."""

    store: MetadataStore
    receivers: Receivers
    events: Events = field(init=False)
    deliveries: Deliveries = field(init=False)
    subscriptions: Subscriptions = field(init=False)

    def __post_init__(self) -> None:
        self.events = Events(self.store, describing(StorageSettings(public_url="https://images.example.com")))
        self.deliveries = Deliveries(self.store)
        audit = AuditTrail(self.store, 1000)
        self.subscriptions = Subscriptions(self.store, audit, self.events, self.deliveries, self.receivers)

    async def create(self, url: str, *events: str, space: str | None = None) -> NewSecret:
        return await self.subscriptions.create(url, events, space)

    async def happen(self, number: int = 1, space: str = "default") -> list[str]:
        """Add images with their events, and return their IDs."""
        images = [record(n, space=space) for n in range(number)]
        for image in images:
            async with self.store.lock_content(image.sha256) as content:
                await content.add(image, None, await self.events.about(EventType.CREATED, image))
            self.events.added()
        return [image.image_id for image in images]

    async def waiting(self) -> list[tuple[Any, ...]]:
        query = "SELECT event_id, attempts, due_at, status, reason FROM deliveries WHERE failed_at IS NULL"
        return [tuple(row) for row in await self.store.fetch(query)]

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        delivering = Delivering(self.events, self.deliveries, self.receivers)
        running = asyncio.create_task(delivering.run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await delivering.close()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Poll the database, which announces nothing, until a query returns something."""
        async with asyncio.timeout(30):
            while not (found := await condition()):
                await asyncio.sleep(0.01)
            return found


@pytest.fixture
async def node(store: MetadataStore) -> AsyncIterator[Node]:
    async with Receivers(MASTER, LOOPBACK) as receivers:
        yield Node(store, receivers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().running() as receiver:
        yield receiver


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other in milliseconds instead of seconds."""
    monkeypatch.setattr(deliveries_module, "_FIRST_PAUSE_MS", 10)
    monkeypatch.setattr(deliveries_module, "_LONGEST_PAUSE_MS", 30)
    monkeypatch.setattr(deliveries_module, "_LONGEST_REST_MS", 10)


def image_ids(received: list[Received]) -> list[str]:
    return [each.event["data"]["image"]["image_id"] for each in received]


async def test_without_a_webhook_nothing_is_written_and_hardly_anything_is_asked(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_KNOWN_SECONDS", 1000)
    asked, fetch = 0, node.store.fetch

    async def counted(query: str, *values: object) -> Any:
        nonlocal asked
        asked += 1
        return await fetch(query, *values)

    node.store.fetch = counted  # type: ignore[method-assign]
    for number in range(50):
        assert await node.events.about(EventType.CREATED, record(number)) == []
    assert asked == 1


async def test_an_event_is_signed_as_standard_webhooks_say(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    async with node.sending():
        (image_id,) = await node.happen()
        (received,) = await receiver.take(1)
        await node.until(lambda: _none(node.waiting()))
    event = received.verified(made.secret)
    assert event["type"] == "image.created"
    assert abs(datetime.fromisoformat(event["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert event["data"]["image"]["url"] == f"https://images.example.com/v1/images/{image_id}"
    assert {"sha256", "visibility", "space", "tags", "width"} <= event["data"]["image"].keys()
    assert received.headers["content-type"] == "application/json"
    assert received.event_id.startswith("evt_")
    with pytest.raises(WebhookVerificationError):
        Received(received.headers, received.body + b" ").verified(made.secret)


async def _none(awaitable: Any) -> bool:
    return not await awaitable


async def test_a_webhook_gets_the_events_it_wants(node: Node, receiver: Receiver) -> None:
    await node.create(receiver.url, "image.deleted", "image.replaced")
    image = record()
    for kind in EventType:
        statements = await node.events.about(kind, image, name="a/b.jpg")
        await node.store.change_together(*statements)
    async with node.sending():
        received = await receiver.take(2)
        await node.until(lambda: _none(node.waiting()))
    assert sorted(each.event["type"] for each in received) == ["image.deleted", "image.replaced"]
    assert {each.event["data"]["name"] for each in received} == {"a/b.jpg"}


async def test_a_webhook_of_a_space_is_told_about_its_images_only(node: Node, receiver: Receiver) -> None:
    async with Receiver().running() as everything:
        await node.create(receiver.url, space="shop")
        await node.create(everything.url)
        async with node.sending():
            (shop,) = await node.happen(space="shop")
            (other,) = await node.happen(space="blog")
            assert set(image_ids(await everything.take(2))) == {shop, other}
            await node.until(lambda: _none(node.waiting()))
    assert image_ids(receiver.received) == [shop]


async def test_an_upload_that_is_refused_adds_no_event(node: Node, receiver: Receiver) -> None:
    await node.create(receiver.url)
    await node.store.set_space(Space(space="full", max_images=0))
    with pytest.raises(Forbidden):
        await node.happen(space="full")
    assert not await node.waiting()


async def test_the_use_cases_add_events(node: Node, receiver: Receiver, tmp_path: Path) -> None:
    """Uploads, changes, releases, deletions and jobs."""
    made = await node.create(receiver.url)
    blobs, image = Blobs(f"file://{tmp_path}"), record(visibility="pending", bytes=1)
    async with Caches(()) as caches, node.sending():
        purger, audit = Purger(node.store, caches), AuditTrail(node.store, 1000)
        parts = {**derived(node.store, blobs), "events": node.events}
        library = Library(node.store, blobs, Validator(StorageSettings()), purger, audit, **parts)
        changes = Changes(node.store, library, purger, audit, node.events)
        await add(node.store, image)
        await changes.apply(image.image_id, Change(Labels(title="Sea", focus_x=0.5, focus_y=0.5)), EVERYTHING)
        await changes.apply(image.image_id, Change(Labels(title="Sea")), EVERYTHING)
        (updated,) = await receiver.take(1)
        await changes.apply(image.image_id, Change(Labels(), Visibility.PUBLIC), EVERYTHING)
        *_, released = await receiver.take(2)
        jobs = Jobs(node.store, node.events)
        await node.store.change_together(job_for_upload(image.sha256, image.created_at))
        job = await jobs.claim()
        assert job
        await jobs.settle(Settlement(job=job, outcome=Outcome.DONE))
        await jobs.settle(Settlement(job=job, outcome=Outcome.DONE))
        *_, precomputed = await receiver.take(3)
        await library.delete(image.image_id)
        received = await receiver.take(4)
    assert updated.verified(made.secret)["type"] == "image.updated"
    assert updated.event["data"]["changed"] == ["focus", "title"]
    assert updated.event["data"]["image"]["title"] == "Sea"
    assert released.event["type"] == "image.released"
    assert released.event["data"]["image"]["visibility"] == "public"
    assert precomputed.event["type"] == "image.precomputed"
    assert precomputed.event["data"]["chains"] == []
    assert received[-1].event["type"] == "image.deleted"
    assert len(received) == 4
    assert set(image_ids(received)) == {image.image_id}


async def test_a_job_tells_about_the_images_that_were_created_since_it_was_added(node: Node) -> None:
    """Otherwise, whoever uploads the same bytes again and again would flood all webhooks."""
    await node.create("https://example.com/hook", "image.precomputed")
    jobs = Jobs(node.store, node.events)
    before = [record(created_at=NOW + timedelta(seconds=number)) for number in range(3)]
    new = [record(created_at=NOW + timedelta(seconds=10 + number), space="other") for number in range(2)]
    await add(node.store, *before, *new)
    for image in reversed(new):  # their transactions may end in any order
        await node.store.change_together(job_for_upload(image.sha256, image.created_at))
    await _do(jobs)
    told = [row[0] for row in await node.store.fetch("SELECT body FROM deliveries")]
    assert {json.loads(body)["data"]["image"]["image_id"] for body in told} == {image.image_id for image in new}
    await jobs.add_later([before[0].sha256], 0)  # as for a chain that is precomputed from now on
    await _do(jobs)
    assert len(await node.waiting()) == len(told) == 2


async def _do(jobs: Jobs) -> None:
    job = await jobs.claim()
    assert job
    await jobs.settle(Settlement(job=job, outcome=Outcome.DONE))
    assert await jobs.claim() is None


async def test_a_name_that_shows_another_image_is_an_event(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url, "image.replaced")
    before, after = record(1), record(2)
    await add(node.store, before, after)
    async with Caches(()) as caches, node.sending():
        names = Names(node.store, caches, AuditTrail(node.store, 1000), node.events)
        await names.point("shop/hero.jpg", before, EVERYTHING)
        await names.point("shop/hero.jpg", after, EVERYTHING)
        (received,) = await receiver.take(1)
        await node.until(lambda: _none(node.waiting()))
    data = received.verified(made.secret)["data"]
    assert (data["name"], data["image"]["image_id"]) == ("shop/hero.jpg", after.image_id)
    assert data["previous_image_id"] == before.image_id
    assert len(receiver.received) == 1


@pytest.mark.usefixtures("soon")
async def test_what_a_receiver_missed_while_it_was_down_arrives(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    made = await node.create(f"http://127.0.0.1:{port}/hook")
    async with node.sending():
        images = await node.happen(5)
        await node.until(lambda: _failing(node, made))
        async with Receiver().running(port) as receiver:
            received = await receiver.take(5)
            await node.until(lambda: _none(node.waiting()))
    assert sorted(image_ids(received)) == sorted(images)
    assert (await node.subscriptions.find(made.webhook.webhook_id)).failing_since is None


async def _failing(node: Node, made: NewSecret) -> bool:
    return (await node.subscriptions.find(made.webhook.webhook_id)).failures > 2


@pytest.mark.usefixtures("soon")
async def test_a_receiver_that_answers_500_gets_the_same_event_again(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    receiver.status = 500
    async with node.sending():
        await node.happen()
        await receiver.take(3)
        receiver.status = 200
        await node.until(lambda: _none(node.waiting()))
    assert len({(each.event_id, each.body) for each in receiver.received}) == 1
    assert all(each.verified(made.secret) for each in receiver.received)


async def test_a_receiver_that_is_slow_delays_no_other(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers_module, "SECONDS", 100)
    receiver.hold = asyncio.Event()
    await node.create(receiver.url)
    async with Receiver().running() as fast:
        await node.create(fast.url)
        async with node.sending():
            images = await node.happen(30)
            assert sorted(image_ids(await fast.take(30))) == sorted(images)
            assert len(receiver.received) <= 4
            receiver.hold.set()
            await receiver.take(30)


async def test_a_receiver_has_some_seconds_to_answer(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers_module, "SECONDS", 0.2)
    receiver.hold = asyncio.Event()
    made = await node.create(receiver.url)
    async with node.sending():
        await node.happen()
        (failing,) = await node.until(lambda: _failed_once(node))
    assert failing[4] == "the receiver did not answer within 0.2 s"
    assert (await node.subscriptions.find(made.webhook.webhook_id)).paused_until > made.webhook.created_at


async def _failed_once(node: Node) -> list[tuple[Any, ...]]:
    return [row for row in await node.waiting() if row[4]][:1]


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_several_nodes_send_each_event_once(node: Node, receiver: Receiver) -> None:
    await node.create(receiver.url)
    another = create_store(store_config(node.store))
    await another.open()
    async with node.sending(), Node(another, node.receivers).sending():
        await node.happen(60)
        await receiver.take(60)
        await node.until(lambda: _none(node.waiting()))
    await another.close()
    assert len({each.event_id for each in receiver.received}) == len(receiver.received) == 60


async def test_another_node_sends_what_a_dead_one_had_claimed(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    await node.happen()
    (lost,), _ = await node.deliveries.claim(made.webhook, 4)
    assert (await node.deliveries.claim(made.webhook, 4))[0] == []
    await run_sql(node.store, f"UPDATE deliveries SET due_at = due_at - {deliveries_module._CLAIM_MS}")
    async with node.sending():
        (received,) = await receiver.take(1)
        await node.until(lambda: _none(node.waiting()))
    assert received.event_id == lost.event_id


async def test_an_event_that_was_committed_just_before_a_node_died_is_sent(node: Node, receiver: Receiver) -> None:
    await node.create(receiver.url)
    image = record()
    async with node.store.lock_content(image.sha256) as content:
        await content.add(image, None, await node.events.about(EventType.CREATED, image))
    async with node.sending():
        assert image_ids(await receiver.take(1)) == [image.image_id]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_service_that_stops_waits_for_an_attempt_in_progress(node: Node, receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    await node.create(receiver.url)
    async with node.sending():
        await node.happen()
        await receiver.take(1)
        asyncio.get_running_loop().call_later(0.1, receiver.hold.set)
    assert not await node.waiting()


async def test_410_disables_a_webhook(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    webhook_id = made.webhook.webhook_id
    receiver.status = 410
    async with node.sending():
        await node.happen()
        await node.until(lambda: _disabled(node, webhook_id))
        await node.happen()
    webhook = await node.subscriptions.find(webhook_id)
    assert webhook.reason == "the receiver answered 410 Gone"
    (failure,) = await node.subscriptions.failures(webhook_id, 9)
    assert (failure.status, failure.reason) == (410, "the receiver answered 410")
    with pytest.raises(BadRequest, match="is disabled; enable it first"):
        await node.subscriptions.retry(webhook_id, failure.event_id)
    receiver.status = 204
    await node.subscriptions.change(webhook_id, WebhookChange(enabled=True))
    await node.subscriptions.retry(webhook_id, failure.event_id)
    async with node.sending():
        *_, last = await receiver.take(2)
        await node.until(lambda: _none(node.waiting()))
    assert last.event_id == failure.event_id
    assert not await node.subscriptions.failures(webhook_id, 9)


async def _disabled(node: Node, webhook_id: str) -> bool:
    return (await node.subscriptions.find(webhook_id)).disabled_at is not None


@pytest.mark.usefixtures("soon")
async def test_a_webhook_that_has_failed_for_days_is_disabled(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    webhook_id = made.webhook.webhook_id
    receiver.status = 503
    long_ago = int((time.time() - 3 * 86400 - 5) * 1000)
    await run_sql(node.store, f"UPDATE webhooks SET failing_since = {long_ago}, failures = 9")
    await node.happen(3)
    async with node.sending():
        await node.until(lambda: _disabled(node, webhook_id))
    webhook = await node.subscriptions.find(webhook_id)
    assert webhook.reason == "nothing was confirmed for three days; at last, the receiver answered 503"
    assert len(await node.subscriptions.failures(webhook_id, 9)) == 3
    assert not await node.waiting()


@pytest.mark.usefixtures("soon")
async def test_an_event_fails_after_a_day_and_can_be_sent_again(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    webhook_id = made.webhook.webhook_id
    receiver.status, receiver.answer = 422, b"no such \xff shop\0" + b"x" * 5000
    await node.happen()
    await run_sql(node.store, f"UPDATE deliveries SET give_up_at = {int(time.time() * 1000)}")
    async with node.sending():
        (failure,) = await node.until(lambda: node.subscriptions.failures(webhook_id, 9))
        assert (failure.status, failure.reason, failure.attempts) == (422, "the receiver answered 422", 1)
        assert failure.answer.startswith("no such \N{REPLACEMENT CHARACTER} shop\N{REPLACEMENT CHARACTER}xx")
        assert len(failure.answer) <= 512
        receiver.status = 200
        await node.subscriptions.retry(webhook_id, failure.event_id)
        await receiver.take(2)
        await node.until(lambda: _none(node.waiting()))
    with pytest.raises(NotFound, match="no event 'evt_x' has failed"):
        await node.subscriptions.retry(webhook_id, "evt_x")
    assert not await node.subscriptions.failures(webhook_id, 9)


async def test_what_waits_for_hours_can_be_sent_now(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries_module, "_FIRST_PAUSE_MS", 3_600_000)
    webhook_id = (await node.create(receiver.url)).webhook.webhook_id
    receiver.status = 500
    assert await node.subscriptions.waiting(webhook_id) == (0, "")
    async with node.sending():
        await node.happen(2)
        await node.until(lambda: _tried(node, 1))
        number, reason = await node.subscriptions.waiting(webhook_id)
        assert (number, reason) == (2, "the receiver answered 500")
        receiver.status = 200
        await node.subscriptions.hurry(webhook_id)
        await node.until(lambda: _none(node.waiting()))


async def _tried(node: Node, number: int) -> bool:
    """Whether so many attempts have ended."""
    return len([reason for *_, reason in await node.waiting() if reason]) >= number


async def test_pauses_grow_to_hours_and_end_within_a_day() -> None:
    pauses = [deliveries_module._pause(attempts) / 1000 for attempts in range(1, 20)]
    assert 1.6 <= pauses[0] <= 2.4
    assert all(pause <= 3 * 3600 * 1.2 for pause in pauses)
    assert sum(pauses) > 86400


async def test_redirects_are_not_followed(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    receiver.status, receiver.headers = 302, {"Location": "http://169.254.169.254/latest/meta-data"}
    answer = await node.subscriptions.test(made.webhook.webhook_id)
    assert (answer.status, answer.reason) == (302, "the receiver answered 302, and events do not follow redirects")
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/", "is not a public address"),
        ("http://10.0.0.1/", "is not a public address"),
        ("http://[::1]/", "is not a public address"),
        ("http://[::ffff:127.0.0.1]/", "is not a public address"),
        ("ftp://example.com/", "is not the URL of a receiver"),
        ("https:///x", "is not"),
        ("http://example.com:99999/", "is not a valid URL"),
        ("https://user:secret@example.com/", "has a user or a password"),
        ("/hook", "is not the URL of a receiver"),
        ("http://h/\0x", "has a space, a line break or a control character"),
        ("http://a\r\nb/", "has a space, a line break or a control character"),
        ("http://h/a b", "has a space, a line break or a control character"),
        ("http://h/\ud800", "has a space, a line break or a control character"),
        ("http://h:0/", "has the port 0"),
    ],
)
async def test_urls_that_are_no_receivers_are_refused(url: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        Receivers(MASTER, ()).check(url)


async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    receiver: Receiver, store: MetadataStore
) -> None:
    async with Receivers(MASTER, ()) as guarded:
        strict = Node(store, guarded)
        made = await strict.create(receiver.url.replace("127.0.0.1", "localhost"))
        answer = await strict.subscriptions.test(made.webhook.webhook_id)
    assert answer.reason == "the URL leads to an address that is not public (WEBHOOK_ALLOWED_NETWORKS)"
    assert not receiver.received


async def test_what_keeps_a_receiver_from_being_reached_is_told(node: Node, tmp_path: Path) -> None:
    write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    secure = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(lambda _, writer: _greet(writer), "127.0.0.1", 0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port, plain_port = closed.getsockname()[1], plain.sockets[0].getsockname()[1]
        reasons = {
            f"https://127.0.0.1:{secure.sockets[0].getsockname()[1]}/": (
                "the certificate of 127.0.0.1 is not trusted (self-signed certificate); use one of a public certificate"
                " authority"
            ),
            "https://receiver.onion/": (  # which no name server knows (RFC 7686)
                "the host name receiver.onion was not found; check the URL, and the name servers of this machine"
            ),
            f"http://127.0.0.1:{port}/": (
                f"127.0.0.1:{port} accepts no connection; check that the receiver runs, its port and firewalls"
            ),
            f"https://127.0.0.1:{plain_port}/": (
                f"127.0.0.1:{plain_port} does not speak TLS as it should; check its port, or use http://"
            ),
        }
        for url, reason in reasons.items():
            made = await node.create(url)
            assert (await node.subscriptions.test(made.webhook.webhook_id)).reason == reason
    secure.close()
    plain.close()


def _greet(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def test_an_endless_answer_is_not_read_to_its_end(node: Node) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65536)
                sent += 65536
        return response

    app = web.Application()
    app.router.add_post("/", endless)
    runner = Runner(app)
    await runner.setup()
    made = await node.create(f"{await listen(runner, '127.0.0.1', 0)}/")
    answer = await node.subscriptions.test(made.webhook.webhook_id)
    await runner.cleanup()
    assert (answer.status, answer.text) == (500, "x" * 512)
    assert sent < 64 * 1024**2


async def test_a_rotated_secret_is_used_together_with_the_old_one_for_a_while(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    webhook_id = made.webhook.webhook_id
    rotated = await node.subscriptions.rotate(webhook_id, timedelta(minutes=5))
    assert rotated.secret != made.secret
    await node.subscriptions.test(webhook_id)
    assert receiver.received[-1].verified(made.secret) == receiver.received[-1].verified(rotated.secret)
    assert len(receiver.received[-1].headers["webhook-signature"].split()) == 2
    await run_sql(node.store, "UPDATE webhooks SET previous_until = 1")
    await node.subscriptions.test(webhook_id)
    assert receiver.received[-1].verified(rotated.secret)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        receiver.received[-1].verified(made.secret)


async def test_a_test_says_what_the_receiver_said(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    assert not (await node.subscriptions.test(made.webhook.webhook_id)).reason
    receiver.status, receiver.answer = 401, b"who are you?"
    answer = await node.subscriptions.test(made.webhook.webhook_id)
    assert (answer.status, answer.reason, answer.text) == (401, "the receiver answered 401", "who are you?")
    assert not await node.waiting()


async def test_failures_are_bounded(node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying_module, "_MOST_FAILED", 3)
    made = await node.create(receiver.url)
    webhook_id = made.webhook.webhook_id
    await node.happen(6)
    await node.subscriptions.change(webhook_id, WebhookChange(enabled=False))
    failed = await node.subscriptions.failures(webhook_id, 99)
    for number, failure in enumerate(failed):
        await run_sql(
            node.store,
            f"UPDATE deliveries SET failed_at = {made.webhook.created_at + number}"
            f" WHERE event_id = '{failure.event_id}'",
        )
    await node.deliveries.sweep()
    assert [each.event_id for each in await node.subscriptions.failures(webhook_id, 99)] == [
        each.event_id for each in failed[:2:-1]
    ]
    await run_sql(node.store, "UPDATE deliveries SET failed_at = 5")
    await node.deliveries.sweep()
    assert not await node.subscriptions.failures(webhook_id, 99)


async def test_what_is_too_much_for_a_receiver_fails_and_the_webhook_goes_on(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting many images at once is no fault of a receiver that works."""
    monkeypatch.setattr(emptying_module, "_MOST_WAITING", 5)
    monkeypatch.setattr(emptying_module, "_BATCH", 2)
    made = await node.create(receiver.url)
    webhook_id = made.webhook.webhook_id
    await node.happen(5)
    await node.deliveries.sweep()
    assert len(await node.waiting()) == 5
    await run_sql(node.store, "UPDATE deliveries SET due_at = due_at - 1000")
    newest = await node.happen(5)
    await node.deliveries.sweep()
    failed = await node.subscriptions.failures(webhook_id, 99)
    assert {json.loads(each.body)["data"]["image"]["image_id"] for each in failed} == set(newest)
    assert {each.reason for each in failed} == {"more than 5 events waited for the receiver"}
    assert not await _disabled(node, webhook_id)
    async with node.sending():
        await receiver.take(5)
        await node.until(lambda: _none(node.waiting()))


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_webhook_for_which_many_events_wait_can_be_disabled(
    node: Node, receiver: Receiver, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement about all of them may take longer than the database may."""
    monkeypatch.setattr(emptying_module, "_BATCH", 2)
    numbers, change = [], node.store.change

    async def counted(statement: str, *values: object) -> int:
        numbers.append(await change(statement, *values))
        return numbers[-1]

    monkeypatch.setattr(node.store, "change", counted)
    webhook_id = (await node.create(receiver.url)).webhook.webhook_id
    await node.happen(5)
    if by_hand:
        await node.subscriptions.change(webhook_id, WebhookChange(enabled=False))
    else:
        await node.deliveries.disable(webhook_id, "it was disabled by hand")
    assert await _disabled(node, webhook_id)
    assert len(await node.waiting()) == 3
    await node.deliveries.sweep()
    assert not await node.waiting()
    failures = await node.subscriptions.failures(webhook_id, 9)
    assert [each.reason for each in failures] == ["it was disabled by hand"] * 5
    assert max(numbers) == 2


async def test_a_webhook_is_disabled_even_if_what_waits_cannot_fail_now(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id = (await node.create(receiver.url)).webhook.webhook_id
    await node.happen(2)
    with monkeypatch.context() as broken:
        _refuse(broken, node.store, "UPDATE deliveries")
        webhook = await node.subscriptions.change(webhook_id, WebhookChange(enabled=False))
    assert webhook.disabled_at
    await node.subscriptions.change(webhook_id, WebhookChange(enabled=True))
    await emptying_module.fail_waiting(node.store, webhook_id, "too late: it was enabled")
    async with node.sending():
        await receiver.take(2)
        await node.until(lambda: _none(node.waiting()))


async def test_a_part_of_the_sweep_that_fails_stops_no_other(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded, other = await node.create(receiver.url, space="crowded"), await node.create(receiver.url, space="other")
    await node.happen(2, "crowded")
    await node.happen(2, "other")
    await run_sql(node.store, "UPDATE deliveries SET failed_at = 5")
    with monkeypatch.context() as broken:
        _refuse(broken, node.store, "DELETE", crowded.webhook.webhook_id)
        await node.deliveries.sweep()
    assert len(await node.subscriptions.failures(crowded.webhook.webhook_id, 9)) == 2
    assert not await node.subscriptions.failures(other.webhook.webhook_id, 9)
    await node.deliveries.sweep()
    assert not await node.subscriptions.failures(crowded.webhook.webhook_id, 9)


def _refuse(monkeypatch: pytest.MonkeyPatch, store: MetadataStore, beginning: str, value: str | None = None) -> None:
    """Let statements fail that begin so, and have the value, unless it is None."""
    change = store.change

    async def refused(statement: str, *values: object) -> int:
        if statement.strip().startswith(beginning) and value in {None, *values}:
            raise Unavailable("the database is too slow; retry later")
        return await change(statement, *values)

    monkeypatch.setattr(store, "change", refused)


async def test_sweeps_repeat_whatever_happens(node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering_module, "_SWEPT_EVERY", 0.01)
    sweeps, again = 0, asyncio.Event()

    async def sweep() -> None:
        nonlocal sweeps
        sweeps += 1
        if sweeps == 1:
            raise Unavailable("the database is too slow; retry later")
        if sweeps == 2:
            raise ZeroDivisionError
        again.set()

    monkeypatch.setattr(node.deliveries, "sweep", sweep)
    await node.create(receiver.url)
    async with node.sending(), asyncio.timeout(30):
        await again.wait()
        await node.happen()
        await receiver.take(1)


async def test_the_sweep_removes_what_a_deleted_webhook_leaves(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying_module, "_BATCH", 2)
    gone, kept = await node.create(receiver.url), await node.create(receiver.url)
    await node.happen(5)
    await node.subscriptions.delete(gone.webhook.webhook_id)
    assert len(await node.waiting()) == 8
    await node.deliveries.sweep()
    query = "SELECT webhook_id FROM deliveries"
    assert [row[0] for row in await node.store.fetch(query)] == [kept.webhook.webhook_id] * 5


async def test_a_deleted_webhook_leaves_nothing(node: Node, receiver: Receiver) -> None:
    made = await node.create(receiver.url)
    await node.happen(2)
    await node.subscriptions.delete(made.webhook.webhook_id)
    assert not await node.waiting()
    assert not await node.subscriptions.all()
    with pytest.raises(NotFound, match="there is no webhook"):
        await node.subscriptions.test(made.webhook.webhook_id)


async def test_there_are_at_most_a_hundred_webhooks(node: Node) -> None:
    for _ in range(100):
        await node.create("https://example.com/hook")
    with pytest.raises(BadRequest, match="there are 100 webhooks already"):
        await node.create("https://example.com/hook")


async def test_the_body_of_an_event_is_compact_json(node: Node) -> None:
    await node.create("https://example.com/hook")
    ((_, _, kind, body, *_),) = await node.events.about(EventType.DELETED, record(title="Zoë"))
    assert kind == "image.deleted"
    assert json.loads(str(body))["data"]["image"]["title"] == "Zoë"
