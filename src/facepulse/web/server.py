"""Server of the live page and of its WebSocket, by default for this computer only."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import webbrowser
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from facepulse.errors import UsageError
from facepulse.stream import LiveReading
from facepulse.video.frames import Frame
from facepulse.web.message import MAX_BYTES, MIN_SIDE, MessageError, parse
from facepulse.web.session import Session

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
}
# The script in the page adds the slash that a proxy path may lack; relative addresses depend on it.
INLINE = b64encode(
    sha256(re.findall(b"<script>(.*)</script>", (HERE / "index.html").read_bytes())[0]).digest()
).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'self' 'sha256-{INLINE}'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")

MAX_CLIENTS = 4
MAX_RATE, RATE_WINDOW_S = 130, 2.0  # frames per second, averaged over this window; twice the rate of fast cameras

# Close codes of RFC 6455.
UNSUPPORTED, POLICY, TRY_LATER, BROKEN = 1003, 1008, 1013, 1011

Read = Callable[[Iterable[Frame]], Iterator[LiveReading]]


@dataclass(frozen=True)
class Access:
    """Rules of access to the server.

    Attributes:
        hosts: host names that requests may have; empty for any, together with a token. This protects against other
            pages whose name resolves to this computer (DNS rebinding).
        token: token that every request needs; None if only this computer can reach the server.
    """

    hosts: tuple[str, ...] = LOOPBACK
    token: str | None = None

    def allows(self, host: str | None, token: str | None) -> bool:
        """True if a request with this `Host` and token is allowed."""
        allowed_host = not self.hosts or _host_name(f"//{host}") in self.hosts
        return allowed_host and (
            self.token is None or secrets.compare_digest((token or "").encode(), self.token.encode())
        )


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # not a valid address
        return None


def _is_from_page(headers: Mapping[str, str]) -> bool:
    """True if the origin of a request has its host, or the host that it had before a proxy replaced it.

    Pages of other origins can set neither `Host` nor, for a WebSocket, `X-Forwarded-Host`.
    """
    forwarded = headers.get("x-forwarded-host", "").split(",")[0].strip()  # the first is that of the browser
    hosts = [host for host in (headers.get("host"), forwarded) if host]
    default_ports = {"http": ":80", "https": ":443"}  # not part of an origin
    return headers.get("origin") in [
        f"{scheme}://{host.removesuffix(port)}" for host in hosts for scheme, port in default_ports.items()
    ]


def create_app(read: Read, access: Access = Access()) -> FastAPI:
    """Create the application that serves the page and its WebSocket.

    Args:
        read: function from the frames of a client to readings.
        access: rules of access.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    clients: set[WebSocket] = set()

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        is_page = request.scope["path"] == "/"
        token = request.query_params.get("token") if is_page else access.token  # scripts and styles need no token
        if not access.allows(request.headers.get("host"), token):
            return Response("another host, or no token: use the address that facepulse live printed", 403)
        response = await follow(request)
        response.headers.update(HEADERS)
        return response

    for path, (name, kind) in FILES.items():
        content = (HERE / name).read_bytes()

        def file(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind)

        app.get(path)(file)

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        allowed = access.allows(socket.headers.get("host"), socket.query_params.get("token"))
        if not (allowed and _is_from_page(socket.headers)):
            await socket.close(POLICY, "not from the page")  # before it is accepted: the status is 403
            return
        await socket.accept()
        if len(clients) >= MAX_CLIENTS:
            await socket.close(TRY_LATER, f"{MAX_CLIENTS} pages are open already: close one")
            return
        clients.add(socket)
        try:
            await _serve(socket, read)
        finally:
            clients.discard(socket)

    return app


async def _serve(socket: WebSocket, read: Read) -> None:
    """Serve one client until it disconnects."""
    loop, outgoing = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | Exception]()

    def put(item: dict[str, Any] | Exception) -> None:
        # The loop may be closed before the thread of the session ends.
        if not loop.is_closed():
            loop.call_soon_threadsafe(outgoing.put_nowait, item)

    session = Session(read, lambda *reading: put(_message(*reading)), put)
    sending = asyncio.create_task(_send(socket, outgoing))
    receiving = asyncio.create_task(_receive(socket, session))
    try:
        ended, _ = await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        code, reason = ended.pop().result()
        if code:
            await socket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError):
        pass  # disconnected while data was sent
    finally:
        session.close()
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(socket: WebSocket, outgoing: asyncio.Queue[dict[str, Any] | Exception]) -> tuple[int, str]:
    while True:
        item = await outgoing.get()
        if isinstance(item, Exception):
            logger.error(f"processing failed: {item!r}")
            return BROKEN, "processing failed: reload the page"
        await socket.send_json(item)


async def _receive(socket: WebSocket, session: Session) -> tuple[int, str]:
    """Receive frames until the client disconnects or breaks a rule; return the close code, or 0, and the reason."""
    arrivals: deque[float] = deque()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return 0, ""
        now_s = time.monotonic()
        arrivals.append(now_s)
        while arrivals[0] < now_s - RATE_WINDOW_S:
            arrivals.popleft()
        if len(arrivals) > MAX_RATE * RATE_WINDOW_S:
            return POLICY, f"more than {MAX_RATE} frames per second"
        if message.get("bytes") is None:
            return UNSUPPORTED, "only frames are accepted"
        try:
            session.put(parse(message["bytes"]))
        except MessageError as error:
            return UNSUPPORTED, str(error)


def _message(reading: LiveReading, delay_ms: float, dropped: int) -> dict[str, Any]:
    """Message to the page about a reading."""
    slow = [f"this computer cannot keep up, {dropped} frames were dropped: close other programs"] if dropped else []
    return {
        **reading.to_dict(),
        "advice": [*reading.advice, *slow],
        "delay_ms": round(delay_ms, 1),
        "waveform": [round(float(value), 3) for value in reading.waveform],
        "times_s": [round(float(when), 3) for when in reading.times_s],
    }


def warm_up(read: Read) -> None:
    """Load modules and weights in advance, which would delay the first reading by a second."""
    from facepulse.pipeline import estimate  # noqa: F401

    dark = np.zeros((MIN_SIDE, MIN_SIDE, 3), np.uint8)
    for _ in read([Frame(dark, 0.0), Frame(dark, 1.0)]):
        pass


def serve(read: Read, *, host: str, port: int, open_browser: bool) -> None:
    """Serve until interrupted; the address of the page is logged.

    Args:
        read: function from the frames of a client to readings.
        host: address to listen on; if other computers can reach it, the page requires a token.
        port: port to listen on.
        open_browser: open the page in the browser.

    Raises:
        UsageError: the port is in use, or the address does not belong to this computer.
    """
    warm_up(read)
    is_local = host in LOOPBACK
    token = None if is_local else secrets.token_urlsafe(16)
    app = create_app(read, Access(LOOPBACK if is_local else (), token))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="critical",
        ws_max_size=MAX_BYTES,
        ws_per_message_deflate=False,  # pixels are hardly compressible
        timeout_graceful_shutdown=2,
    )
    try:
        socket = config.bind_socket()
    except SystemExit:  # raised by uvicorn if it cannot listen
        raise UsageError(
            f"cannot listen on {host}:{port}: close another facepulse live, or choose another port or host"
        ) from None
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    address = f"http://{name}:{socket.getsockname()[1]}/" + (f"?token={token}" if token else "")

    def announce() -> None:
        logger.info(f"the page is at {address} (to stop: Ctrl-C)")
        if not is_local:
            logger.info("anyone with this address can send frames to this computer; browsers on other computers allow")
            logger.info("the camera only on https pages: use a reverse proxy with a certificate")
        if open_browser:  # in a thread, because some browsers block until they are closed
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    _Server(config, announce).run(sockets=[socket])


class _Server(uvicorn.Server):
    """Server that calls `announce` once it accepts requests."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self._announce()
