"""The one message that the page sends: a picture, raw, with the time at which the camera took it."""

from __future__ import annotations

import math
import struct

import numpy as np

from facepulse.video.reader import Frame

# Little-endian: "FPP1", time in seconds (float64), width and height (uint16); then width x height pixels of four bytes,
# red, green, blue and one that is not looked at, as a canvas has them.
HEADER = struct.Struct("<4sdHH")
MAGIC = b"FPP1"
SMALLEST, LARGEST = 32, 640
MAXIMUM_BYTES = HEADER.size + 4 * LARGEST * LARGEST


class PictureError(ValueError):
    """A message is no picture."""


def parse(message: bytes) -> Frame:
    """The picture in a message.

    Raises:
        PictureError: it is something else, or of another length than it says, or its time is no time.
    """
    if len(message) < HEADER.size:
        raise PictureError(f"a picture has a header of {HEADER.size} bytes, this message has {len(message)}")
    magic, time_s, width, height = HEADER.unpack_from(message)
    if magic != MAGIC:
        raise PictureError(f"a picture begins with {MAGIC.decode()}")
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise PictureError(f"a picture has {SMALLEST} to {LARGEST} pixels to a side, not {width}x{height}")
    if not (math.isfinite(time_s) and 0 <= time_s < 1e9):
        raise PictureError(f"the time of a picture is in seconds from the first, not {time_s}")
    expected = HEADER.size + 4 * width * height
    if len(message) != expected:
        raise PictureError(f"a picture of {width}x{height} takes {expected} bytes, this message has {len(message)}")
    pixels = np.frombuffer(message, np.uint8, offset=HEADER.size).reshape(height, width, 4)
    return Frame(np.ascontiguousarray(pixels[..., :3]), time_s)


def written(frame: Frame) -> bytes:
    """The message of a picture, for whoever has no canvas."""
    height, width = frame.image.shape[:2]
    pixels = np.concatenate([frame.image, np.full((height, width, 1), 255, np.uint8)], axis=2)
    return HEADER.pack(MAGIC, frame.time, width, height) + pixels.tobytes()
