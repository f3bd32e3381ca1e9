"""A real server on a free port, and frames to send to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from socket import create_connection

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

import uvicorn
from websockets.sync.client import ClientConnection, connect

from facepulse import stream
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames
from facepulse.video.frames import Frame
from facepulse.web.message import MAX_BYTES
from facepulse.web.server import Access, Read, create_app


@dataclass
class Served:
    """A running server.

    Attributes:
        port: port that it listens on.
    """

    port: int
    _server: uvicorn.Server
    _thread: threading.Thread

    @property
    def host(self) -> str:
        """Host as in the requests of a browser."""
        return f"127.0.0.1:{self.port}"

    @property
    def page(self) -> str:
        """Address of the page."""
        return f"http://{self.host}/"

    def socket(
        self, *, origin: str | None = "page", token: str = "", host: str | None = None, forwarded: str | None = None
    ) -> ClientConnection:
        """Open a WebSocket as the page does."""
        headers = {} if origin is None else {"Origin": f"http://{self.host}" if origin == "page" else origin}
        if forwarded is not None:
            headers["X-Forwarded-Host"] = forwarded
        address = f"ws://{host or self.host}/stream" + (f"?token={token}" if token else "")
        to_server = create_connection(("127.0.0.1", self.port))
        return connect(address, additional_headers=headers, max_size=None, proxy=None, sock=to_server)

    def end(self) -> None:
        """Tell the server to stop and to close its connections, without waiting."""
        self._server.should_exit = self._server.force_exit = True

    def stop(self) -> None:
        """Stop the server and close its connections."""
        self.end()
        self._thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start a server, by default with the same processing as `facepulse live`."""
    running: list[Served] = []

    def start(read: Read = stream, access: Access | None = None, port: int = 0) -> Served:
        app = create_app(read, access or Access())
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", ws_max_size=MAX_BYTES)
        listening = config.bind_socket()
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.append(Served(listening.getsockname()[1], server, thread))
        return running[-1]

    yield start
    for served in running:
        served.end()


@pytest.fixture(scope="session")
def painted() -> list[Frame]:
    """Ten seconds of a face with a heart rate of 75 bpm, 160x120 at 15 fps."""
    times = np.arange(150) / 15
    face = PaintedFace(metronome(75.0, 10.0), height=0.8, strength=0.03)
    images = paint_frames([face], times, width=160, height=120)
    return [Frame(np.asarray(image, np.uint8), float(when)) for image, when in zip(images, times, strict=True)]
