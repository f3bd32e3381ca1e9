"""Sessions: frames in any order and at any rate, readings, and threads that end."""

import time
from collections.abc import Callable
from threading import Event

import numpy as np
import pytest

pytest.importorskip("fastapi")

from facepulse.stream import LiveReading, stream
from facepulse.video.frames import Frame
from facepulse.web.session import MAX_QUEUED_FRAMES, Session


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def dark_frame(when: float, side: int = 32) -> Frame:
    return Frame(np.zeros((side, side, 3), np.uint8), when)


def test_frames_give_readings_with_their_delay(painted) -> None:
    readings: list[LiveReading] = []
    delays: list[float] = []
    session = Session(stream, lambda reading, delay, _: (readings.append(reading), delays.append(delay)), pytest.fail)
    for frame in painted:
        session.put(frame)
        while len(session._queue) > MAX_QUEUED_FRAMES // 2:
            time.sleep(0.002)
    wait_for(lambda: len(readings) >= 9)
    session.close()
    assert readings[-1].bpm == pytest.approx(75, abs=2)
    assert all(0 <= delay < 5000 for delay in delays)


def test_slow_session_drops_the_oldest_frames() -> None:
    held, taken = Event(), []

    def slow(frames):
        for frame in frames:
            held.wait(10)
            taken.append(frame.time)
        yield from ()

    session = Session(slow, lambda *_: None, pytest.fail)
    session.put(dark_frame(0.0))
    wait_for(lambda: not session._queue)
    for number in range(1, 200):
        session.put(dark_frame(float(number)))
    held.set()
    wait_for(lambda: bool(taken) and taken[-1] == 199.0)
    session.close()
    assert taken == [0.0, *(float(number) for number in range(200 - MAX_QUEUED_FRAMES, 200))]


def test_frame_of_another_size_starts_a_new_stream() -> None:
    sizes: list[list[int]] = []

    def read(frames):
        sizes.append([])
        for frame in frames:
            sizes[-1].append(len(frame.image))
        yield from ()

    session = Session(read, lambda *_: None, pytest.fail)
    for number, side in enumerate([32, 32, 48, 48, 48, 32]):
        session.put(dark_frame(float(number), side))
    wait_for(lambda: sum(map(len, sizes)) == 6)
    session.close()
    assert sizes == [[32, 32], [48, 48, 48], [32]]


def test_errors_are_reported_and_closing_ends_the_thread() -> None:
    def broken(frames):
        next(iter(frames))
        raise ZeroDivisionError
        yield

    failures: list[Exception] = []
    session = Session(broken, lambda *_: None, failures.append)
    session.put(dark_frame(0.0))
    wait_for(lambda: bool(failures))
    assert isinstance(failures[0], ZeroDivisionError)
    idle = Session(stream, lambda *_: None, pytest.fail)
    idle.close()
    idle._thread.join(5)
    assert not idle._thread.is_alive()
