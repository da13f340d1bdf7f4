"""What people come for: add photos, make a variant, use it on a page, delete one, and think again."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests import pictures
from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.browser.console import Console
from tests.browser.pages import Pages
from tests.imgsvc.sites import Site

TILES = "document.querySelectorAll('.tile[data-index]').length"
SETTLED = "document.querySelector('.stage .after')?.complete && document.querySelector('.stage').ariaBusy === 'false'"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty of them."""
    folder = tmp_path_factory.mktemp("photos")
    files = []
    for number in range(20):
        picture = pictures.gradient(640, 480 if number % 2 else 800).gaussblur(0.5 + number)
        files.append(folder / f"photo {number}.jpg")
        picture.jpegsave(str(files[-1]), Q=90)
    return files


@pytest.fixture
async def console(browser: Browser, guarded_site: Site, tmp_path: Path) -> AsyncIterator[Console]:
    """Tests use keys of spaces of their own, so that images of other tests are not in the way."""
    console = Console(browser, guarded_site.url, tmp_path)
    console.command("Browser.grantPermissions", permissions=["clipboardReadWrite"], origin=guarded_site.url)
    await browser.mistakes()
    with console.sized(1440):
        yield console
        assert await browser.mistakes() == []


async def nothing_serious(console: Console) -> None:
    assert await console.findings() == []


@pytest.mark.parametrize("guarded_site", ["varnish"], indirect=True)
async def test_a_day_with_a_mouse(
    browser: Browser, console: Console, guarded_site: Site, pages: Pages, photos: list[Path]
) -> None:
    key = guarded_site.new_key("read", "upload", "list", "metadata", "delete", space="mouse")
    await console.open()
    await nothing_serious(console)
    await console.fill('input[name="key"]', key)
    await console.click("Sign in")
    await console.until("document.querySelector('.empty.invites')")
    await nothing_serious(console)
    with browser.slow_line(300_000):
        await _drop(console, photos)
    await _build(console)
    copied = await _copied(console)

    await browser.open(pages.origin(chromium.FOREIGN))
    await browser.run("document.body.innerHTML = copied.replace('loading=\"lazy\"', '')", copied=copied)
    assert await console.until("document.querySelector('img').naturalWidth") > 0
    assert re.search("w=(450|600)$", await console.run("document.querySelector('img').currentSrc"))

    await console.open(key=key)
    await _delete_and_undo(console)
    status, answer = await guarded_site.json("GET", "/v1/images?limit=50", key)
    assert (status, len(answer["images"])) == (200, 20), "nothing was deleted"  # type: ignore[arg-type]


async def _drop(console: Console, photos: list[Path]) -> None:
    await console.drop(*photos)
    seen = await console.until(
        "(window.seen ??= new Set(),"
        " [...document.querySelectorAll('.upload-state')].forEach((each) => seen.add(each.innerText)),"
        f" {TILES} === 20 && [...seen])"
    )
    assert {text for text in seen if text.endswith(" %")} - {"0 %"}, "people see how far each file is"
    assert "Waiting" in seen, "not all of them are sent at once"
    assert "20 of 20 finished" in await console.text(".uploads")
    assert "Added" in await console.text(".uploads h2")
    await nothing_serious(console)
    await console.until("!document.querySelector('.uploads')")


async def _build(console: Console) -> None:
    await console.click(await console.element(".tile a"))
    await console.until("document.querySelector('.image-page .whole img')?.complete")
    await console.click("Copy URL")
    await console.until("document.querySelector('.actions').innerText.includes('Copied')")
    assert "/v1/images/" in await console.run("navigator.clipboard.readText()")
    await nothing_serious(console)
    await console.click("Make a variant")
    await console.until(SETTLED)
    for step in ("Fit in a square", "Black and white", "Rotate"):
        await console.click("Add a step")
        await console.click(step)
    await console.until("location.hash.endsWith('thumb=600&grayscale&rotate=90')")
    top = await console.run("document.querySelector('.step:nth-child(3) .handle').getBoundingClientRect().top")
    goal = await console.run("document.querySelector('.step:nth-child(1)').getBoundingClientRect().top")
    await console.drag(await console.element(".step:nth-child(3) .handle"), int(goal - top) - 10)
    await console.until("location.hash.endsWith('rotate=90&thumb=600&grayscale')")
    await console.until(SETTLED)
    await nothing_serious(console)
    assert " kB" in await console.text(".figures dd")
    await console.click(await console.element(".result summary"))
    assert "rotate=90" in await console.text(".plan")


async def _copied(console: Console) -> str:
    await console.click(await console.element("//label[contains(., '<img srcset>')]"))
    await console.click("Copy")
    copied = str(await console.run("navigator.clipboard.readText()"))
    assert copied.startswith("<img ")
    assert re.search(r"&amp;w=(450|600) \1w", copied), "the width of the result"
    await nothing_serious(console)
    return copied


async def _delete_and_undo(console: Console) -> None:
    await console.until(f"{TILES} === 20")
    name = await console.text(".tile-name")
    await console.click(await console.element(".tile a"))
    await console.click("Delete")
    await console.until(f"{TILES} === 19")
    assert name in await console.text(".toast")
    await nothing_serious(console)
    await console.click("Undo")
    await console.until(f"{TILES} === 20")


@pytest.mark.parametrize("guarded_site", ["closed"], indirect=True)
async def test_a_day_with_a_keyboard(console: Console, guarded_site: Site, photos: list[Path]) -> None:
    key = guarded_site.new_key("read", "upload", "list", "metadata", "delete", space="keyboard")
    await console.open()
    await console.tab_to("focused.name === 'key'")
    await console.press(key, Keys.ENTER)
    await console.until("document.querySelector('.empty.invites')")

    await _choose_by_keys(console, photos)
    await _build_by_keys(console)
    await _copy_by_keys(console)

    await console.tab_to("focused.innerText === 'Image'", back=True)
    await console.press(Keys.ENTER)
    await console.tab_to("focused.innerText === 'Delete'")
    await console.press(Keys.ENTER)
    await console.until(f"{TILES} === 2")
    await console.until("document.activeElement.innerText === 'Undo'")
    await console.press(Keys.ENTER)
    await console.until(f"{TILES} === 3")
    await nothing_serious(console)


async def _choose_by_keys(console: Console, photos: list[Path]) -> None:
    console.command("Page.setInterceptFileChooserDialog", enabled=True)
    await console.tab_to("focused.innerText === 'Choose files'")
    assert await console.focus_is_visible()
    await console.run("document.querySelector('[data-files]').addEventListener('click', () => (window.asked = true))")
    await console.press(Keys.ENTER)
    await console.until("window.asked")
    console.command("Page.setInterceptFileChooserDialog", enabled=False)
    files = await console.element("[data-files]")
    files.send_keys("\n".join(map(str, photos[:3])))
    await console.until(f"{TILES} === 3")
    await nothing_serious(console)


async def _build_by_keys(console: Console) -> None:
    await console.tab_to("focused.closest('.tile')")
    assert await console.focus_is_visible()
    await console.press(Keys.ARROW_RIGHT)
    await console.until("document.activeElement.closest('.tile')?.dataset.index === '1'")
    await console.press(Keys.ENTER)
    await console.tab_to("focused.innerText === 'Make a variant'")
    await console.press(Keys.ENTER)
    await console.until(SETTLED)
    for step in ("Fit in a square", "Blur"):
        await console.tab_to("focused.innerText === 'Add a step'")
        assert await console.focus_is_visible()
        await console.press(Keys.ENTER)
        await console.until("document.activeElement.closest('.palette .chips')")
        while await console.run("document.activeElement.innerText") != step:
            await console.press(Keys.ARROW_DOWN)
        assert await console.focus_is_visible()
        await console.press(Keys.ENTER)
        await console.until("document.activeElement.closest('.step')")
    await console.until("location.hash.endsWith('thumb=600&blur=4')")
    await console.tab_to("focused.ariaLabel === 'Move Blur up'", back=True)
    assert await console.focus_is_visible()
    await console.press(Keys.ENTER)
    await console.until("location.hash.endsWith('blur=4&thumb=600')")
    assert await console.run("document.activeElement.ariaLabel") == "Move Blur down", "the focus stays on the step"
    await console.tab_to("focused.type === 'range' && focused.ariaLabel === 'Strength'")
    assert await console.focus_is_visible()
    await console.press(Keys.ARROW_RIGHT)
    await console.until("location.hash.endsWith('blur=4.5&thumb=600')")
    await console.until(SETTLED)
    await nothing_serious(console)


async def _copy_by_keys(console: Console) -> None:
    await console.tab_to("focused.name === 'copy-as'")
    assert await console.focus_is_visible()
    await console.press(Keys.ARROW_RIGHT)
    assert await console.run("document.querySelector('[name=copy-as]:checked').value") == "srcset"
    await console.tab_to("focused.innerText === 'Copy'")
    await console.press(Keys.ENTER)
    assert "&amp;w=400 400w" in await console.run("navigator.clipboard.readText()")
