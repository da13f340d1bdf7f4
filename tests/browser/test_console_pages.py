# ruff: noqa: E501  # a table of scenes
"""Every page of the console in every state, on a phone, a tablet and a desk, in light and in dark.

With the variable CONSOLE_SHOTS, all pictures are in that folder, for people to look at.
"""

import gzip
import itertools
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from imaging.formats import EXTENSIONS, FORMATS
from imaging.looks import Colour
from pages.routes import FOLDER
from service_kit.access import Scope
from service_kit.usage import Outcome
from tests import pictures
from tests.browser.chromium import Browser
from tests.browser.console import HEIGHTS, Console
from tests.browser.gate import Gate
from tests.imgsvc.sites import JPEG, PHOTO, Site, bearer, closed_site
from transform_service.chain import parse
from transform_service.operations.base import load_operations

SHOTS = os.environ.get("CONSOLE_SHOTS")
_SOME = ((390, "dark"), (1440, "light"))
MOST_BYTES = 80_000
MOST_SHIFT = 0.02
LIST, INFO, USAGE = "GET /v1/images[?]", "GET /v1/images/[0-9a-f]+/info", "GET /v1/usage"
PICTURES = "[...document.images].every((each) => each.complete && each.naturalWidth)"
SETTLED = "document.querySelector('.stage').ariaBusy === 'false'"


def test_the_console_is_small() -> None:
    """All that a browser may load, compressed as the service does it."""
    folders = ("console", "vendored/preact", "vendored/htm")
    files = [path for name in folders for path in (FOLDER / name).rglob("*") if path.suffix in {".js", ".css", ".html"}]
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in [*files, FOLDER / "chain.schema.json"]}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


@dataclass
class Scene:
    """A page in a state: how it gets there, and what tells that it is there."""

    path: str
    shown: str
    key: str = "admin"
    act: Callable[[Console], Awaitable[None]] | None = None
    answers: tuple[tuple[str, int, str], ...] = ()
    holds: str = ""
    still: str = ""
    """The same, when `act` has led to another page."""
    complaints: int = 0
    """How many failed requests the browser reports."""


@dataclass
class Shelf:
    """Keys of spaces with some images, by name."""

    keys: dict[str, str]
    images: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service of its own: usage shows what all tests request."""
    with closed_site(tmp_path_factory.mktemp("pages"), http, WEBHOOK_ALLOWED_NETWORKS='["127.0.0.0/8"]') as site:
        yield site


@pytest.fixture(scope="module")
async def shelf(closed: Site, wallpapers: list[Path]) -> Shelf:
    everything = ("read", "upload", "list", "metadata", "delete", "sign")
    keys = {
        name: closed.new_key(*everything, space=name)
        for name in ("pages-none", "pages-one", "pages-many", "pages-upload")
    }
    keys["admin"] = closed.key
    keys["reader"] = closed.new_key("list", "metadata", space="pages-many")
    shelf = Shelf(keys)
    paths = {path.parts[4]: path for path in wallpapers}  # one of each
    for number, path in enumerate(paths.values()):
        photo = bytes(
            pictures.pyvips.Image.thumbnail(str(path), 900 if number % 3 else 700, height=900).jpegsave_buffer(Q=80)
        )
        query = f"?title={path.parts[4]}&tags=wallpaper" if number % 4 else ""
        for name in ("pages-many", *(["pages-one"] if number == 0 else [])):
            headers = {**JPEG, **bearer(keys[name])}
            status, answer = await closed.request("POST", f"/v1/images{query}", headers, photo)
            assert status == 201, answer
            shelf.images.append(answer.split('"image_id": "')[1][:32])
    _count(closed, shelf.images)
    return shelf


def _count(site: Site, images: list[str]) -> None:
    """A day of requests. The service itself adds up only what was requested a while ago."""
    hour = int(time.time() // 3600)
    chains = ("webp?resize=320x240,cover", "auto?thumb=1200&compress=75", "jpg?resize=1200x630,cover", "original")
    with sqlite3.connect(site.folder / "images.sqlite3") as database:
        for ago, (place, chain) in itertools.product(range(24), enumerate(chains)):
            hits = 40 * (24 - ago) // (place + 1) + 25 * (ago % 5)
            rows = [(Outcome.HIT, hits, 0.0), (Outcome.RENDER, hits // 9 + 1, 900.0 / (place + 1))]
            rows = [(hour - ago, chain, str(outcome), count, cost, 9000 * count) for outcome, count, cost in rows]
            database.executemany("INSERT INTO usage_chains VALUES (?, ?, ?, ?, ?, ?)", rows)
        shown = [(hour - 1, image_id, 200 - 7 * place) for place, image_id in enumerate(images[:9])]
        database.executemany("INSERT INTO usage_images VALUES (?, ?, ?)", shown)
    database.close()


@pytest.fixture(scope="module")
async def gate(closed: Site) -> AsyncIterator[Gate]:
    async with Gate(closed.url) as gate:
        yield gate


async def _choose_two(console: Console) -> None:
    for place in (1, 2):
        await console.click(await console.element(f".tile[data-index='{place}'] input"))
    await console.until("document.querySelector('.selection')")


async def _upload(console: Console) -> None:
    folder = console.folder / "files"
    folder.mkdir(exist_ok=True)
    (folder / "harbour.jpg").write_bytes(PHOTO)
    (folder / "notes.jpg").write_text("no picture")
    (folder / "a photo with a rather long name, as cameras and people give them.jpg").touch()
    await console.drop(*sorted(folder.iterdir()))


async def _upload_all(console: Console) -> None:
    await _upload(console)
    await console.until("document.querySelectorAll('.upload.failed, .upload.done').length === 3")


async def _delete(console: Console) -> None:
    await console.click("Delete")
    await console.until("document.querySelector('.toast')")


async def _undo(console: Console) -> None:
    """Afterwards, since leaving the page would delete it."""
    if await console.run("!!document.querySelector('[data-undo]')"):
        await console.click("Undo")


async def _wrong_key(console: Console) -> None:
    await console.fill('input[name="key"]', "ik_short")
    await console.click("Sign in")
    await console.until("document.querySelector('.mistake')")


async def _filters(console: Console) -> None:
    await console.click("Filters")


async def _bad_metadata(console: Console) -> None:
    await console.fill('[name="metadata"]', "{oops")
    await console.click("Save")
    await console.until("document.querySelector('.mistake')")


async def _focus(console: Console) -> None:
    await console.click("Set a focal point")
    await console.until("document.querySelector('.focus-point')")


async def _compare(console: Console) -> None:
    await console.click(await console.element("//label[contains(., 'Compare')]"))
    await console.until(f"document.querySelector('.before')?.naturalWidth && {SETTLED}")


async def _palette(console: Console) -> None:
    await console.click("Add a step")


async def _plan(console: Console) -> None:
    await console.click(await console.element(".result summary"))
    await console.until("document.querySelector('.plan')")


async def _picture_code(console: Console) -> None:
    await console.click(await console.element("//label[contains(., '<picture>')]"))


async def _new_key(console: Console) -> None:
    await console.click("New key")
    await console.until("document.querySelector('dialog[open]')")


async def _made_key(console: Console) -> None:
    await _new_key(console)
    await console.fill("dialog input[maxlength]", "web shop")
    await console.click("Create key")
    await console.until("document.querySelector('.secret')")


async def _new_webhook(console: Console) -> None:
    await console.click("New webhook")
    await console.until("document.querySelector('dialog[open]')")


async def _tested_webhook(console: Console) -> None:
    """One whose receiver is not there."""
    await _new_webhook(console)
    await console.fill("dialog input[name=url]", f"http://127.0.0.1:9/{'hooks' * 30}")
    await console.click("Create webhook")
    await console.click("I have copied it")
    await console.click(await console.element(".key button"))
    await console.until("document.querySelector('.key [role=status]').innerText.includes('connection')")


async def _failures(console: Console) -> None:
    await console.click(await console.element(".key button:nth-child(2)"))
    await console.until("document.querySelector('dialog[open]')")


_VERSION = "#/images/IMAGE.webp"
_BUSY = (503, "the service is busy; try again in 5 seconds")
SCENES = {
    "sign-in": Scene("", "document.querySelector('.sign-in')", key=""),
    "sign-in-error": Scene("", "document.querySelector('.sign-in')", key="", act=_wrong_key),
    "sign-in-ended": Scene("", "document.querySelector('.notice')", key="ik_" + 12 * "0" + "_" + 43 * "x", complaints=1),
    "gallery-empty": Scene("", "document.querySelector('.empty.invites')", key="pages-none"),
    "gallery-one": Scene("", PICTURES, key="pages-one"),
    "gallery-full": Scene("", f"{PICTURES} && document.querySelectorAll('.tile').length > 5", key="pages-many"),
    "gallery-reader": Scene("", PICTURES, key="reader"),
    "gallery-filters": Scene("", PICTURES, key="pages-many", act=_filters),
    "gallery-chosen": Scene("", PICTURES, key="pages-many", act=_choose_two),
    "gallery-uploading": Scene("", PICTURES, key="pages-one", act=_upload, holds="POST /v1/images", still="document.querySelector('.uploads')"),
    "gallery-uploads-failed": Scene("", PICTURES, key="pages-upload", act=_upload_all, still="document.querySelector('.uploads')", complaints=1),
    "gallery-nothing-found": Scene("#/?q=nothing", "document.querySelector('.empty')", key="pages-many"),
    "gallery-error": Scene("", "document.querySelector('.failure')", key="pages-many", answers=((LIST, *_BUSY),), complaints=1),
    "gallery-slow": Scene("", "document.querySelectorAll('.skeleton').length > 3", key="pages-many", holds=LIST),
    "image": Scene("#/images/IMAGE", PICTURES, key="pages-many"),
    "image-reader": Scene("#/images/IMAGE", PICTURES, key="reader"),
    "image-mistake": Scene("#/images/IMAGE", PICTURES, key="pages-many", act=_bad_metadata),
    "image-focus": Scene("#/images/IMAGE", PICTURES, key="pages-many", act=_focus),
    "image-deleted": Scene("#/images/IMAGE", PICTURES, key="pages-many", act=_delete, still=PICTURES),
    "image-error": Scene("#/images/IMAGE", "document.querySelector('.failure')", key="pages-many", answers=((INFO, *_BUSY),), complaints=1),
    "image-slow": Scene("#/images/IMAGE", "document.querySelector('.loading')", key="pages-many", holds=INFO),
    "image-missing": Scene(f"#/images/{32 * '0'}", "document.querySelector('.empty')", key="pages-many", complaints=1),
    "builder-new": Scene(_VERSION, f"{SETTLED} && {PICTURES}", key="pages-many"),
    "builder": Scene(f"{_VERSION}?resize=800x&blur=4&rotate=12.5&background=ffcc00", f"{SETTLED} && {PICTURES}", key="pages-many"),
    "builder-steps": Scene(_VERSION, f"{SETTLED} && {PICTURES}", key="pages-many", act=_palette),
    "builder-compare": Scene(f"{_VERSION}?grayscale&blur=2", f"{SETTLED} && {PICTURES}", key="pages-many", act=_compare),
    "builder-plan": Scene(f"{_VERSION}?thumb=300", f"{SETTLED} && {PICTURES}", key="pages-many", act=_plan),
    "builder-code": Scene(f"{_VERSION}?thumb=300", f"{SETTLED} && {PICTURES}", key="pages-many", act=_picture_code),
    "builder-mistake": Scene(f"{_VERSION}?thumb=900&blur=900", "document.querySelector('.mistake')", key="pages-many"),
    "builder-error": Scene(f"{_VERSION}?thumb=300", "document.querySelector('.stage-error')", key="pages-many", answers=((r"GET /v1/images/\w+\.webp\?thumb", *_BUSY),), complaints=1),
    "builder-unknown": Scene(f"{_VERSION}?thum=300&blur=2", "document.querySelector('.stage-error')", key="pages-many", complaints=1),
    "builder-slow": Scene(f"{_VERSION}?thumb=300", "document.querySelector('.busy.on')", key="pages-many", holds=r"GET /v1/images/\w+\.webp\?thumb"),
    "usage": Scene("#/usage", f"document.querySelector('.plot rect') && {PICTURES}"),
    "usage-error": Scene("#/usage", "document.querySelector('.failure')", answers=((USAGE, *_BUSY),), complaints=1),
    "usage-slow": Scene("#/usage", "document.querySelector('.loading')", holds=USAGE),
    "usage-not-allowed": Scene("#/usage", "document.querySelector('.empty')", key="pages-many"),
    "keys": Scene("#/keys", "document.querySelector('.key')"),
    "keys-new": Scene("#/keys", "document.querySelector('.key')", act=_new_key),
    "keys-made": Scene("#/keys", "document.querySelector('.key')", act=_made_key),
    "webhooks-none": Scene("#/webhooks", "document.querySelector('.empty')"),
    "webhooks-new": Scene("#/webhooks", "document.querySelector('.empty')", act=_new_webhook),
    "webhooks": Scene("#/webhooks", "document.querySelector('.empty')", act=_tested_webhook, still="document.querySelector('.key')"),
    "webhooks-failures": Scene("#/webhooks", "document.querySelector('.key')", act=_failures),
    "webhooks-not-allowed": Scene("#/webhooks", "document.querySelector('.empty')", key="pages-many"),
    "missing": Scene("#/nowhere", "document.querySelector('.empty')"),
}  # fmt: skip
"""By name. The ID of an image replaces IMAGE."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(SHOTS or tmp_path_factory.mktemp("shots"))
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("name", SCENES)
async def test_nothing_is_too_wide_hinders_somebody_or_fails(
    name: str, browser: Browser, gate: Gate, shelf: Shelf, folder: Path
) -> None:
    scene = SCENES[name]
    console = Console(browser, gate.url, folder)
    await browser.mistakes()
    async with AsyncExitStack() as stack:
        for pattern, status, detail in scene.answers:
            stack.enter_context(gate.answering(pattern, status, detail))
        if scene.holds:
            stack.enter_context(gate.holding(scene.holds))
        stack.enter_context(console.sized(1440))
        await console.open(
            scene.path.replace("IMAGE", shelf.images[-1]), shelf.keys.get(scene.key, scene.key), scene.shown
        )
        if scene.act:
            await scene.act(console)
        for width, theme in itertools.product(HEIGHTS, ("light", "dark")) if SHOTS else [_SOME[len(name) % 2]]:
            console.resize(width)
            console.colours(theme)
            if scene.shown:
                await console.until(scene.still or scene.shown)
            await console.shot(f"{name}-{width}-{theme}")
            assert await console.overflow() <= 0, width
            assert await console.run("document.querySelector('.reference').offsetWidth") > 0, width
            if (width, theme) in {(390, "dark"), (1440, "light")}:
                assert await console.findings() == [], (width, theme)
        await _undo(console)
        await browser.open("about:blank")  # what is held would end now
    complaints = await browser.mistakes()
    assert len(complaints) <= scene.complaints, complaints


@pytest.mark.parametrize("width", HEIGHTS if SHOTS else [390])
@pytest.mark.parametrize("name", ["sign-in", "gallery-empty", "gallery-full", "image", "builder", "usage", "keys"])
async def test_nothing_moves_while_a_page_loads(
    name: str, width: int, browser: Browser, gate: Gate, shelf: Shelf
) -> None:
    scene = SCENES[name]
    console = Console(browser, gate.url)
    with console.sized(width):
        await console.open(
            scene.path.replace("IMAGE", shelf.images[-1]), shelf.keys.get(scene.key, scene.key), scene.shown
        )
        assert await console.shift() <= MOST_SHIFT


async def test_the_first_view_on_a_slow_processor(browser: Browser, closed: Site, shelf: Shelf) -> None:
    """Prints how long it takes, which depends on the machine."""
    console = Console(browser, closed.url)
    console.command("Network.clearBrowserCache")
    entries = "performance.getEntriesByType('resource')"
    with console.sized(1440):
        console.command("Emulation.setCPUThrottlingRate", rate=4)
        try:
            await console.open(key=shelf.keys["pages-many"], ready=f"document.querySelector('.tile img') && {PICTURES}")
            first = await console.run("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
            tiles = await console.run(f"{entries}.find((each) => each.name.includes('limit=')).responseEnd")
            own = f"{entries}.filter((each) => /console|vendored/.test(each.name))"
            sent = await console.run(f"{own}.reduce((sum, each) => sum + each.encodedBodySize, 0)")
        finally:
            console.command("Emulation.setCPUThrottlingRate", rate=1)
    print(f"first view after {first:.0f} ms, the list after {tiles:.0f} ms; {sent / 1000:.1f} kB")
    assert 0 < sent < MOST_BYTES


async def test_every_example_of_an_operation_becomes_steps_and_the_same_chain_again(
    browser: Browser, closed: Site, shelf: Shelf
) -> None:
    console = Console(browser, closed.url)
    await console.open(key=shelf.keys["pages-many"])
    examples = [example for operation in load_operations().values() for example in operation.examples]
    examples += ["resize=300x,cover,enlarge", "crop=10,20,30x40", "watermark=" + 32 * "a" + ",southeast,0.5,0.25"]
    found = await console.run(
        f"(({{operations, parse, toChain}}) => operations().then((known) => examples.map((example) => {{"
        " const {steps, quality, rest} = parse(known, example); return [String(toChain(known, steps, quality)), rest]; })))"
        f"(await import('{closed.url}/console/chain.js'))",
        examples=examples,
    )
    for example, (text, rest) in zip(examples, found, strict=True):
        assert rest == [], example
        assert parse(text, max_operations=1).operations == parse(example, max_operations=1).operations, example


async def test_its_texts_are_about_what_the_service_has(browser: Browser, closed: Site, shelf: Shelf) -> None:
    console = Console(browser, closed.url)
    await console.open(key=shelf.keys["pages-many"])
    names = await console.run(
        "(({operations, colours, keys, builder}) => [operations, colours, keys.scopes, builder.formats].map(Object.keys))"
        f"((await import('{closed.url}/console/strings.js')).default)"
    )
    assert [set(some) for some in names[:3]] == [
        set(load_operations()),
        {each.name.lower() for each in Colour},
        {*Scope},
    ]
    assert set(names[3]) - {"auto"} <= set(EXTENSIONS)
    assert {EXTENSIONS[name] for name in names[3] if name != "auto"} == set(FORMATS.values())
    offered = "[...document.querySelector('.filters select').options].map((each) => each.value)"
    assert set(await console.run(offered)) == {"", *FORMATS}
