"""Orientation of frames: the eight turns and reflections of an image, and the display matrix that selects one."""

from typing import Any, NamedTuple

import numpy as np

from facepulse._types import Image

# Parts (a, b, c, d) of the display matrix that turn an image by 0, 90, 180 and 270 degrees counterclockwise.
_TURNS = (1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)


class Orientation(NamedTuple):
    """Steps that make a stored image upright.

    Attributes:
        transposed: True if rows become columns, which is the first step.
        down: 1, or -1 to reverse the order of the rows.
        across: 1, or -1 to reverse the order of the columns.
    """

    transposed: bool = False
    down: int = 1
    across: int = 1

    def upright(self, image: Image) -> Image:
        """Turn and mirror an image, uint8 (H, W, 3), into a contiguous one."""
        turned = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(turned[:: self.down, :: self.across])


def orientation_of(frame: Any) -> Orientation | None:
    """Orientation of a decoded frame: that which is nearest to its display matrix, None if that is singular."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18 gives no side data at all if one kind is unknown to it, such as EXIF. It gives the angle, from which
        # a reflection cannot be told.
        return nearest_orientation(*_TURNS[round(frame.rotation / 90) % 4]) if abs(frame.rotation) <= 180 else None
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return nearest_orientation(a, b, c, d)


def nearest_orientation(a: int, b: int, c: int, d: int) -> Orientation | None:
    """Find the orientation that is nearest to a display matrix; None if it is singular.

    The matrix takes the stored pixel (x, y) to (a x + c y, b x + d y), where y points down (ISO/IEC 14496-12, 6.2.2).
    """
    if a * d == b * c:
        return None
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, down=1 if b >= 0 else -1, across=1 if c >= 0 else -1)
    return Orientation(False, down=1 if d >= 0 else -1, across=1 if a >= 0 else -1)
