"""Access to the server, and isolation of clients from the invalid messages of others."""

import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from facepulse.errors import UsageError
from facepulse.stream import stream
from facepulse.video.frames import Frame
from facepulse.web import server
from facepulse.web.message import HEADER, MAGIC, MAX_BYTES, encode
from facepulse.web.server import MAX_CLIENTS, Access, warm_up


def fetch(address: str, **headers: str) -> tuple[int, dict[str, str], str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def closed(connection, seconds: float = 5.0) -> tuple[int, str]:
    """Return the code and the reason with which a connection is closed."""
    for _ in iter(lambda: _received(connection, seconds), None):
        pass
    ended = connection.protocol.close_rcvd
    assert ended is not None
    return ended.code, ended.reason


def _received(connection, seconds: float) -> object:
    try:
        return connection.recv(seconds)
    except ConnectionClosed:
        return None


def test_page_is_served_with_its_files_and_a_strict_policy(serve) -> None:
    served = serve()
    for name, kind in (("", "text/html"), ("live.js", "text/javascript"), ("live.css", "text/css")):
        code, headers, body = fetch(served.page + name)
        assert code == 200
        assert headers["content-type"].startswith(kind)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert body
    assert fetch(served.page + "docs")[0] == 404
    assert fetch(served.page + "..%2fserver.py")[0] == 404


def test_page_loads_nothing_from_other_hosts() -> None:
    for name in ("index.html", "live.js", "live.css"):
        text = (server.HERE / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|[\"'(=]\s*//", text), name


@pytest.mark.slow
def test_frames_give_readings(serve, painted) -> None:
    warm_up(stream)
    with serve().socket() as socket:
        found = []
        for frame in painted:
            socket.send(encode(frame))
            time.sleep(0.05)
        while len(found) < 9:
            found.append(json.loads(socket.recv(10)))
    assert found[0]["state"] == "collecting"
    assert found[-1]["state"] == "measured"
    assert found[-1]["bpm"] == pytest.approx(75, abs=2)
    assert found[-1]["box"] is not None
    assert found[-1]["delay_ms"] >= 0
    assert len(found[-1]["waveform"]) == len(found[-1]["times_s"]) > 250


@pytest.mark.parametrize("origin", [None, "https://example.org", "http://localhost:1", "null"])
def test_pages_of_other_origins_are_refused(serve, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        serve().socket(origin=origin)
    assert refused.value.response.status_code == 403


def test_origin_is_compared_with_the_host_before_a_proxy(serve) -> None:
    served = serve()
    for origin, forwarded in [
        ("https://pulse.example", "pulse.example"),
        ("https://pulse.example:8443", "pulse.example:8443"),
        ("https://pulse.example", "pulse.example, inner.example"),  # two proxies
        ("https://pulse.example", "pulse.example:443"),  # a port that an origin leaves out
    ]:
        with served.socket(origin=origin, forwarded=forwarded):
            pass
    for origin, host, forwarded in [
        ("http://pulse.example", "pulse.example", None),  # DNS rebinding
        ("http://pulse.example", "pulse.example", "pulse.example"),
        ("https://other.example", None, "pulse.example"),
        ("https://inner.example", None, "pulse.example, inner.example"),
        ("https://pulse.example:80", None, "pulse.example:443"),
        ("https://pulse.example:8443", None, "pulse.example"),
        ("http://", None, ""),
    ]:
        with pytest.raises(InvalidStatus, match="403"):
            served.socket(origin=origin, host=host, forwarded=forwarded)


def test_other_host_names_are_refused(serve) -> None:
    """DNS rebinding: the origin of such a page equals the host of its requests."""
    served = serve()
    assert fetch(served.page, Host=f"evil.example:{served.port}")[0] == 403
    assert fetch(served.page, Host=f"localhost:{served.port}")[0] == 200
    assert not Access().allows("evil.example:80", None)
    assert Access().allows("[::1]:80", None)
    assert not Access().allows(None, None)


def test_token_is_required_for_other_computers(serve) -> None:
    served = serve(access=Access((), "secret"))
    assert fetch(served.page)[0] == 403
    assert fetch(served.page + "?token=wrong")[0] == 403
    assert fetch(served.page + "?token=secret")[0] == 200
    with pytest.raises(InvalidStatus):
        served.socket()
    with pytest.raises(InvalidStatus):
        served.socket(token="wrong")
    served.socket(token="secret").close()


def test_number_of_clients_is_limited(serve, painted) -> None:
    served = serve()
    sockets = [served.socket() for _ in range(MAX_CLIENTS)]
    for socket in sockets:
        socket.send(encode(painted[0]))
        socket.recv(10)
    code, reason = closed(served.socket())
    assert (code, reason) == (1013, f"{MAX_CLIENTS} pages are open already: close one")
    sockets.pop().close()
    for _ in range(50):  # until the server has removed the client
        with served.socket() as socket, suppress(ConnectionClosed):
            socket.send(encode(painted[0]))
            assert json.loads(socket.recv(10))["state"] == "collecting"
            break
        time.sleep(0.1)
    else:
        pytest.fail("there is no room for another")
    for socket in sockets:
        socket.close()


def test_client_with_too_high_a_rate_is_closed(serve) -> None:
    def no_readings(frames):
        for _ in frames:
            yield from ()

    with serve(no_readings).socket() as socket:
        message = encode(Frame(np.zeros((32, 32, 3), np.uint8), 0.0))
        with suppress(ConnectionClosed):
            for _ in range(2000):
                socket.send(message)
        assert closed(socket)[0] == 1008


@pytest.mark.parametrize(
    ("message", "code"),
    [("text", 1003), (b"", 1003), (b"noise" * 100, 1003), (HEADER.pack(MAGIC, 0.0, 64, 64) + b"short", 1003)],
)
def test_invalid_message_closes_the_client(serve, message: str | bytes, code: int) -> None:
    with serve().socket() as socket:
        socket.send(message)
        assert closed(socket)[0] == code


def test_too_large_message_closes_the_client(serve) -> None:
    with serve().socket() as socket:
        with suppress(ConnectionClosed):
            socket.send(bytes(MAX_BYTES + 1))
        assert closed(socket)[0] == 1009


def test_failed_processing_closes_the_client(serve, painted) -> None:
    def broken(frames):
        next(iter(frames))
        raise ZeroDivisionError
        yield

    with serve(broken).socket() as socket:
        socket.send(encode(painted[0]))
        assert closed(socket) == (1011, "processing failed: reload the page")


@pytest.mark.slow
def test_thousand_invalid_messages_do_not_disturb_another_client(serve, painted) -> None:
    served = serve(stream)
    found: list[dict] = []
    stop = threading.Event()

    def well_behaved() -> None:
        with served.socket() as socket:
            turn = 0
            while not stop.is_set():
                for frame in painted:
                    socket.send(encode(Frame(frame.image, frame.time + 10.0 * turn)))
                    time.sleep(0.01)
                    while True:
                        try:
                            found.append(json.loads(socket.recv(0)))
                        except TimeoutError:
                            break
                    if stop.is_set():
                        return
                turn += 1

    client = threading.Thread(target=well_behaved)
    client.start()
    draw = random.Random(0)
    good = encode(painted[0])

    def bad() -> str | bytes:
        kind = draw.randrange(5)
        if kind == 0:
            return draw.randbytes(draw.randrange(400))
        if kind == 1:
            return good[: draw.randrange(len(good))]
        if kind == 2:
            return good + draw.randbytes(1 + draw.randrange(400))
        if kind == 3:
            return HEADER.pack(MAGIC, draw.choice([float("nan"), -5.0, 1e300]), 160, 120) + good[HEADER.size :]
        return draw.choice(["", "{}", "x" * 5000])

    sent = 0
    while sent < 1000:
        with served.socket() as socket:
            for frame in draw.sample(painted, 8):  # frames out of order are allowed
                socket.send(encode(frame))
            socket.send(bad())
            assert closed(socket)[0] == 1003
        sent += 9
    before = len(found)
    deadline = time.monotonic() + 20
    while len(found) < before + 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    client.join(10)
    assert len(found) >= before + 5, "the other client still gets readings"
    assert fetch(served.page)[0] == 200


def test_port_in_use_is_named(serve) -> None:
    taken = serve().port
    with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{taken}: close another facepulse live"):
        server.serve(stream, host="127.0.0.1", port=taken, open_browser=False)
