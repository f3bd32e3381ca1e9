"""How far estimated heart rates and waveforms are from their reference, each figure with its standard error.

The definitions, standard errors included, are rPPG-Toolbox's since December 2024, so that tables can be set side by
side.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from facepulse.pulse import Floats


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error.

    Attributes:
        value: the figure.
        standard_error: in the unit of `value`; None where there are too few entries to know it.
    """

    value: float
    standard_error: float | None

    def __str__(self) -> str:
        """The figure as tables print it, for example `0.98 ± 0.38`."""
        error = "unknown" if self.standard_error is None else f"{self.standard_error:.2f}"
        return f"{self.value:.2f} ± {error}"


@dataclass(frozen=True)
class HeartRateErrors:
    """Errors of n heart rates.

    Attributes:
        n: number of pairs.
        mae: mean absolute error, bpm.
        rmse: root of the mean squared error, bpm.
        mape: mean absolute error relative to the reference, percent.
        pearson: correlation; None for a single pair or where either side does not vary.
    """

    n: int
    mae: Estimate
    rmse: Estimate
    mape: Estimate
    pearson: Estimate | None

    def __str__(self) -> str:
        """All of it in one line."""
        return f"MAE {self.mae} bpm, RMSE {self.rmse} bpm, MAPE {self.mape} %, r {self.pearson}, n={self.n}"


def evaluate(reference_bpm: npt.ArrayLike, estimated_bpm: npt.ArrayLike) -> HeartRateErrors:
    """MAE, RMSE, MAPE and Pearson correlation of estimated heart rates.

    Args:
        reference_bpm: (n,) true heart rates, above zero.
        estimated_bpm: (n,) estimates in the same order.

    Returns:
        The errors. Standard errors: σ/√n for MAE and MAPE, √(σ(e²)/√n) for RMSE, √((1-r²)/(n-2)) for Pearson, with the
        population's σ; None below two entries (three for Pearson).

    Raises:
        ValueError: an argument is empty, not one-dimensional or not finite, the lengths differ, or a reference is not
            above zero.
    """
    reference = _values(reference_bpm, "reference_bpm")
    estimated = _values(estimated_bpm, "estimated_bpm")
    _same_length(reference, "reference_bpm", estimated, "estimated_bpm")
    if reference.min() <= 0:
        raise ValueError(f"reference_bpm must be above zero, but holds {reference.min():g}")
    errors = estimated - reference
    squares = errors**2
    count = len(errors)
    return HeartRateErrors(
        n=count,
        mae=mean(np.abs(errors)),
        rmse=Estimate(sqrt(squares.mean()), sqrt(squares.std() / sqrt(count)) if count > 1 else None),
        mape=mean(100 * np.abs(errors) / reference),
        pearson=pearson(reference, estimated),
    )


def mean(values: npt.ArrayLike) -> Estimate:
    """Mean over recordings, as for SNR (dB) and MACC.

    Args:
        values: (n,) one value a recording.

    Returns:
        The mean and σ/√n; no standard error for a single value.

    Raises:
        ValueError: `values` is empty, not one-dimensional or not finite.
    """
    array = _values(values, "values")
    return Estimate(float(array.mean()), float(array.std() / sqrt(len(array))) if len(array) > 1 else None)


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> Estimate | None:
    """Pearson's correlation.

    Args:
        a: (n,) values.
        b: (n,) values.

    Returns:
        r and √((1-r²)/(n-2)), the latter None below three pairs; None altogether for a single pair or where either
        side does not vary.

    Raises:
        ValueError: an argument is empty, not one-dimensional or not finite, or the lengths differ.
    """
    first, second = _values(a, "a"), _values(b, "b")
    _same_length(first, "a", second, "b")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    r = float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))
    return Estimate(r, sqrt((1 - r**2) / (len(first) - 2)) if len(first) > 2 else None)


def macc(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Maximum amplitude of cross-correlation between two waveforms, blind to delay and sign.

    The largest |Pearson correlation| of `a` with `b` rolled by 0 to T-2 samples (rPPG-Toolbox leaves the last roll
    out), all of them from one circular correlation by FFT.

    Args:
        a: (T,) waveform.
        b: (T,) waveform.

    Returns:
        0 to 1; 0 where either waveform is flat.

    Raises:
        ValueError: an argument is not one-dimensional, shorter than two samples or not finite, or the lengths differ.
    """
    first, second = _values(a, "a"), _values(b, "b")
    _same_length(first, "a", second, "b")
    if len(first) < 2:
        raise ValueError("a holds one sample: a correlation needs at least two")
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    if scale == 0:
        return 0.0
    products = np.fft.irfft(np.fft.rfft(first) * np.conj(np.fft.rfft(second)), len(first))
    return float(np.clip(np.abs(products[:-1]).max() / scale, 0, 1))


def _values(values: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a one-dimensional array of at least one value, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity: leave such entries out of both arrays")
    return array


def _same_length(a: Floats, a_name: str, b: Floats, b_name: str) -> None:
    if len(a) != len(b):
        raise ValueError(f"{a_name} holds {len(a)} values and {b_name} {len(b)}: they must be pairs")
