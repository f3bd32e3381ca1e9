"""Small videos for tests of reading and writing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from facepulse.video.writer import VideoWriter

ENCODER_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "10"},
    "libx265": {"preset": "ultrafast", "crf": "10", "x265-params": "log-level=none:scenecut=0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0"},
    "mjpeg": {"qmin": "1", "q": "2"},
    "mpeg4": {"qmin": "1", "qmax": "2"},
}


def gradient(width: int = 64, height: int = 48) -> np.ndarray:
    """Smooth image with different corners, which reveals flips, rotations and skewed rows."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([40 + 180 * x, 40 + 180 * y, 200 - 120 * x * y], axis=-1).astype(np.uint8)


def write(path: Path, images, times, codec: str = "libx264", **arguments) -> Path:
    height, width, _ = images[0].shape
    options = ENCODER_OPTIONS.get(codec, {}) | arguments.pop("options", {})
    with VideoWriter(path, width, height, codec=codec, options=options, **arguments) as writer:
        for image, time in zip(images, times, strict=True):
            writer.write(image, time)
    return path


@dataclass
class Track:
    """One video stream of a file with several.

    Attributes:
        images: uint8 (height, width, 3), RGB, at 30 Hz.
        codec: name of the encoder in FFmpeg.
        disposition: of the stream, such as `Disposition.default`; the container's own if 0.
    """

    images: Sequence[np.ndarray]
    codec: str = "libx264"
    disposition: int = 0


def write_tracks(path: Path, *tracks: Track, container_options: dict[str, str] | None = None) -> Path:
    with av.open(str(path), "w", options=container_options or {}) as container:
        streams: list[Any] = []
        for track in tracks:
            stream: Any = container.add_stream(track.codec, rate=30)
            stream.height, stream.width = track.images[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if track.codec == "mjpeg" else "yuv420p"
            if track.disposition:
                stream.disposition = track.disposition
            streams.append(stream)
        for stream, track in zip(streams, tracks, strict=True):
            for image in track.images:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode())
    return path
