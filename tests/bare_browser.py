"""Chromium without Playwright, which makes every page believe that it is seen: for what a hidden page does."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect


class BarePage:
    """The only page of a browser, over the protocol of its developer tools."""

    def __init__(self, tools: ClientConnection) -> None:
        self._tools = tools
        self._sent = 0
        self._window = self._ask("Browser.getWindowForTarget")["windowId"]

    def open(self, address: str) -> None:
        """Go to an address."""
        self._ask("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page."""
        return self._ask("Runtime.evaluate", expression=expression, userGesture=True)["result"].get("value")

    def minimise(self, yes: bool) -> None:
        """Hide the window, or show it again."""
        state = {"windowState": "minimized" if yes else "normal"}
        self._ask("Browser.setWindowBounds", windowId=self._window, bounds=state)

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        self._sent += 1
        self._tools.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while (answer := json.loads(self._tools.recv(10))).get("id") != self._sent:
            pass
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def bare_page(chromium: str, arguments: list[str], profile: Path) -> Iterator[BarePage]:
    """Start a browser, and end it."""
    command = [chromium, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", *arguments]
    with subprocess.Popen([*command, "about:blank"], stderr=subprocess.DEVNULL) as browser:
        try:
            told = profile / "DevToolsActivePort"
            deadline = time.monotonic() + 20
            while not (told.is_file() and told.read_text().strip()):
                assert time.monotonic() < deadline, "the browser does not start"
                time.sleep(0.1)
            port = told.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                [address] = [tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page"]
            with connect(address, max_size=None, proxy=None) as tools:
                yield BarePage(tools)
        finally:
            browser.kill()
