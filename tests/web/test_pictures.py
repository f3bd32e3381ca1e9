"""The one message of the page: what is a picture is read, and whatever else is refused with a reason."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.video.reader import Frame
from facepulse.web.pictures import HEADER, LARGEST, MAGIC, MAXIMUM_BYTES, PictureError, parse, written


@settings(max_examples=30, deadline=None)
@given(width=st.integers(32, 90), height=st.integers(32, 90), time=st.floats(0, 1e8))
def test_a_picture_comes_back_as_it_was_sent(width: int, height: int, time: float) -> None:
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    frame = parse(written(Frame(image, time)))
    assert np.array_equal(frame.image, image)
    assert frame.image.flags.c_contiguous
    assert frame.time == time


def test_the_largest_picture_fits_the_largest_message() -> None:
    message = written(Frame(np.zeros((LARGEST, LARGEST, 3), np.uint8), 0.0))
    assert len(message) == MAXIMUM_BYTES
    assert parse(message).image.shape == (LARGEST, LARGEST, 3)


def header(magic: bytes = MAGIC, time: float = 1.0, width: int = 32, height: int = 32) -> bytes:
    return HEADER.pack(magic, time, width, height)


PIXELS = bytes(4 * 32 * 32)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "header of 16 bytes, this message has 0"),
        (header()[:15], "header of 16 bytes, this message has 15"),
        (header(magic=b"JPEG") + PIXELS, "begins with FPP1"),
        (header(width=31) + PIXELS, "32 to 640 pixels to a side, not 31x32"),
        (header(height=641) + PIXELS, "not 32x641"),
        (header(time=float("nan")) + PIXELS, "time of a picture"),
        (header(time=float("inf")) + PIXELS, "time of a picture"),
        (header(time=-1.0) + PIXELS, "time of a picture"),
        (header() + PIXELS[:-1], "takes 4112 bytes, this message has 4111"),
        (header() + PIXELS + b"x", "takes 4112 bytes, this message has 4113"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(message: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        parse(message)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_never_more_than_refused(message: bytes) -> None:
    with pytest.raises(PictureError):
        parse(message)


def test_the_header_is_what_the_page_writes() -> None:
    """`live.js` puts a number of four bytes and a float of eight right after it, little-endian."""
    assert header()[:4] == struct.pack("<I", 0x31505046)
    assert HEADER.size == 16
