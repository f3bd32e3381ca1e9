"""Read a pulse live in a program of your own, which has its own frames: here, those that OpenCV reads from a file.

    python examples/own_program.py VIDEO

Whatever gives RGB pictures and the times at which they were taken will do: a camera's SDK, a robot, a video call.
`facepulse.stream(0)` would read the first webcam by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2

import facepulse


def frames(path: str) -> Iterator[facepulse.Frame]:
    """One frame after another, each with its time in seconds."""
    capture = cv2.VideoCapture(path)
    while True:
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        there, image = capture.read()
        if not there:
            return
        yield facepulse.Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time_s)


def main(path: str) -> None:
    """Say once a second what is known, and act on a pulse only where there is a trustworthy one."""
    for reading in facepulse.stream(frames(path)):
        if reading.bpm is not None:
            print(f"{reading.time_s:5.1f} s: {reading.bpm:.0f} bpm, quality {reading.quality:.2f}")
        else:
            print(f"{reading.time_s:5.1f} s: {reading.state} {'; '.join(reading.advice)}".rstrip())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
