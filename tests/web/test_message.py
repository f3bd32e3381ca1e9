"""Messages of the page: frames are decoded, and everything else is refused with a reason."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.video.frames import Frame
from facepulse.web.message import HEADER, MAGIC, MAX_BYTES, MAX_SIDE, MessageError, encode, parse


@settings(max_examples=30)
@given(width=st.integers(32, 90), height=st.integers(32, 90), time=st.floats(0, 1e8))
def test_decoding_inverts_encoding(width: int, height: int, time: float) -> None:
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    frame = parse(encode(Frame(image, time)))
    assert np.array_equal(frame.image, image)
    assert frame.image.flags.c_contiguous
    assert frame.time == time


def test_largest_frame_has_the_largest_message() -> None:
    message = encode(Frame(np.zeros((MAX_SIDE, MAX_SIDE, 3), np.uint8), 0.0))
    assert len(message) == MAX_BYTES
    assert parse(message).image.shape == (MAX_SIDE, MAX_SIDE, 3)


def header(magic: bytes = MAGIC, time: float = 1.0, width: int = 32, height: int = 32) -> bytes:
    return HEADER.pack(magic, time, width, height)


PIXELS = bytes(4 * 32 * 32)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "header of 16 bytes, this message has 0"),
        (header()[:15], "header of 16 bytes, this message has 15"),
        (header(magic=b"JPEG") + PIXELS, "begins with FPP1"),
        (header(width=31) + PIXELS, "32 to 640 pixels per side, not 31x32"),
        (header(height=641) + PIXELS, "not 32x641"),
        (header(time=float("nan")) + PIXELS, "time of a frame"),
        (header(time=float("inf")) + PIXELS, "time of a frame"),
        (header(time=-1.0) + PIXELS, "time of a frame"),
        (header() + PIXELS[:-1], "has 4112 bytes, this message has 4111"),
        (header() + PIXELS + b"x", "has 4112 bytes, this message has 4113"),
    ],
)
def test_invalid_message_is_refused_with_a_reason(message: bytes, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        parse(message)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(message: bytes) -> None:
    with pytest.raises(MessageError):
        parse(message)


def test_header_has_the_format_of_the_page() -> None:
    """`live.js` writes a number of four bytes followed by a float of eight, little-endian."""
    assert header()[:4] == struct.pack("<I", 0x31505046)
    assert HEADER.size == 16
