"""Depth of images with 16 bits per value, of which many cameras use only the lower 10, 12 or 14."""

import re

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Image

DEPTHS = 8, 10, 12, 14, 16  # bits
_DEEP = re.compile(r"(gray|ya|rgb|bgr|rgba|bgra|gbrp|gbrap|bayer_[a-z]{4})(16|48|64)(le|be)")


def has_16_bits(pixel_format: str) -> bool:
    """True if the values of a pixel format of FFmpeg have 16 bits, of which the format does not state the depth."""
    return _DEEP.fullmatch(pixel_format) is not None


class Depth:
    """Depth of the images of one video: the lowest usual one that holds their values.

    Attributes:
        bits: the depth of the images so far; 0 before the first that is not black.
    """

    def __init__(self) -> None:
        self.bits = 0

    def add(self, image: NDArray[np.uint16]) -> bool:
        """Take the values of an image into account; return True if they exceed the depth of those before."""
        before, highest = self.bits, int(image.max())
        if highest >= 1 << before:
            self.bits = next(bits for bits in DEPTHS if highest < 1 << bits)
        return 0 < before < self.bits

    def to_8_bits(self, image: NDArray[np.uint16]) -> Image:
        """Return the upper 8 bits of an image that was added."""
        return np.asarray(image >> max(self.bits - 8, 0), np.uint8)
