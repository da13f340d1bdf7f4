"""The console in a window: what people do there, and what they see."""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests import npm
from tests.browser.chromium import Browser

HEIGHTS = {390: 844, 820: 1180, 1440: 900}
"""Of a phone, a tablet and a desk, by their width."""
_WATCH = """
window.__shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""
_UNTIL = """new Promise((resolve, reject) => {
  const end = Date.now() + 30000;
  const look = () => {
    let found;
    try { found = (%s); } catch { found = null; }
    if (found) resolve(found);
    else if (Date.now() > end) reject("nothing after 30 s: " + document.body.innerText.slice(0, 500));
    else setTimeout(look, 20);
  };
  look();
})"""
_READY = "document.querySelector('main h1') && !document.querySelector('.loading')"
_SEVERE = {"serious", "critical"}


class Console:
    """A window with the console of the service at `url`."""

    def __init__(self, browser: Browser, url: str, folder: Path = Path()) -> None:
        self._browser = browser
        self._driver = browser._driver
        self.folder = folder
        self.url = url
        axe = npm.installed(Path(__file__).with_name("axe")) / "node_modules/axe-core/axe.min.js"
        self._axe = axe.read_text()

    @contextmanager
    def sized(self, width: int, theme: str = "light") -> Iterator[None]:
        """A context in which the window is so wide, and the system has these colours."""
        script = self.command("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)["identifier"]
        self.resize(width)
        self.colours(theme)
        try:
            yield
        finally:
            self.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
            self.command("Emulation.clearDeviceMetricsOverride")
            self.command("Emulation.setEmulatedMedia", features=[])

    def resize(self, width: int) -> None:
        """Make the window so wide."""
        size = {"width": width, "height": HEIGHTS[width], "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def colours(self, theme: str) -> None:
        """Use the light or the dark colours, as the system does."""
        self.command(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": theme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )

    def command(self, name: str, **given: object) -> Mapping[str, Any]:
        """Send a command of the DevTools protocol."""
        found: Mapping[str, Any] = self._driver.execute_cdp_cmd(name, given)
        return found

    async def open(self, path: str = "", key: str = "", ready: str = _READY) -> None:
        """Show a page in a new document, signed in with `key`, or not at all, until the expression `ready` is true."""
        source = f"sessionStorage.clear(); {json.dumps(key)} && sessionStorage.setItem('imgsvc-key', {json.dumps(key)})"
        script = self.command("Page.addScriptToEvaluateOnNewDocument", source=f"if (location.host) {{ {source} }}")
        await self._browser.open("about:blank")  # otherwise, another page of the console is the same document
        await self._browser.open(f"{self.url}/console/{path}")
        self.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
        await self.until(ready)

    async def run(self, expression: str, **given: object) -> Any:
        """The value of an expression in the page."""
        return await self._browser.run(expression, **given)

    async def until(self, expression: str) -> Any:
        """The value of an expression, once it is true."""
        return await self._browser.run(_UNTIL % expression)

    async def text(self, selector: str) -> str:
        """The text of an element, once it is there."""
        return str(await self.until(f"document.querySelector({json.dumps(selector)})?.innerText"))

    async def element(self, selector: str) -> WebElement:
        """An element, once it is there. Selectors beginning with `//` are XPath."""
        if selector.startswith("//"):
            found = f"document.evaluate({json.dumps(selector)}, document, null, 9).singleNodeValue"
            await self.until(f"!!{found}")
            return await asyncio.to_thread(self._driver.find_element, By.XPATH, selector)
        await self.until(f"!!document.querySelector({json.dumps(selector)})")
        return await asyncio.to_thread(self._driver.find_element, By.CSS_SELECTOR, selector)

    async def button(self, label: str) -> WebElement:
        """The button or link with this text or label."""
        exact = f"(normalize-space(.)={json.dumps(label)} or @aria-label={json.dumps(label)})"
        return await self.element(f"//*[self::button or self::a][{exact}]")

    async def click(self, element: WebElement | str) -> None:
        """Click on an element, by its label if it is a text."""
        found = await self.button(element) if isinstance(element, str) else element
        await asyncio.to_thread(self._driver.execute_script, "arguments[0].scrollIntoView({block: 'center'})", found)
        await asyncio.to_thread(found.click)

    async def fill(self, selector: str, text: str) -> None:
        """Type a text instead of what a control has."""
        control = await self.element(selector)
        await asyncio.to_thread(control.send_keys, Keys.CONTROL, "a")
        await asyncio.to_thread(control.send_keys, text or Keys.DELETE)

    async def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        await asyncio.to_thread(ActionChains(self._driver, duration=0).send_keys(*keys).perform)

    async def tab_to(self, expression: str, *, back: bool = False, most: int = 80) -> None:
        """Press Tab until an expression about `focused` is true. So everything on the way can be reached."""
        for _ in range(most):
            if await self.run(f"((focused) => !!({expression}))(document.activeElement)"):
                return
            if back:
                chain = ActionChains(self._driver, duration=0).key_down(Keys.SHIFT).send_keys(Keys.TAB)
                await asyncio.to_thread(chain.key_up(Keys.SHIFT).perform)
            else:
                await self.press(Keys.TAB)
            assert await self.run("document.activeElement !== null")
        at = await self.run("document.activeElement.outerHTML.slice(0, 200)")
        raise AssertionError(f"Tab does not reach {expression}; it is at {at}")

    async def focus_is_visible(self) -> bool:
        """Whether people see where the focus is."""
        return bool(
            await self.run(
                """((element) => {
                    for (let each = element; each; each = each.parentElement) {
                        const style = getComputedStyle(each);
                        if (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) return true;
                        if (each !== element && !each.matches("label, .stage, .segments")) return false;
                    }
                })(document.activeElement)"""
            )
        )

    async def drop(self, *files: Path, x: int = 300, y: int = 400) -> None:
        """Drop files on the page, as from a folder of the system."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": x, "y": y, "data": data}
            await asyncio.to_thread(self._driver.execute_cdp_cmd, "Input.dispatchDragEvent", event)

    async def drag(self, element: WebElement, dy: int) -> None:
        """Drag an element up or down."""
        script = "arguments[0].scrollIntoView({block: dy > 0 ? 'start' : 'end'}); scrollBy(0, 40)"
        await asyncio.to_thread(self._driver.execute_script, script.replace("dy", str(dy)), element)
        chain = ActionChains(self._driver, duration=20).click_and_hold(element)
        for _ in range(10):
            chain = chain.move_by_offset(0, dy // 10)
        await asyncio.to_thread(chain.release().perform)

    async def findings(self) -> list[str]:
        """What axe finds that is serious or critical."""
        await asyncio.to_thread(self._driver.execute_script, self._axe)
        found = await self.run("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:200]}"
            for each in found["violations"]
            if each["impact"] in _SEVERE
            for node in each["nodes"]
        ]

    async def shift(self) -> float:
        """How much the page has moved by itself (CLS)."""
        return float(await self.run("window.__shift ?? 0"))

    async def overflow(self) -> float:
        """How many pixels the page is wider than the window."""
        return float(await self.run("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    async def shot(self, name: str) -> Path:
        """A picture of the window."""
        options = {"format": "png", "optimizeForSpeed": True}
        picture = await asyncio.to_thread(self._driver.execute_cdp_cmd, "Page.captureScreenshot", options)
        path = self.folder / f"{name}.png"
        path.write_bytes(base64.b64decode(picture["data"]))
        return path
