"""Servers on this computer that stand in for network cameras: Motion JPEG and files over HTTP, and RTSP."""

import io
import re
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2

from facepulse.video.reader import open_video


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[int]:
    """Run a server in a thread, and give its port."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]  # type: ignore[index, misc]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def http_server(send: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Answer every request with `send`, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                send(self)
            except (BrokenPipeError, ConnectionResetError):
                return  # the client has seen enough

        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}/video"


def motion_jpeg(path: Path, fps: float, seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """Send the first seconds of a video as a camera does: one JPEG after the other at a frame rate, without times."""
    with open_video(path) as video:
        images = [frame.image for frame in video if frame.time < seconds]

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        start_s = time.monotonic()
        for index, image in enumerate(images):
            jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
            header = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            request.wfile.write(header.encode() + jpeg + b"\r\n")
            time.sleep(max(start_s + index / fps - time.monotonic(), 0))

    return send


def whole_file(path: Path) -> Callable[[BaseHTTPRequestHandler], None]:
    """Send a file from the requested position on: the index of an MP4 file is at its end."""

    def send(request: BaseHTTPRequestHandler) -> None:
        content = path.read_bytes()
        start = int(re.search(r"\d+", request.headers.get("Range", "0"))[0])  # type: ignore[index]
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        content = content[start:]
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return send


def transport_stream(path: Path) -> bytes:
    """The packets of a video file in an MPEG transport stream."""
    stream = io.BytesIO()
    with av.open(path) as source, av.open(stream, "w", format="mpegts") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    return stream.getvalue()


@contextmanager
def rtsp_server(path: Path) -> Iterator[str]:
    """Serve a video file as an RTSP camera over TCP (RFC 2326), in a transport stream over RTP (RFC 2250)."""
    packets = transport_stream(path)
    replies = {
        "OPTIONS": ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""),
        "DESCRIBE": ("Content-Type: application/sdp\r\n", "v=0\r\ns=camera\r\nm=video 0 RTP/AVP 33\r\na=control:1\r\n"),
        "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", ""),
        "PLAY": ("Session: 1\r\n", ""),
    }

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline().decode():
                method, sequence = line.split()[0], ""
                while header := self.rfile.readline().decode().strip():
                    sequence = header if header.lower().startswith("cseq") else sequence
                headers, body = replies.get(method, ("", ""))
                reply = f"RTSP/1.0 200 OK\r\n{sequence}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
                self.wfile.write(reply.encode())
                if method == "PLAY":
                    self.play()
                    break

        def play(self) -> None:
            for number, start in enumerate(range(0, len(packets), 7 * 188)):
                rtp = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, 0, 1) + packets[start : start + 7 * 188]
                self.wfile.write(struct.pack(">BBH", ord("$"), 0, len(rtp)) + rtp)

    with running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"rtsp://127.0.0.1:{port}/camera"
