"""The reference of the API in a browser."""

from tests.browser.chromium import Browser
from tests.imgsvc.sites import Site

_SHOWN = """new Promise((resolve) => {
    const look = () => {
        const found = document.querySelectorAll(".opblock").length;
        found ? resolve(found) : setTimeout(look, 50);
    };
    look();
})"""


async def test_the_reference_shows_every_operation(browser: Browser, closed: Site) -> None:
    await browser.mistakes()  # those of other tests
    await browser.open(f"{closed.url}/docs")
    status, text = await closed.request("GET", "/openapi.json")
    assert status == 200
    assert await browser.run(_SHOWN) == text.count('"operationId"') > 20
    assert await browser.mistakes() == []
