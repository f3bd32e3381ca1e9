"""A reverse proxy on a free port that serves another server under a path."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

BUFFER_BYTES = 1 << 16


@contextmanager
def prefix_proxy(upstream: str, prefix: str) -> Iterator[str]:
    """Serve `upstream` (host and port) under `prefix`, and yield the host and port of the proxy.

    A path is passed on without the prefix, also one without a slash at its end, and paths outside of it do not exist.
    As by nginx, `Host` is replaced, and the one of the browser is passed on as `X-Forwarded-Host`.
    """

    class Connection(StreamRequestHandler):
        def handle(self) -> None:
            lines = list(iter(lambda: self.rfile.readline().strip(), b""))
            if not lines:
                return
            method, target, version = lines[0].decode().split()
            path, question, query = target.partition("?")
            if path != prefix and not path.startswith(f"{prefix}/"):
                self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            target = (path.removeprefix(prefix) or "/") + question + query
            with socket.create_connection(upstream.split(":")) as answering:
                answering.sendall(f"{method} {target} {version}\r\n".encode() + self._headers(lines[1:]))
                Thread(target=_forward, args=(self.connection, answering), daemon=True).start()
                _forward(answering, self.connection)

        def _headers(self, lines: list[bytes]) -> bytes:
            named = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
            if b"upgrade" not in named:
                named[b"connection"] = b"close"  # the next request has another line to rewrite
            named |= {b"host": upstream.encode(), b"x-forwarded-host": named[b"host"]}
            return b"".join(name + b": " + value + b"\r\n" for name, value in named.items()) + b"\r\n"

    class Server(ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Connection) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # closed by one side
        while data := source.recv(BUFFER_BYTES):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
