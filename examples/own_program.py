"""Measure a heart rate live in your own program, with your own frames: here, those that OpenCV reads from a file.

    python examples/own_program.py VIDEO

Any source of RGB frames with their capture times will do: the SDK of a camera, a robot, a video call.
`facepulse.stream(0)` measures with the first webcam.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2

import facepulse


def frames(path: str) -> Iterator[facepulse.Frame]:
    """Yield the frames of a file, each with its time in seconds."""
    capture = cv2.VideoCapture(path)
    while True:
        decoded, image = capture.read()
        if not decoded:
            return
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # of the frame that was read
        yield facepulse.Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time_s)


def main(path: str) -> None:
    """Print one line per second, with the heart rate if its quality is high enough."""
    for reading in facepulse.stream(frames(path)):
        if reading.bpm is not None:
            print(f"{reading.time_s:5.1f} s: {reading.bpm:.0f} bpm, quality {reading.quality:.2f}")
        else:
            print(f"{reading.time_s:5.1f} s: {reading.state} {'; '.join(reading.advice)}".rstrip())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
