"""The site in Chromium: on phones, in the dark, and with its search; and the page that the tutorial makes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.docs.pages import blocks, pages
from tests.docs.reader import Reader
from tests.servers import ROOT

_PHONE, _DESKTOP = 390, 1440


@pytest.fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with chromium.started(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def _look(browser: Browser, width: int, scheme: str = "light") -> None:
    """As on a screen of this width, for a reader who prefers this scheme."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == _PHONE}
    browser._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _url(site: Path, page: Path) -> str:
    return (site / page.relative_to(ROOT)).with_suffix(".html").as_uri()


async def test_no_page_is_wider_than_a_phone(site: Path, browser: Browser) -> None:
    _look(browser, _PHONE)
    await browser.mistakes()
    wide = {}
    for page in pages():
        await browser.open(_url(site, page))
        width = await browser.run("document.documentElement.scrollWidth")
        if width > _PHONE:
            wide[str(page)] = width
    assert not wide
    assert [text for text in await browser.mistakes() if "theme mode" not in text] == []


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
async def test_pages_are_dark_for_readers_who_prefer_that(
    site: Path, browser: Browser, scheme: str, *, is_dark: bool
) -> None:
    _look(browser, _DESKTOP, scheme)
    await browser.open(_url(site, ROOT / "docs/tutorial.md"))
    colour = await browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)")
    assert (sum(map(int, colour)) < 3 * 128) is is_dark


async def test_commands_have_a_button_that_copies_them(site: Path, browser: Browser) -> None:
    _look(browser, _DESKTOP)
    page = ROOT / "docs/tutorial.md"
    await browser.open(_url(site, page))
    assert await browser.run("document.querySelectorAll('.highlight button.copybtn').length") == len(blocks(page))


async def test_the_search_finds_a_guide(site: Path, browser: Browser) -> None:
    _look(browser, _DESKTOP)
    await browser.open(f"{(site / 'search.html').as_uri()}?q=thumbor")
    found = await browser.run("""new Promise((resolve) => {
        const look = () => {
            const links = [...document.querySelectorAll('#search-results li a')].map((link) => link.textContent);
            if (links.includes('Move from thumbor')) resolve(links);
            else requestAnimationFrame(look);
        };
        look();
    })""")
    assert "Move from thumbor" in found


async def test_the_page_of_the_tutorial_loads_the_size_of_the_screen(
    browser: Browser, photo_on_disk: bytes, tmp_path: Path
) -> None:
    reader = Reader(tmp_path)
    reader.add("photo.jpg", photo_on_disk)
    try:
        for block in blocks(ROOT / "docs/tutorial.md")[:-1]:
            reader.follow(block)
        for width, loaded in ((_PHONE, 400), (_DESKTOP, 1600)):
            _look(browser, width)
            await browser.forget()
            await browser.open(reader.file("page.html").as_uri())
            await browser.run("document.images[0].decode()")
            assert f"w={loaded}&" in await browser.run("document.images[0].currentSrc")
    finally:
        reader.close()
