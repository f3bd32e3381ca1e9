"""Heart rate of a painted face at 72 bpm whose frames and timestamps are irregular in any way, in four containers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

import facepulse
from facepulse.errors import FacepulseError
from odd_videos import encode, painted

pytestmark = pytest.mark.slow

BPM, SECONDS, PAINTED_FPS = 72.0, 20.0, 60
TICKS = 90000  # per second, of the timestamps that are made here
OVERFLOW = 2**33  # ticks, in MPEG transport streams
OPTIONS = {"mp4": {"use_editlist": "0"}, "matroska": {}, "mpegts": {"mpegts_copyts": "1"}, "avi": {}}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The face at 60 frames per second, each frame coded for itself so that any of them can be left out."""
    path = tmp_path_factory.mktemp("painted") / "v.avi"
    options = {"g": "1", "qmin": "2", "qmax": "2"}
    return encode(path, painted(PAINTED_FPS, SECONDS), fps=PAINTED_FPS, codec="mpeg4", options=options)


@st.composite
def captured(draw) -> list[int]:
    """Draw the numbers of the frames that a camera captured, at a constant or variable rate, with pauses or without."""
    shortest, longest = draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (1, 3), (1, 6), (2, 4)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = np.cumsum(random.integers(shortest, longest + 1, round(SECONDS * PAINTED_FPS)))
    numbers = numbers[numbers < SECONDS * PAINTED_FPS]
    for _ in range(draw(st.integers(0, 2))):
        start, length = draw(st.integers(0, 1200)), draw(st.integers(1, 200))
        numbers = numbers[(numbers < start) | (numbers >= start + length)]
    return numbers.tolist()


def unchanged(draw, timestamps: list[int | None]) -> None:
    """Leave the timestamps as they are."""


def restarted(draw, timestamps: list[int | None]) -> None:
    """Let the clock start again once or twice."""
    for _ in range(draw(st.integers(1, 2))):
        index = draw(st.integers(1, len(timestamps) - 1))
        base = timestamps[index]
        timestamps[index:] = [(time - base) % OVERFLOW for time in timestamps[index:]]


def advanced(draw, timestamps: list[int | None]) -> None:
    """Let the clock jump ahead."""
    index, jump = draw(st.integers(1, len(timestamps) - 1)), draw(st.integers(1, 100 * TICKS))
    timestamps[index:] = [time + jump for time in timestamps[index:]]


def overflown(draw, timestamps: list[int | None]) -> None:
    """Let the counter overflow."""
    start = OVERFLOW - draw(st.integers(0, 25 * TICKS))
    timestamps[:] = [(time + start) % OVERFLOW for time in timestamps]


def missing(draw, timestamps: list[int | None]) -> None:
    """Leave the timestamps of successive frames out."""
    index, count = draw(st.integers(1, len(timestamps) - 1)), draw(st.integers(1, 150))
    timestamps[index : index + count] = [None] * len(timestamps[index : index + count])


def repeated(draw, timestamps: list[int | None]) -> None:
    """Give frames the timestamps of those before them."""
    every = draw(st.integers(2, 60))
    timestamps[1::every] = timestamps[0:-1:every][: len(timestamps[1::every])]


def exchanged(draw, timestamps: list[int | None]) -> None:
    """Exchange the timestamps of neighbouring frames."""
    every = draw(st.integers(2, 60))
    for index in range(1, len(timestamps), every):
        timestamps[index - 1], timestamps[index] = timestamps[index], timestamps[index - 1]


STORED = [unchanged, restarted, advanced, repeated, exchanged]
PATTERNS = {
    "mp4": STORED,
    "matroska": [*STORED, overflown],
    "mpegts": [*STORED, overflown, missing],
    "avi": [unchanged],  # it counts frame periods
}


@st.composite
def timestamped(draw, patterns: list[Any], times: list[int]) -> list[int | None]:
    """Change timestamps by one or two of the patterns."""
    timestamps: list[int | None] = list(times)
    chosen = draw(st.lists(st.sampled_from(patterns), min_size=1, max_size=2, unique=True))
    for pattern in sorted(chosen, key=lambda pattern: pattern is missing):
        pattern(draw, timestamps)
        event(pattern.__name__)
    return timestamps


def remux(source: Path, path: Path, container: str, numbers: list[int], timestamps: list[int | None]) -> None:
    """Write some frames of a file into another container, with timestamps in ticks, or none."""
    with av.open(str(source)) as video, av.open(str(path), "w", format=container, options=OPTIONS[container]) as output:
        packets = [bytes(packet) for packet in video.demux(video=0) if packet.size]
        stream = output.add_stream_from_template(video.streams.video[0])
        time_base = stream.time_base = Fraction(1, PAINTED_FPS if container == "avi" else TICKS)
        for decoding, (number, timestamp) in enumerate(zip(numbers, timestamps, strict=True)):
            packet = av.Packet(packets[number])
            packet.stream, packet.time_base, packet.is_keyframe = stream, time_base, True
            if container == "avi":
                packet.pts = packet.dts = number
            elif timestamp is not None:
                # Muxers demand decoding times that increase, and are not later than those of presentation.
                packet.pts, packet.dts = timestamp + len(numbers), decoding
            output.mux(packet)


@pytest.mark.parametrize("container", OPTIONS)
@settings(max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_heart_rate_is_right_or_withheld_or_an_error(source, tmp_path_factory, container, data):
    numbers = data.draw(captured())
    times = [round(number * TICKS / PAINTED_FPS) for number in numbers]
    timestamps = data.draw(timestamped(PATTERNS[container], times))
    path = tmp_path_factory.mktemp("timing") / "video"
    try:
        remux(source, path, container, numbers, timestamps)
    except av.error.FFmpegError:
        reject()  # the container cannot store such timestamps
    try:
        measurement = facepulse.measure(path, method="POS")
    except FacepulseError as error:
        event(type(error).__name__)
        return
    event("withheld" if measurement.bpm is None else "shown")
    assert measurement.bpm is None or measurement.bpm == pytest.approx(BPM, abs=1), measurement
    for window in measurement.windows:
        assert window.bpm is None or window.bpm == pytest.approx(BPM, abs=5), window
