"""Every page of the console in every state, on a phone, a tablet and a desk, in light and in dark.

The pictures are in the folder CONSOLE_SHOTS, if that is set, for people to look at.
"""

import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pages.routes import FOLDER
from tests import pictures
from tests.browser.chromium import Browser
from tests.browser.console import HEIGHTS, Console
from tests.browser.gate import Gate
from tests.imgsvc.sites import JPEG, Site, bearer

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
    complaints: int = 0
    """How many failed requests the browser reports."""


@dataclass
class Shelf:
    """Keys of spaces with some images, by name."""

    keys: dict[str, str]
    images: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def shelf(closed: Site, wallpapers: list[Path]) -> Shelf:
    everything = ("read", "upload", "list", "metadata", "delete", "sign")
    keys = {name: closed.new_key(*everything, space=name) for name in ("pages-none", "pages-one", "pages-many")}
    keys["admin"] = closed.key
    keys["reader"] = closed.new_key("list", "metadata", space="pages-many")
    shelf = Shelf(keys)
    paths = {path.parts[4]: path for path in wallpapers}  # one of each
    for number, path in enumerate(paths.values()):
        photo = bytes(pictures.pyvips.Image.thumbnail(str(path), 900 if number % 3 else 700, height=900).jpegsave_buffer(Q=80))
        query = f"?title={path.parts[4]}&tags=wallpaper" if number % 4 else ""
        for name in ("pages-many", *(["pages-one"] if number == 0 else [])):
            headers = {**JPEG, **bearer(keys[name])}
            status, answer = await closed.request("POST", f"/v1/images{query}", headers, photo)
            assert status == 201, answer
            shelf.images.append(answer.split('"image_id": "')[1][:32])
    return shelf


@pytest.fixture(scope="module")
async def gate(closed: Site) -> AsyncIterator[Gate]:
    async with Gate(closed.url) as gate:
        yield gate


async def _choose_two(console: Console) -> None:
    for place in (1, 2):
        await console.click(await console.element(f".tile[data-index='{place}'] input"))
    await console.until("document.querySelector('.selection')")


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


def scenes(shelf: Shelf) -> dict[str, Scene]:
    """All of them."""
    image = shelf.images[-1]
    version = f"#/images/{image}.webp"
    busy = (503, "the service is busy; try again in 5 seconds")
    broken = {"complaints": 1}
    return {
        "sign-in": Scene("", "document.querySelector('.sign-in')", key=""),
        "sign-in-error": Scene("", "document.querySelector('.sign-in')", key="", act=_wrong_key),
        "sign-in-ended": Scene("", "document.querySelector('.notice')", key="ik_" + 12 * "0" + "_" + 43 * "x", complaints=1),
        "gallery-empty": Scene("", "document.querySelector('.empty.invites')", key="pages-none"),
        "gallery-one": Scene("", PICTURES, key="pages-one"),
        "gallery-full": Scene("", f"{PICTURES} && document.querySelectorAll('.tile').length > 5", key="pages-many"),
        "gallery-reader": Scene("", PICTURES, key="reader"),
        "gallery-filters": Scene("", PICTURES, key="pages-many", act=_filters),
        "gallery-chosen": Scene("", PICTURES, key="pages-many", act=_choose_two),
        "gallery-nothing-found": Scene("#/?q=nothing", "document.querySelector('.empty')", key="pages-many"),
        "gallery-error": Scene("", "document.querySelector('.failure')", key="pages-many", answers=((LIST, *busy),), **broken),
        "gallery-slow": Scene("", "document.querySelectorAll('.skeleton').length > 3", key="pages-many", holds=LIST),
        "image": Scene(f"#/images/{image}", PICTURES, key="pages-many"),
        "image-reader": Scene(f"#/images/{image}", PICTURES, key="reader"),
        "image-mistake": Scene(f"#/images/{image}", PICTURES, key="pages-many", act=_bad_metadata),
        "image-focus": Scene(f"#/images/{image}", PICTURES, key="pages-many", act=_focus),
        "image-deleted": Scene(f"#/images/{image}", PICTURES, key="pages-many", act=_delete),
        "image-error": Scene(f"#/images/{image}", "document.querySelector('.failure')", key="pages-many", answers=((INFO, *busy),), **broken),
        "image-slow": Scene(f"#/images/{image}", "document.querySelector('.loading')", key="pages-many", holds=INFO),
        "image-missing": Scene(f"#/images/{'0' * 32}", "document.querySelector('.empty')", key="pages-many", **broken),
        "builder-new": Scene(version, f"{SETTLED} && {PICTURES}", key="pages-many"),
        "builder": Scene(f"{version}?resize=800x&blur=4&rotate=12.5&background=ffcc00", f"{SETTLED} && {PICTURES}", key="pages-many"),
        "builder-steps": Scene(version, f"{SETTLED} && {PICTURES}", key="pages-many", act=_palette),
        "builder-compare": Scene(f"{version}?grayscale&blur=2", f"{SETTLED} && {PICTURES}", key="pages-many", act=_compare),
        "builder-plan": Scene(f"{version}?thumb=300", f"{SETTLED} && {PICTURES}", key="pages-many", act=_plan),
        "builder-code": Scene(f"{version}?thumb=300", f"{SETTLED} && {PICTURES}", key="pages-many", act=_picture_code),
        "builder-mistake": Scene(f"{version}?thumb=900&blur=900", "document.querySelector('.mistake')", key="pages-many"),
        "builder-error": Scene(f"{version}?thumb=300", "document.querySelector('.stage-error')", key="pages-many", answers=((r"GET /v1/images/\w+\.webp\?thumb", *busy),), **broken),
        "builder-slow": Scene(f"{version}?thumb=300", "document.querySelector('.busy.on')", key="pages-many", holds=r"GET /v1/images/\w+\.webp\?thumb"),
        "usage": Scene("#/usage", f"document.querySelector('.plot rect') && {PICTURES}"),
        "usage-error": Scene("#/usage", "document.querySelector('.failure')", answers=((USAGE, *busy),), **broken),
        "usage-slow": Scene("#/usage", "document.querySelector('.loading')", holds=USAGE),
        "usage-not-allowed": Scene("#/usage", "document.querySelector('.empty')", key="pages-many"),
        "keys": Scene("#/keys", "document.querySelector('.key')"),
        "keys-new": Scene("#/keys", "document.querySelector('.key')", act=_new_key),
        "keys-made": Scene("#/keys", "document.querySelector('.key')", act=_made_key),
        "missing": Scene("#/nowhere", "document.querySelector('.empty')"),
    }  # fmt: skip


@pytest.mark.parametrize("width", HEIGHTS)
async def test_every_page_in_every_state(
    width: int, browser: Browser, closed: Site, gate: Gate, shelf: Shelf, tmp_path: Path
) -> None:
    """Nothing is wider than the window, moves by itself, hinders somebody, or fails."""
    folder = Path(os.environ.get("CONSOLE_SHOTS") or tmp_path)
    folder.mkdir(exist_ok=True)
    console = Console(browser, gate.url, folder)
    await browser.mistakes()
    faults: list[str] = []
    wanted = os.environ.get("CONSOLE_SCENES", "").split(",")
    with console.sized(width):
        for name, scene in scenes(shelf).items():
            if wanted == [""] or name in wanted:
                faults += [f"{name}: {fault}" for fault in await _faults(console, gate, browser, name, scene, shelf, width)]
    assert faults == []


async def _faults(
    console: Console, gate: Gate, browser: Browser, name: str, scene: Scene, shelf: Shelf, width: int
) -> list[str]:
    found: list[str] = []
    async with AsyncExitStack() as stack:
        for pattern, status, detail in scene.answers:
            stack.enter_context(gate.answering(pattern, status, detail))
        if scene.holds:
            stack.enter_context(gate.holding(scene.holds))
        await console.open(scene.path, shelf.keys.get(scene.key, scene.key), ready=scene.shown)
        if (shift := await console.shift()) > MOST_SHIFT:
            found.append(f"moves by {shift}")
        if scene.act:
            await scene.act(console)
        for theme in ("light", "dark"):
            console.colours(theme)
            await console.shot(f"{name}-{width}-{theme}")
            if theme == ("dark" if width == 390 else "light") and width != 820:
                found += await console.findings()
        console.colours("light")
        if (over := await console.overflow()) > 0:
            found.append(f"is {over} pixels too wide")
        await _undo(console)
    complaints = await browser.mistakes()
    if len(complaints) > scene.complaints:
        found += complaints
    return found
