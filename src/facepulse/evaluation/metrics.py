"""Error metrics of heart rates and waveforms against a reference, each with its uncertainty.

The definitions, including those of the standard errors, are those of rPPG-Toolbox since December 2024, so that tables
can be compared. Its standard errors assume that all entries are independent, which entries of one subject are not: if
subjects are given, every metric also carries a bootstrap interval over subjects. Limits of agreement follow Bland and
Altman; rPPG-Toolbox draws them 1.41 times as wide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepulse._types import Floats

CLOSE_BPM = 5.0  # largest error of a heart rate that counts as correct

RESAMPLES, SEED = 2000, 0  # of the bootstrap: the same entries give the same interval
MINIMUM_SUBJECTS = 3  # fewer give no interval


@dataclass(frozen=True)
class Statistic:
    """Value of a metric with its uncertainty.

    Attributes:
        value: the metric.
        standard_error: in the unit of `value`; None if there are too few entries.
        interval: lower and upper end of the 95 % interval (see `bootstrap_interval`); None if no subjects, or too few,
            were given.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Return the value as tables print it, for example `0.98 ± 0.38 [0.41, 1.83]`."""
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
        pearson: correlation; None for a single pair, or if either side is constant.
    """

    n: int
    mae: Statistic
    rmse: Statistic
    mape: Statistic
    pearson: Statistic | None

    def __str__(self) -> str:
        """Return all metrics in one line."""
        return f"MAE {self.mae} bpm, RMSE {self.rmse} bpm, MAPE {self.mape} %, r {self.pearson}, n={self.n}"


@dataclass(frozen=True)
class LimitsOfAgreement:
    """Agreement of two methods of measurement. Source: Bland and Altman, Lancet 327 (1986).

    Attributes:
        bias: mean of estimate minus reference, bpm.
        low: lower limit, bpm: bias - 1.96 standard deviations of the differences (with n - 1 in the denominator).
        high: upper limit, bpm. About 95 % of the differences lie between the two.
    """

    bias: float
    low: float
    high: float


def heart_rate_errors(
    reference_bpm: ArrayLike, estimated_bpm: ArrayLike, subjects: Sequence[str] | None = None
) -> HeartRateErrors:
    """Compute MAE, RMSE, MAPE and Pearson correlation of estimated heart rates.

    Args:
        reference_bpm: (n,) true heart rates, above zero.
        estimated_bpm: (n,) estimates in the same order.
        subjects: (n,) subject of each entry; needed for intervals.

    Returns:
        The errors. Standard errors are σ/√n for MAE and MAPE, √(σ(e²)/√n) for RMSE and √((1-r²)/(n-2)) for Pearson,
        with the population standard deviation σ; None for fewer than two entries (three for Pearson).

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
        rmse=Statistic(
            sqrt(squares.mean()),
            sqrt(squares.std() / sqrt(count)) if count > 1 else None,
            bootstrap_interval(squares[:, None], subjects, lambda means: np.sqrt(means[:, 0])),
        ),
        mape=mean(100 * np.abs(errors) / reference, subjects),
        pearson=pearson(reference, estimated, subjects),
    )


def mean(values: ArrayLike, subjects: Sequence[str] | None = None) -> Statistic:
    """Compute the mean over recordings or windows, for example of SNR (dB) or MACC.

    Args:
        values: (n,) one value per recording or window.
        subjects: (n,) subject of each value; needed for an interval.

    Returns:
        The mean with standard error σ/√n, which is None for a single value.

    Raises:
        ValueError: `values` is empty, not one-dimensional or not finite, or the lengths differ.
    """
    array = _values(values, "values")
    return Statistic(
        float(array.mean()),
        float(array.std() / sqrt(len(array))) if len(array) > 1 else None,
        bootstrap_interval(array[:, None], subjects, lambda means: means[:, 0]),
    )


def pearson(a: ArrayLike, b: ArrayLike, subjects: Sequence[str] | None = None) -> Statistic | None:
    """Compute Pearson's correlation coefficient r.

    Args:
        a: (n,) values.
        b: (n,) values.
        subjects: (n,) subject of each pair; needed for an interval.

    Returns:
        r with standard error √((1-r²)/(n-2)), which is None for fewer than three pairs. None instead of r for a single
        pair, or if either side is constant.

    Raises:
        ValueError: an argument is empty, not one-dimensional or not finite, or the lengths differ.
    """
    first, second = _values(a, "a"), _values(b, "b")
    _same_length(first, "a", second, "b")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    r = float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))
    x, y = (first - first.mean()) / first.std(), (second - second.mean()) / second.std()
    return Statistic(
        r,
        sqrt((1 - r**2) / (len(first) - 2)) if len(first) > 2 else None,
        bootstrap_interval(np.column_stack([x, y, x * x, y * y, x * y]), subjects, _correlations),
    )


def bland_altman(reference_bpm: ArrayLike, estimated_bpm: ArrayLike) -> LimitsOfAgreement | None:
    """Compute bias and limits of agreement of estimated heart rates.

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
    """Compute the 95 % interval of a statistic over subjects: percentiles of the cluster bootstrap.

    Subjects are drawn with replacement, each with all its entries, because entries of one subject are correlated.
    Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.

    Args:
        features: (n, k) k values for each entry; the statistic is a function of their means.
        subjects: (n,) subject of each entry; if None, no interval is computed.
        statistic: computes the statistic (R,) from the means (R, k) of the features in R resamples; NaN if it is
            undefined in a resample.

    Returns:
        2.5th and 97.5th percentile over `RESAMPLES`; None for fewer than `MINIMUM_SUBJECTS`, or if the statistic is
        undefined in every resample.

    Raises:
        ValueError: features and subjects differ in number.
    """
    if subjects is None:
        return None
    if len(subjects) != len(features):
        raise ValueError(f"there are {len(features)} entries, but {len(subjects)} subjects: give one for each")
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    if len(names) < MINIMUM_SUBJECTS:
        return None
    # A function of means needs only the sums of each subject, so that resampling is one matrix product.
    sums = np.zeros((len(names), 1 + features.shape[1]))
    np.add.at(sums, index, np.column_stack([np.ones(len(features)), features]))
    totals = _subject_counts(len(names)) @ sums
    values = statistic(totals[:, 1:] / totals[:, :1])
    values = values[np.isfinite(values)]
    return _percentiles(values) if len(values) else None


def bootstrap_subjects_and_seeds(
    groups: Sequence[Floats], subjects: Sequence[str], statistic: Callable[[list[Floats]], Floats]
) -> Statistic:
    """Estimate a statistic of mean values with its spread over subjects and over training seeds.

    As `bootstrap_interval`, but the seeds of each group are drawn with replacement as well, independently of the
    subjects and of the other groups.

    Args:
        groups: one (S, n) array per group of trainings: a value per seed and entry. S may differ between groups.
        subjects: (n,) subject of each entry.
        statistic: computes the statistic (R,) from the mean of each group in R resamples, one (R,) array per group.

    Returns:
        The statistic of the groups' means. Its standard error and interval are None for fewer than `MINIMUM_SUBJECTS`.
    """
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    members = (index[:, None] == np.arange(len(names))).astype(np.float64)
    rng = np.random.default_rng(SEED)
    counts = _draw_counts(rng, len(names))
    entries = counts @ members.sum(0)
    means = []
    for values in groups:
        seeds = _draw_counts(rng, len(values)) / len(values)
        means.append(((seeds @ (values @ members)) * counts).sum(1) / entries)
    value = float(statistic([np.array([values.mean()]) for values in groups])[0])
    if len(names) < MINIMUM_SUBJECTS:
        return Statistic(value, None)
    resampled = statistic(means)
    return Statistic(value, float(resampled.std()), _percentiles(resampled))


def macc(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the maximum amplitude of the cross-correlation of two waveforms, which ignores delay and sign.

    It is the largest |Pearson correlation| of `a` with `b` rolled by 0 to T-2 samples (rPPG-Toolbox omits the last
    roll), computed for all rolls at once by a circular correlation with the FFT.

    Args:
        a: (T,) waveform.
        b: (T,) waveform.

    Returns:
        0 to 1; 0 if either waveform is constant.

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


@lru_cache(maxsize=4)  # a table needs the same counts for every metric
def _subject_counts(subjects: int) -> Floats:
    """Count how often each subject is in each resample, (R, subjects)."""
    return _draw_counts(np.random.default_rng(SEED), subjects).astype(np.float64)


def _draw_counts(rng: np.random.Generator, items: int) -> NDArray[np.int64]:
    """Draw how often each item is in each resample, (R, items)."""
    return rng.multinomial(items, np.full(items, 1 / items), RESAMPLES)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _correlations(means: Floats) -> Floats:
    """Compute Pearson's r from the means of x, y, x², y² and xy, (R, 5) to (R,); NaN if either is constant."""
    x, y, xx, yy, xy = means.T
    spread = np.sqrt(np.maximum(xx - x * x, 0.0) * np.maximum(yy - y * y, 0.0))
    varies = spread > 1e-9  # relative to the spread of all entries: less is rounding error
    r = np.divide(xy - x * y, spread, out=np.full_like(spread, np.nan), where=varies)
    return np.asarray(np.clip(r, -1.0, 1.0), np.float64)


def _values(values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a one-dimensional array of at least one value, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity: leave such entries out of both arrays")
    return array


def _same_length(a: Floats, a_name: str, b: Floats, b_name: str) -> None:
    if len(a) != len(b):
        raise ValueError(f"{a_name} holds {len(a)} values and {b_name} {len(b)}: they must be pairs")
