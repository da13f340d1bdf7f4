"""A real Chromium, without a window."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.browser import fixed_network
from tests.servers import program

FOREIGN, FRIEND, REBOUND = "foreign.example", "friend.example", "rebound.example"
"""Host names that lead to this machine, as any name can."""
_NAMES = ", ".join(f"MAP {name} 127.0.0.1" for name in (FOREIGN, FRIEND, REBOUND))
_ACTIONS = Path(__file__).with_name("page.js").read_text()
_SECONDS = 60


class Browser:
    """One window. Its methods wait in threads, since the pages come from this event loop."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    async def open(self, url: str) -> None:
        """Show a page."""
        await asyncio.to_thread(self._driver.get, url)

    async def run(self, expression: str, **given: object) -> Any:
        """The value of a JavaScript expression in the page, which may use page.js and `given`. Waits for promises."""
        names = ", ".join(given)
        script = f"""{_ACTIONS}
        const done = arguments[arguments.length - 1];
        (async ({{{names}}}) => ({expression}))(arguments[0]).then(
            (value) => done({{value}}), (error) => done({{error: `${{error}}`}}));"""
        answer = await asyncio.to_thread(self._driver.execute_async_script, script, given)
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    async def ask(self, url: str, method: str = "GET", **options: object) -> Mapping[str, Any]:
        """The response to a fetch() by the page: status, type, text and headers. Status 0: the page may not read it."""
        answer: Mapping[str, Any] = await self.run("ask(url, options)", url=url, options={"method": method, **options})
        return answer

    async def forget(self) -> None:
        """Empty the browser's own cache."""
        await asyncio.to_thread(self._driver.execute_cdp_cmd, "Network.clearBrowserCache", {})

    async def mistakes(self) -> list[str]:
        """What the browser has reported since the last call: failed requests, exceptions, violated policies."""
        found = await asyncio.to_thread(self._driver.get_log, "browser")
        return [str(entry["message"]) for entry in found if entry["level"] in {"SEVERE", "WARNING"}]

    @contextmanager
    def slow_line(self, bytes_per_second: int) -> Iterator[None]:
        """A context in which the browser sends at most so fast. Otherwise, the kernel takes megabytes at once."""
        self._driver.set_network_conditions(
            latency=0, download_throughput=-1, upload_throughput=bytes_per_second, offline=False
        )
        try:
            yield
        finally:
            self._driver.delete_network_conditions()


def _driver(folder: Path) -> Path:
    """A driver whose browser does not notice changes of the network."""
    script = folder / "chromedriver"
    command = [sys.executable, str(Path(fixed_network.__file__)), program("chromedriver")]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o700)
    return script


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Browser]:
    """Run Chromium with its files in `folder`. It reaches nothing but this machine."""
    options = ChromeOptions()
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = program("chromium")
    for argument in (
        "--headless=new",
        f"--user-data-dir={folder}",
        f"--host-resolver-rules={_NAMES}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-gpu",
        "--disable-dev-shm-usage",  # 64 MB in containers
    ):
        options.add_argument(argument)
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's own does not work for root
    # With its path, Selenium does not look for a driver to download.
    service = ChromeService(str(_driver(folder)), log_output=str(folder / "chromedriver.log"))
    driver = await asyncio.to_thread(Chrome, options, service)
    try:
        driver.set_script_timeout(_SECONDS)
        driver.set_page_load_timeout(_SECONDS)
        yield Browser(driver)
    finally:
        await asyncio.to_thread(driver.quit)
