"""Images of callers as uint8 RGB: shapes that are not RGB, values of another type, and the scale of floating point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Image
from facepulse.errors import UsageError

DARKEST_TOP = 16.0  # a frame on the scale of 0 to 255 has a higher value than this somewhere, if it shows a face
TOLERANCE = 1e-3  # of the scale: values that rounding has pushed beyond its ends are clipped

_REPEAT = "repeat it for red, green and blue (np.repeat), and use the method GREEN"
_GREY = f"grey, one channel; {_REPEAT}"
_FLAT = f"grey, no axis of channels; {_REPEAT}"
_ALPHA = "four channels, such as RGBA; leave out the fourth with array[..., :3]"
_BEFORE = "channels before pixels; move the channels to the end with np.moveaxis(array, {axis}, -1)"


class ImageConverter:
    """Conversion of the images of one video to uint8 RGB.

    Floating-point images are either on the scale of 0 to 1 or of 0 to 255. The first image that is not black decides:
    with a highest value of up to 1 it is 0 to 1, above 16 it is 0 to 255, and between them it is an error, as is a
    later image beyond the scale. (A later image on the scale of 0 to 255 may be dark.)

    Args:
        copy: True to copy each image, because the caller may write the next one into the same memory.
    """

    def __init__(self, copy: bool) -> None:
        self._copy = copy
        self._shape: tuple[int, ...] | None = None
        self._top: int | None = None

    def __call__(self, image: object, where: str) -> Image:
        """Convert one image.

        Args:
            image: (H, W, 3) RGB, uint8 or floating point, or an object that converts itself to such an array.
            where: name of the image in messages.

        Raises:
            UsageError: it is no such image, or differs in size or scale from those before.
        """
        array = as_array(image, where)
        check_type(array, where)
        if fault := image_fault(array.shape):
            raise UsageError(f"{where} has the shape {array.shape}, expected RGB (H, W, 3): {fault}")
        self._shape = self._shape or array.shape
        if array.shape != self._shape:
            raise UsageError(
                f"{where} has {array.shape[1]}x{array.shape[0]} pixels, and those before it have "
                f"{self._shape[1]}x{self._shape[0]}; give frames of one size, or measure each size for itself"
            )
        if array.dtype.kind == "f":
            return self._from_floats(array, where)
        return np.array(array, np.uint8, order="C") if self._copy else np.ascontiguousarray(array, np.uint8)

    def _from_floats(self, array: NDArray[Any], where: str) -> Image:
        low, high = float(array.min()), float(array.max())
        if not np.isfinite(low + high):
            raise UsageError(f"{where} contains values that are NaN or infinite; leave it out, or repair them")
        if self._top is None and high > 0:
            self._top = scale_top(high, where)
        top = self._top or 1  # black is the same on both scales
        if low < -TOLERANCE * top:
            raise UsageError(f"{where} contains negative values ({low:.4g}); scale them to 0..1 or 0..255")
        if high > top * (1 + TOLERANCE):
            before = ", but the frames before it are within 0..1; convert all to uint8" if top == 1 else ""
            raise UsageError(f"{where} contains values up to {high:.4g}, more than {top}{before or '; scale them'}")
        levels = np.rint(np.multiply(array, 255 / top, dtype=np.float32))
        return np.asarray(np.clip(levels, 0, 255), np.uint8)


def scale_top(high: float, where: str) -> int:
    """Return the top of the scale, 1 or 255, of a floating-point image with the highest value `high` above 0.

    Raises:
        UsageError: the value fits neither.
    """
    if high <= 1 + TOLERANCE:
        return 1
    if high > DARKEST_TOP:
        return 255
    raise UsageError(
        f"{where} is floating point with a highest value of {high:.4g}, too high for 0..1 and too dark for 0..255; "
        "scale the values and convert them to uint8"
    )


def as_array(value: object, where: str) -> NDArray[Any]:
    """Return an object that is or converts itself to an array, without a copy if possible.

    Raises:
        UsageError: it does not convert itself, such as a tensor on a GPU.
    """
    if not hasattr(value, "__array__"):
        raise UsageError(f"{where} is of the type {type(value).__name__}; give an array (H, W, 3) of RGB")
    try:
        return np.asarray(value)
    except Exception as error:  # of any kind: it is raised by the object
        reason = " ".join(str(error).split())
        raise UsageError(f"{where} cannot be converted to an array ({reason}); convert it to uint8 first") from error


def check_type(array: NDArray[Any], where: str) -> None:
    """Refuse arrays that are neither uint8 nor floating point.

    Raises:
        UsageError: the array has another type.
    """
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise UsageError(
            f"{where} is of the type {array.dtype}; give uint8 from 0 to 255 (scale the values, then "
            "astype(np.uint8)), or floating point"
        )


def image_fault(shape: tuple[int, ...]) -> str | None:
    """Describe what an image of this shape is, if it is not (H, W, 3), and what to do."""
    if 0 in shape:
        return "empty; leave it out"
    match shape:
        case (_, _, 3):
            return None
        case (_, _, 4):
            return _ALPHA
        case (_, _, 1):
            return _GREY
        case (1 | 3 | 4, _, _):
            return _BEFORE.format(axis=0)
        case (_, _):
            return _FLAT
        case (_, _, _, _):
            return "a video by itself; measure one video at a time"
        case _:
            return "not an image; give each frame as an array"


def video_fault(shape: tuple[int, ...]) -> str | None:
    """Describe what an array of this shape is, if it is not (T, H, W, 3), and what to do."""
    if 0 in shape:
        return "empty; give at least 5 s of frames"
    match shape:
        case (_, _, _, 3):
            return None
        case (_, 1 | 3 | 4, _, _):
            return _BEFORE.format(axis=1)
        case (1 | 3 | 4, _, _, _) if shape[3] not in (1, 4):
            return _BEFORE.format(axis=0)
        case (_, _, _, 4):
            return _ALPHA
        case (_, _, _, 1):
            return _GREY
        case (_, _, 1 | 3 | 4) | (3 | 4, _, _):
            return "a single image; give the frames of at least 5 s"
        case (_, _, _):
            return _FLAT
        case (_, 3):
            return "an RGB trace or a table; give frames, or use facepulse.rppg for traces"
        case (_, _):
            return "a single grey image; give the frames of at least 5 s"
        case (_, _, _, _, _):
            return "several videos; measure one at a time"
        case _:
            return "not a video; give its frames"
