"""Cost of live measurement: time to the first heart rate, delay, share of a core, memory over an hour.

    python benchmarks/live.py [--minutes 60]

A painted face of 320x240 at 30 frames per second, as sent by the live page. The time to the first heart rate, the
delay and the share of a core (over all threads of the process) are measured on a stream in real time. The memory of the
process is measured on a stream of that many minutes that is processed as fast as possible: after the first minute and
at the end.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames
from facepulse.stream import LiveReading, stream
from facepulse.video.frames import Frame
from facepulse.web.server import warm_up

FPS, FILM_S, LIVE_S = 30, 16, 30
STATUS = Path("/proc/self/status")


def film() -> list[Frame]:
    """Paint 16 s with twenty beats, which can be repeated without a jump in phase."""
    times = np.arange(FILM_S * FPS) / FPS
    images = paint_frames(
        [PaintedFace(metronome(75.0, FILM_S), height=0.6, strength=0.03)], times, width=320, height=240
    )
    return [Frame(np.asarray(image, np.uint8), float(when)) for image, when in zip(images, times, strict=True)]


def repeat(frames: list[Frame], seconds: float) -> Iterator[Frame]:
    """Repeat the frames for a number of seconds."""
    for number in range(round(seconds * FPS)):
        yield Frame(frames[number % len(frames)].image, number / FPS)


def in_real_time(frames: Iterator[Frame], delivered: list[float]) -> Iterator[Frame]:
    """Yield each frame at its time; `delivered` holds the clock time of the newest."""
    began = time.monotonic()
    for frame in frames:
        time.sleep(max(0.0, began + frame.time - time.monotonic()))
        delivered[:] = [time.monotonic()]
        yield frame


def memory_mb() -> float:
    """Memory of this process in MB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def live(frames: list[Frame]) -> None:
    """Print the time to the first heart rate, the delay and the share of a core."""
    warm_up(stream)
    delivered: list[float] = []
    delays: list[float] = []
    first: LiveReading | None = None
    began, used = time.monotonic(), time.process_time()
    for reading in stream(in_real_time(repeat(frames, LIVE_S), delivered)):
        delays.append(1e3 * (time.monotonic() - delivered[0]))
        if reading.bpm is not None and first is None:
            first = reading
    share = (time.process_time() - used) / (time.monotonic() - began)
    assert first is not None
    print(f"first heart rate {first.time_s:.1f} s after the first frame: {first.bpm:.1f} bpm, painted 75.0")
    print(f"delay            {np.median(delays):.0f} ms (median), {max(delays):.0f} ms (worst of {len(delays)})")
    print(f"share of a core  {100 * share:.0f} % at {FPS} frames per second")


def hour(frames: list[Frame], minutes: float) -> None:
    """Print the memory after one minute and after many."""
    began, early_mb = time.monotonic(), 0.0
    for reading in stream(repeat(frames, 60 * minutes)):
        if not early_mb and reading.time_s >= 60:
            early_mb = memory_mb()
    took = time.monotonic() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    now_mb = memory_mb()
    print(
        f"memory           {early_mb:.0f} MB after a minute, {now_mb:.0f} MB after {minutes:g}, peak {peak_mb:.0f} MB"
    )
    print(f"throughput       {60 * minutes / took:.0f} times real time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the stream whose memory is measured")
    arguments = parser.parse_args()
    painted = film()
    live(painted)
    hour(painted, arguments.minutes)
