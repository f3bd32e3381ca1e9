"""Chromium without Playwright, under which every page counts as visible: for tests of hidden pages."""

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
    """The only page of a browser, controlled by the DevTools protocol."""

    def __init__(self, tools: ClientConnection) -> None:
        self._tools = tools
        self._sent = 0
        self._window = self._send("Browser.getWindowForTarget")["windowId"]

    def open(self, address: str) -> None:
        """Open an address."""
        self._send("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript in the page and return its value."""
        return self._send("Runtime.evaluate", expression=expression, userGesture=True)["result"].get("value")

    def minimise(self, minimised: bool) -> None:
        """Minimise the window, or restore it."""
        state = {"windowState": "minimized" if minimised else "normal"}
        self._send("Browser.setWindowBounds", windowId=self._window, bounds=state)

    def _send(self, method: str, **parameters: object) -> dict[str, Any]:
        self._sent += 1
        self._tools.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while (answer := json.loads(self._tools.recv(10))).get("id") != self._sent:
            pass
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def bare_page(chromium: str, arguments: list[str], profile: Path) -> Iterator[BarePage]:
    """Start a browser, and stop it at the end of the context."""
    command = [chromium, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", *arguments]
    with subprocess.Popen([*command, "about:blank"], stderr=subprocess.DEVNULL) as browser:
        try:
            port_file = profile / "DevToolsActivePort"
            deadline = time.monotonic() + 20
            while not (port_file.is_file() and port_file.read_text().strip()):
                assert time.monotonic() < deadline, "the browser does not start"
                time.sleep(0.1)
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                [address] = [tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page"]
            with connect(address, max_size=None, proxy=None) as tools:
                yield BarePage(tools)
        finally:
            browser.kill()
