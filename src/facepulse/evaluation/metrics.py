"""How far estimated heart rates and waveforms are from their reference, each figure with its uncertainty.

The definitions, standard errors included, are rPPG-Toolbox's since December 2024, so that tables can be set side by
side. Its standard errors take all entries for independent, which those of one person are not: where subjects are given,
figures also carry an interval that holds for other people. Limits of agreement are Bland and Altman's own; the toolbox
draws them 1.41 times as wide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats

CLOSE_BPM = 5.0  # a heart rate this near its reference counts as right

RESAMPLES, SEED = 2000, 0  # of the bootstrap: the same entries give the same interval
MINIMUM_SUBJECTS = 3  # of fewer, nothing is learned about other people


@dataclass(frozen=True)
class Estimate:
    """A figure and its uncertainty.

    Attributes:
        value: the figure.
        standard_error: in the unit of `value`; None where there are too few entries to know it.
        interval: low and high end of the 95 % interval (see `bootstrap_interval`); None where no subjects were given,
            or too few.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        """The figure as tables print it, for example `0.98 ± 0.38 [0.41, 1.83]`."""
        error = "unknown" if self.standard_error is None else f"{self.standard_error:.2f}"
        interval = "" if self.interval is None else f" [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"
        return f"{self.value:.2f} ± {error}{interval}"


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


@dataclass(frozen=True)
class LimitsOfAgreement:
    """How two ways to measure agree. Source: Bland and Altman, Lancet 327 (1986).

    Attributes:
        bias: mean of estimate minus reference, bpm.
        low: bias - 1.96 standard deviations of the differences (n - 1 in the denominator): the lower limit, bpm.
        high: the upper limit. About 95 % of differences lie between the two.
    """

    bias: float
    low: float
    high: float


def evaluate(
    reference_bpm: npt.ArrayLike, estimated_bpm: npt.ArrayLike, subjects: Sequence[str] | None = None
) -> HeartRateErrors:
    """MAE, RMSE, MAPE and Pearson correlation of estimated heart rates.

    Args:
        reference_bpm: (n,) true heart rates, above zero.
        estimated_bpm: (n,) estimates in the same order.
        subjects: n names: whose each is; needed for intervals.

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
        mae=mean(np.abs(errors), subjects),
        rmse=Estimate(
            sqrt(squares.mean()),
            sqrt(squares.std() / sqrt(count)) if count > 1 else None,
            bootstrap_interval(squares[:, None], subjects, lambda means: np.sqrt(means[:, 0])),
        ),
        mape=mean(100 * np.abs(errors) / reference, subjects),
        pearson=pearson(reference, estimated, subjects),
    )


def mean(values: npt.ArrayLike, subjects: Sequence[str] | None = None) -> Estimate:
    """Mean over recordings or windows, as for SNR (dB) and MACC.

    Args:
        values: (n,) one value each.
        subjects: n names: whose each is; needed for an interval.

    Returns:
        The mean and σ/√n; no standard error for a single value.

    Raises:
        ValueError: `values` is empty, not one-dimensional or not finite, or the lengths differ.
    """
    array = _values(values, "values")
    return Estimate(
        float(array.mean()),
        float(array.std() / sqrt(len(array))) if len(array) > 1 else None,
        bootstrap_interval(array[:, None], subjects, lambda means: means[:, 0]),
    )


def pearson(a: npt.ArrayLike, b: npt.ArrayLike, subjects: Sequence[str] | None = None) -> Estimate | None:
    """Pearson's correlation.

    Args:
        a: (n,) values.
        b: (n,) values.
        subjects: n names: whose each pair is; needed for an interval.

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
    x, y = (first - first.mean()) / first.std(), (second - second.mean()) / second.std()
    return Estimate(
        r,
        sqrt((1 - r**2) / (len(first) - 2)) if len(first) > 2 else None,
        bootstrap_interval(np.column_stack([x, y, x * x, y * y, x * y]), subjects, _correlations),
    )


def bland_altman(reference_bpm: npt.ArrayLike, estimated_bpm: npt.ArrayLike) -> LimitsOfAgreement | None:
    """Bias and limits of agreement of estimated heart rates.

    Args:
        reference_bpm: (n,) true heart rates.
        estimated_bpm: (n,) estimates in the same order.

    Returns:
        The limits; None for a single pair.

    Raises:
        ValueError: an argument is empty, not one-dimensional or not finite, or the lengths differ.
    """
    reference = _values(reference_bpm, "reference_bpm")
    estimated = _values(estimated_bpm, "estimated_bpm")
    _same_length(reference, "reference_bpm", estimated, "estimated_bpm")
    if len(reference) < 2:
        return None
    differences = estimated - reference
    bias, reach = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    return LimitsOfAgreement(bias, bias - reach, bias + reach)


def bootstrap_interval(
    features: Floats, subjects: Sequence[str] | None, statistic: Callable[[Floats], Floats]
) -> tuple[float, float] | None:
    """95 % interval of a figure over other people like these: percentiles of the bootstrap over whole subjects.

    Subjects are drawn with replacement, each with all its entries, because the entries of one person resemble each
    other. Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.

    Args:
        features: (n, k) what the figure is made of, for each entry.
        subjects: n names: whose each entry is; None for no interval.
        statistic: from means of the features over the entries of each resample, (R, k), to the figure, (R,); NaN where
            a resample has none.

    Returns:
        2.5th and 97.5th percentile over `RESAMPLES`; None below `MINIMUM_SUBJECTS`, or where there is no figure.

    Raises:
        ValueError: features and subjects differ in number.
    """
    if subjects is None:
        return None
    if len(subjects) != len(features):
        raise ValueError(f"there are {len(features)} entries, but {len(subjects)} subjects: give one for each")
    people, whose = np.unique(np.asarray(subjects), return_inverse=True)
    if len(people) < MINIMUM_SUBJECTS:
        return None
    # Whatever is a function of means needs but the sums of each person, so that resampling is one product.
    sums = np.zeros((len(people), 1 + features.shape[1]))
    np.add.at(sums, whose, np.column_stack([np.ones(len(features)), features]))
    totals = _drawn(len(people)) @ sums
    figures = statistic(totals[:, 1:] / totals[:, :1])
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return None
    low, high = np.percentile(figures, (2.5, 97.5))
    return float(low), float(high)


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


@lru_cache(maxsize=4)  # a table asks for the same many times
def _drawn(people: int) -> Floats:
    """How often each person is in each resample, (R, people)."""
    counts = np.random.default_rng(SEED).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    return counts.astype(np.float64)


def _correlations(means: Floats) -> Floats:
    """Pearson's r from the means of x, y, x², y² and xy, (R, 5) to (R,); NaN where either does not vary."""
    x, y, xx, yy, xy = means.T
    spread = np.sqrt(np.maximum(xx - x * x, 0.0) * np.maximum(yy - y * y, 0.0))
    varies = spread > 1e-9  # of the spread of all entries: less is rounding
    r = np.divide(xy - x * y, spread, out=np.full_like(spread, np.nan), where=varies)
    return np.asarray(np.clip(r, -1.0, 1.0), np.float64)


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
