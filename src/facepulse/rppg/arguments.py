"""Arguments of the public functions: conversion to floats, or an error of one line before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, nan

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import UsageError, shown

MAXIMUM_FPS = 4000.0  # above it, detrending with the cut-off of a heart exceeds the precision of float64


def as_positive(value: object, name: str, highest: float = inf) -> float:
    """Convert a number, or an array of no dimension, to a float.

    Raises:
        UsageError: the value is not a number, not finite, or not above zero and up to `highest`.
    """
    try:
        single = np.ndim(value) == 0 and not isinstance(value, str | bytes | bool | np.bool_)  # type: ignore[arg-type]
        number = float(value) if single else nan  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = nan
    if 0 < number <= highest and number < inf:
        return number
    limit = f" and at most {highest:g}" if highest < inf else ""
    raise UsageError(f"{name} must be a number above zero{limit}, not {shown(value)}")


def as_fps(fps: object) -> float:
    """Convert a sampling rate in Hz to a float.

    Raises:
        UsageError: the rate is not a number above zero and at most 4000.
    """
    return as_positive(fps, "fps", MAXIMUM_FPS)


def as_list(values: Iterable[npt.ArrayLike], name: str, shape: str, dimensions: int) -> list[Floats]:
    """Convert one array for each segment of a recording to float64, each as `as_array` does.

    Raises:
        UsageError: not a list of such arrays, or an empty one.
    """
    try:
        arrays = list(values)
    except TypeError:
        arrays = []
    if not arrays:
        raise UsageError(f"{name} must be a list of arrays {shape}, one for each segment, not {shown(values)}")
    return [as_array(each, f"each of {name}", shape, dimensions) for each in arrays]


def as_array(values: npt.ArrayLike, name: str, shape: str, *dimensions: int) -> Floats:
    """Convert an array of real numbers to float64.

    Args:
        values: the argument.
        name: of the argument.
        shape: that the argument must have, for the message.
        dimensions: number of them; one of several.

    Raises:
        UsageError: not real numbers, another number of dimensions, empty, or not finite.
    """
    try:
        given = np.asarray(values)
        wrong = values is None or given.dtype.kind in "cmM"  # complex numbers, dates
        array = None if wrong else np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # text, rows of different lengths, a tensor with gradients
        array = None
    if array is None:
        raise UsageError(f"{name} must be an array {shape} of real numbers; this {type(values).__name__} is not")
    if array.ndim not in dimensions:
        raise UsageError(f"{name} must be {shape}, not of shape {array.shape}")
    if array.size == 0:
        raise UsageError(f"{name} is empty: give an array {shape}")
    if not np.isfinite(array).all():
        raise UsageError(f"{name} must be finite, but contains NaN or infinity: interpolate the gap or cut it out")
    return array


def as_waveform(values: npt.ArrayLike, name: str = "waveform") -> Floats:
    """Convert a waveform (T,) to float64.

    Raises:
        UsageError: not one-dimensional, empty, not real numbers, or not finite.
    """
    return as_array(values, name, "(T,)", 1)


def as_times(values: npt.ArrayLike, name: str) -> Floats:
    """Convert times in seconds (T,) to float64.

    Raises:
        UsageError: not a finite array (T,), or not ascending.
    """
    times = as_array(values, name, "(T,)", 1)
    if (np.diff(times) < 0).any():
        raise UsageError(f"{name} must be ascending seconds: sort them")
    return times
