"""Painted faces in files as screen recorders, calls, webcams, phones and industrial cameras write them: 72 bpm."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import facepulse
from odd_videos import X264, encode, painted

pytestmark = pytest.mark.slow

BPM = 72.0


def mux(path: Path, packets: list[Any], codec: str, pixel_format: str, size: tuple[int, int] = (320, 240)) -> Path:
    """Write packets, or their bytes, at 30 Hz."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=30)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        for number, content in enumerate(packets):
            packet = av.Packet(bytes(content))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 30)
            packet.is_keyframe = getattr(content, "is_keyframe", True)
            container.mux(packet)
    return path


def screen_at_twice_the_rate(folder: Path) -> Path:
    return encode(folder / "v.mp4", [image for image in painted() for _ in range(2)], fps=60)


def call_that_changes_its_size(folder: Path) -> Path:
    packets = []
    for start, size in ((0, (320, 240)), (200, (640, 480)), (400, (160, 120))):
        part = [cv2.resize(image, size) for image in painted()[start : start + 200]]
        source = encode(folder / f"{start}.h264", part, options=X264 | {"bf": "0"})
        with av.open(str(source)) as container:
            packets += [packet for packet in container.demux(video=0) if packet.size]
    return mux(folder / "v.ts", packets, "libx264", "yuv420p")


def webcam_without_huffman_tables(folder: Path) -> Path:
    def without_tables(image: np.ndarray) -> bytes:
        jpeg = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
        kept, start = jpeg[:2] + b"\xff\xe0\0\x10AVI1" + bytes(10), 2
        while jpeg[start + 1] != 0xDA:
            end = start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big")
            kept += jpeg[start:end] if jpeg[start + 1] != 0xC4 else b""
            start = end
        return kept + jpeg[start:]

    return mux(folder / "v.avi", [without_tables(image) for image in painted()], "mjpeg", "yuvj420p")


def trimmed_within_a_group_of_pictures(folder: Path) -> Path:
    def earlier(number: int, packet: Any) -> None:
        packet.pts, packet.dts = packet.pts - 45, packet.dts - 45

    options = {"avoid_negative_ts": "disabled"}
    return encode(folder / "v.mov", painted(), options=X264 | {"g": "60"}, container_options=options, edit=earlier)


def thermal_camera_of_14_bits(folder: Path) -> Path:
    images = [(8000 + image[..., 1] * (6000 / 255)).astype(np.uint16).tobytes() for image in painted()]
    return mux(folder / "v.nut", images, "rawvideo", "gray16le")


def industrial_camera_of_10_bits(folder: Path) -> Path:
    for number, image in enumerate(painted()):
        content = cv2.imencode(".tif", image[..., ::-1].astype(np.uint16) << 2)[1].tobytes()
        (folder / f"{number / 30:.6f}.tif").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("record", "method", "warnings"),
    [
        (screen_at_twice_the_rate, "POS", ()),
        (call_that_changes_its_size, "POS", ("size: it changes in the video, frames are scaled to that of the first",)),
        (webcam_without_huffman_tables, "POS", ()),
        (trimmed_within_a_group_of_pictures, "POS", ()),
        (thermal_camera_of_14_bits, "GREEN", ()),
        (industrial_camera_of_10_bits, "POS", ()),
    ],
)
def test_heart_rate_of_a_recording(
    tmp_path: Path, record: Callable[[Path], Path], method: str, warnings: tuple[str, ...]
) -> None:
    measurement = facepulse.measure(record(tmp_path), method=method)
    assert measurement.bpm == pytest.approx(BPM, abs=1)
    assert measurement.warnings == warnings
