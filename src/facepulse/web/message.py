"""Format of the messages that the page sends: uncompressed frames with their capture times."""

from __future__ import annotations

import math
import struct

import numpy as np

from facepulse.video.frames import Frame

# Little-endian: "FPP1", time in seconds (float64), width and height (uint16); then width x height pixels of four bytes,
# RGBA as in a canvas, of which alpha is ignored.
HEADER = struct.Struct("<4sdHH")
MAGIC = b"FPP1"
MIN_SIDE, MAX_SIDE = 32, 640  # pixels
MAX_BYTES = HEADER.size + 4 * MAX_SIDE * MAX_SIDE


class MessageError(ValueError):
    """A message is not a frame in the expected format."""


def parse(message: bytes) -> Frame:
    """Decode a message to a frame.

    Raises:
        MessageError: the header, the length or the time of the message is invalid.
    """
    if len(message) < HEADER.size:
        raise MessageError(f"a frame has a header of {HEADER.size} bytes, this message has {len(message)}")
    magic, time_s, width, height = HEADER.unpack_from(message)
    if magic != MAGIC:
        raise MessageError(f"a frame begins with {MAGIC.decode()}")
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise MessageError(f"a frame has {MIN_SIDE} to {MAX_SIDE} pixels per side, not {width}x{height}")
    if not (math.isfinite(time_s) and 0 <= time_s < 1e9):
        raise MessageError(f"the time of a frame is in seconds from the first, not {time_s}")
    expected = HEADER.size + 4 * width * height
    if len(message) != expected:
        raise MessageError(f"a frame of {width}x{height} has {expected} bytes, this message has {len(message)}")
    pixels = np.frombuffer(message, np.uint8, offset=HEADER.size).reshape(height, width, 4)
    return Frame(np.ascontiguousarray(pixels[..., :3]), time_s)


def encode(frame: Frame) -> bytes:
    """Encode a frame as a message, for clients other than the page."""
    height, width = frame.image.shape[:2]
    pixels = np.concatenate([frame.image, np.full((height, width, 1), 255, np.uint8)], axis=2)
    return HEADER.pack(MAGIC, frame.time, width, height) + pixels.tobytes()
