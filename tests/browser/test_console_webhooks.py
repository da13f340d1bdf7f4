"""Webhooks in the console, with a real receiver."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.browser.chromium import Browser
from tests.browser.console import Console
from tests.imgsvc.sites import Site, bearer, closed_site
from tests.receiver import Receiver

SAID = "document.querySelector('.key [role=status]').innerText"


@pytest.fixture
def site(tmp_path: Path, http: aiohttp.ClientSession) -> Iterator[Site]:
    with closed_site(tmp_path, http, WEBHOOK_ALLOWED_NETWORKS='["127.0.0.0/8"]') as site:
        yield site


def _failed(site: Site, webhook_id: str, event_id: str = "evt_1", **others: object) -> None:
    """An event that was not confirmed within a day, or that waits."""
    with closing(sqlite3.connect(site.folder / "images.sqlite3")) as database:
        values = {
            "webhook_id": webhook_id,
            "event_id": event_id,
            "type": "image.deleted",
            "body": '{"type": "image.deleted"}',
            **dict.fromkeys(("added_at", "due_at", "give_up_at", "failed_at"), 0),
            "attempts": 9,
            "status": 500,
            "reason": "it broke",
            "answer": "",
            **others,
        }
        marks = ", ".join(f":{name}" for name in values)
        database.execute(f"INSERT INTO deliveries ({', '.join(values)}) VALUES ({marks})", values)
        database.commit()


async def test_a_webhook_is_made_tested_and_deleted(browser: Browser, site: Site) -> None:
    console = Console(browser, site.url)
    with console.sized(1440):
        await console.open("#/webhooks", site.key, "document.querySelector('.empty')")
        async with Receiver().running() as receiver:
            secret = await _made(console, receiver.url)
            await console.click(await console.element(f"//button[@aria-label='Send a test: {receiver.url}']"))
            await console.until(f"{SAID}.startsWith('The test arrived: 204')")
            (tested,) = await receiver.take(1)
            assert tested.verified(secret)["type"] == "webhook.test"
            image_id = await site.upload(bearer(site.key))
            await site.request("DELETE", f"/v1/images/{image_id}", bearer(site.key))
            assert (await receiver.take(2))[1].event["type"] == "image.deleted", "it is not told of the upload"
            receiver.status, receiver.answer = 500, b"on fire"
            await console.click(f"Send a test: {receiver.url}")
            await console.until(f"{SAID}.includes('on fire')")
            receiver.status = 204
            webhook_id = (await site.json("GET", "/v1/webhooks", site.key))[1]["webhooks"][0]["webhook_id"]  # type: ignore[index]
            _failed(site, webhook_id)
            _failed(site, webhook_id, "evt_2", failed_at=None, due_at=2**42, reason="it is slow")
            await console.click(f"Failures: {receiver.url}")
            assert "it broke" in await console.text("dialog .card")
            assert await console.text("dialog p") == "1 event waits: it is slow"
            assert await console.findings() == []
            await console.click("Send again")
            await console.until("document.querySelector('dialog').innerText.includes('No event has failed')")
            assert "evt_1" in {each.event_id for each in await receiver.take(4)}
        await console.click("Close")
        await console.until("!document.querySelector('dialog[open]')")
        await console.click(f"Delete: {receiver.url}")
        await console.click(await console.element("//dialog//button[normalize-space(.)='Delete']"))
        await console.until("document.querySelector('.empty')")
    assert (await site.json("GET", "/v1/webhooks", site.key))[1] == {"webhooks": []}


async def _made(console: Console, url: str) -> str:
    """Create a webhook for deletions, after two mistakes, and return its secret."""
    await console.click("New webhook")
    await console.fill("dialog input[name=url]", "http://10.0.0.1/")
    await console.click("Create webhook")
    assert "is not a public address" in await console.text(".field:has(input[name=url]) .mistake")
    assert await console.findings() == []
    await console.fill("dialog input[name=url]", url)
    await console.fill("dialog input:not([name])", "My Shop")
    await console.click("Create webhook")
    assert "is not a name for a space" in await console.text(".field:has(input:not([name])) .mistake")
    await console.fill("dialog input:not([name])", "")
    await console.click(await console.element("dialog input[name='image.deleted']"))
    await console.click("Create webhook")
    secret = await console.text(".secret code")
    assert secret.startswith("whsec_")
    assert await console.findings() == []
    await console.click("I have copied it")
    await console.until("document.querySelector('.key')")
    return secret
