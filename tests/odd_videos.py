"""Videos as no camera of the test suite's writer makes them: any container, any timestamps, also without."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from facepulse._types import Image
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames

X264 = {"crf": "16", "preset": "veryfast", "x264-params": "asm=avx2"}


@functools.cache
def painted(fps: float = 30, seconds: float = 20, bpm: float = 72) -> tuple[Image, ...]:
    """Images of a painted face, 320 x 240 pixels."""
    times = np.arange(round(seconds * fps)) / fps
    return tuple(paint_frames([PaintedFace(metronome(bpm, seconds))], times, width=320, height=240))


def encode(
    path: Path,
    images: Sequence[Image],
    timestamps: Iterable[int] | None = None,
    *,
    fps: int = 30,
    codec: str = "libx264",
    container: str | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] = X264,
    container_options: dict[str, str] | None = None,
    edit: Callable[[int, Any], None] | None = None,
) -> Path:
    """Encode images, with B frames where the encoder has them, and timestamps in units of the time base.

    Args:
        path: file to write.
        images: uint8 (H, W, 3), RGB.
        timestamps: one per image; 0, 1, 2, ... if None.
        fps: nominal frame rate in Hz.
        codec: name of the encoder in FFmpeg.
        container: name of the format in FFmpeg; by the suffix of the path if None.
        time_base: of the timestamps in seconds; 1 / fps if None.
        options: of the encoder.
        container_options: of the container.
        edit: changes a packet, given its number in decoding order, before it is written.
    """
    time_base = time_base or Fraction(1, fps)
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream: Any = output.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, _ = images[0].shape
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = time_base
        number = 0

        def write(packets: Iterable[Any]) -> None:
            nonlocal number
            for packet in packets:
                if edit is not None:
                    edit(number, packet)
                number += 1
                output.mux(packet)

        for image, timestamp in zip(images, range(len(images)) if timestamps is None else timestamps, strict=True):
            frame = av.VideoFrame.from_ndarray(image).reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = int(timestamp), time_base
            write(stream.encode(frame))
        write(stream.encode())
    return path
