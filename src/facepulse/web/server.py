"""Serves the page and reads the pictures that it sends back: to this computer, unless somebody asks for more."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
import webbrowser
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from facepulse.errors import UsageError
from facepulse.stream import LiveReading
from facepulse.video.reader import Frame
from facepulse.web.pictures import MAXIMUM_BYTES, SMALLEST, PictureError, parse
from facepulse.web.session import Session

HERE = Path(__file__).parent
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")

MAXIMUM_CLIENTS = 4
MAXIMUM_RATE, RATE_S = 130, 2.0  # pictures a second, averaged over so many seconds: twice what fast cameras give

# Of RFC 6455: what a client is told when its connection is closed.
UNSUPPORTED, POLICY, TRY_LATER, BROKEN = 1003, 1008, 1013, 1011

Read = Callable[[Iterable[Frame]], Iterator[LiveReading]]


@dataclass(frozen=True)
class Door:
    """Who may come in.

    Attributes:
        hosts: names under which a browser may ask for the page; empty for any, where there is a token. It keeps out
            pages of others that have their own name point to this computer.
        token: that every request has to bring; None where nobody but this computer can ask.
    """

    hosts: tuple[str, ...] = LOOPBACK
    token: str | None = None

    def lets_in(self, host: str | None, token: str | None) -> bool:
        """Whether a request to a `Host` with a token may come in."""
        known = not self.hosts or _name(f"//{host}") in self.hosts
        return known and (self.token is None or secrets.compare_digest((token or "").encode(), self.token.encode()))


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # of what is no address
        return None


def create_app(read: Read, door: Door = Door()) -> FastAPI:
    """The page and its socket.

    Args:
        read: from a client's frames to readings.
        door: who may come in.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    clients: set[WebSocket] = set()

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        asks_for_page = request.scope["path"] == "/"
        token = request.query_params.get("token") if asks_for_page else door.token  # scripts and styles are no secret
        if not door.lets_in(request.headers.get("host"), token):
            return Response("not from here, or without the token of the address that facepulse live printed", 403)
        response = await follow(request)
        response.headers.update(HEADERS)
        return response

    for path, (name, kind) in FILES.items():
        content = (HERE / name).read_bytes()

        def file(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind)

        app.get(path)(file)

    @app.websocket("/stream")
    async def pictures(socket: WebSocket) -> None:
        host, origin = socket.headers.get("host"), socket.headers.get("origin")
        same = origin in (f"http://{host}", f"https://{host}")
        if not (same and door.lets_in(host, socket.query_params.get("token"))):
            await socket.close(POLICY, "not from the page")  # before it is accepted: the browser is told 403
            return
        await socket.accept()
        if len(clients) >= MAXIMUM_CLIENTS:
            await socket.close(TRY_LATER, f"{MAXIMUM_CLIENTS} pages are open already: close one")
            return
        clients.add(socket)
        try:
            await _serve(socket, read)
        finally:
            clients.discard(socket)

    return app


async def _serve(socket: WebSocket, read: Read) -> None:
    """One client, from its first picture to its last."""
    loop, outgoing = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | Exception]()

    def tell(what: dict[str, Any] | Exception) -> None:
        # The loop may have ended before the session's thread has.
        if not loop.is_closed():
            loop.call_soon_threadsafe(outgoing.put_nowait, what)

    session = Session(read, lambda *what: tell(_message(*what)), tell)
    sending = asyncio.create_task(_send(socket, outgoing))
    receiving = asyncio.create_task(_receive(socket, session))
    try:
        ended, _ = await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        code, reason = ended.pop().result()
        if code:
            await socket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError):
        pass  # gone while it was spoken to
    finally:
        session.close()
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(socket: WebSocket, outgoing: asyncio.Queue[dict[str, Any] | Exception]) -> tuple[int, str]:
    while True:
        what = await outgoing.get()
        if isinstance(what, Exception):
            print(f"facepulse: reading broke off: {what!r}", file=sys.stderr)
            return BROKEN, "reading broke off: reload the page"
        await socket.send_json(what)


async def _receive(socket: WebSocket, session: Session) -> tuple[int, str]:
    """Take pictures until the client leaves or breaks the rules: why it is to be closed, or 0."""
    came: deque[float] = deque()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return 0, ""
        now_s = time.monotonic()
        came.append(now_s)
        while came[0] < now_s - RATE_S:
            came.popleft()
        if len(came) > MAXIMUM_RATE * RATE_S:
            return POLICY, f"more than {MAXIMUM_RATE} pictures a second"
        if message.get("bytes") is None:
            return UNSUPPORTED, "only pictures are taken"
        try:
            session.put(parse(message["bytes"]))
        except PictureError as error:
            return UNSUPPORTED, str(error)


def _message(reading: LiveReading, delay_ms: float, let_go: int) -> dict[str, Any]:
    """What the page is told of a reading."""
    slow = [f"this computer cannot keep up, {let_go} pictures were left out: close other programs"] if let_go else []
    return {
        **reading.to_dict(),
        "advice": [*reading.advice, *slow],
        "delay_ms": round(delay_ms, 1),
        "waveform": [round(float(value), 3) for value in reading.waveform],
        "times_s": [round(float(when), 3) for when in reading.times_s],
    }


def warm_up(read: Read) -> None:
    """Load what the first picture would otherwise wait for: a second that a person sees."""
    from facepulse.pipeline import estimate  # noqa: F401

    dark = np.zeros((SMALLEST, SMALLEST, 3), np.uint8)
    for _ in read([Frame(dark, 0.0), Frame(dark, 1.0)]):
        pass


def serve(read: Read, *, host: str, port: int, open_browser: bool, say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        read: from a client's frames to readings.
        host: address to listen at; for any but this computer's own, the page asks for a token.
        port: to listen at.
        open_browser: open the page in it.
        say: called with the lines that people see.

    Raises:
        UsageError: the port is taken, or the address is not this computer's.
    """
    warm_up(read)
    alone = host in LOOPBACK
    token = None if alone else secrets.token_urlsafe(16)
    app = create_app(read, Door(LOOPBACK if alone else (), token))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="critical",
        ws_max_size=MAXIMUM_BYTES,
        ws_per_message_deflate=False,  # pixels hardly shrink
        timeout_graceful_shutdown=2,
    )
    try:
        socket = config.bind_socket()
    except SystemExit:  # what uvicorn does where it cannot listen
        raise UsageError(
            f"cannot listen at {host}:{port}: is another facepulse live open? choose another --port or --host"
        ) from None
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    address = f"http://{name}:{socket.getsockname()[1]}/" + (f"?token={token}" if token else "")

    def announce() -> None:
        say(f"the page is at {address} (to stop: Ctrl-C)")
        if not alone:
            say("whoever has this address can send pictures to this computer; a browser on another computer gives its")
            say("camera only to pages with https: put a proxy with a certificate before this one")
        if open_browser:  # some browsers keep whoever opens them waiting
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    _Server(config, announce).run(sockets=[socket])


class _Server(uvicorn.Server):
    """Says so when it can be asked, and not before."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self._announce()
