"""Small videos for tests of reading and writing."""

from pathlib import Path

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
