"""Heart rates beside their references, and summaries of many of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Literal

import numpy as np

from facepulse._types import Floats
from facepulse.datasets.recording import Attribute
from facepulse.evaluation import metrics
from facepulse.evaluation.metrics import CLOSE_BPM, LimitsOfAgreement, Statistic

COVERAGES = range(100, 0, -10)  # percent
BINS = 10  # of quality, for the reliability diagram

Confidence = Literal["quality", "own_snr_db"]


@dataclass(frozen=True)
class Row:
    """Estimated heart rate of a recording or of a window, beside its reference.

    Attributes:
        recording: name of the recording.
        subject: name of the subject.
        attributes: light, motion, ... of the recording.
        start_s: seconds from the first frame of the video.
        end_s: seconds from the first frame of the video.
        reference: source of the reference heart rate: the PPG, by the same protocol over the same samples; the mean of
            the device's own bpm; or None without a reference.
        reference_bpm: None without a reference.
        bpm: estimated heart rate.
        error: bpm minus reference; None without a reference.
        snr_db: SNR of the waveform at the reference heart rate; None without a reference.
        macc: MACC of the filtered waveform and the filtered reference; None without a reference PPG.
        quality: 0..1, calibrated probability that bpm is within 5 bpm; None for a rate from a waveform alone.
        own_snr_db: SNR of the waveform at the estimated heart rate, which needs no reference.
        shown: False if the heart rate is withheld; None for a rate from a waveform alone.
        method: name of the method that gave the heart rate, which may be the classical one in place of a network.
    """

    recording: str
    subject: str
    attributes: Mapping[str, Attribute]
    start_s: float
    end_s: float
    reference: Literal["ppg", "bpm"] | None
    reference_bpm: float | None
    bpm: float
    error: float | None
    snr_db: float | None
    macc: float | None
    quality: float | None
    own_snr_db: float
    shown: bool | None
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values, rounded to six decimals; attributes are a nested dictionary."""
        values = asdict(self)
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


@dataclass(frozen=True)
class Shown:
    """Heart rates that are shown because their quality reaches the threshold.

    Attributes:
        n: number of rows that are shown.
        percent: percentage of all rows that are shown.
        mae: mean absolute error of those shown, bpm; None if none is.
        within_5_bpm: percentage of those shown with an error of at most 5 bpm; None if none is shown.
    """

    n: int
    percent: Statistic
    mae: Statistic | None
    within_5_bpm: Statistic | None


@dataclass(frozen=True)
class Summary:
    """Metrics over rows with a reference, of shown and withheld heart rates alike but for `shown`.

    Attributes:
        n: number of rows.
        subjects: number of subjects.
        mae: bpm.
        rmse: bpm.
        mape: percent.
        pearson: None if it is undefined.
        within_5_bpm: percentage of heart rates with an error of at most 5 bpm.
        snr_db: mean SNR of the waveform at the reference heart rate.
        macc: mean MACC; None without reference waveforms.
        agreement: bias and limits of agreement; None for a single row.
        shown: coverage and errors of the heart rates that are shown; None for rates from a waveform alone.
    """

    n: int
    subjects: int
    mae: Statistic
    rmse: Statistic
    mape: Statistic
    pearson: Statistic | None
    within_5_bpm: Statistic
    snr_db: Statistic
    macc: Statistic | None
    agreement: LimitsOfAgreement | None
    shown: Shown | None


@dataclass(frozen=True)
class Coverage:
    """Errors of the windows that remain if those of the lowest quality are rejected.

    Attributes:
        percent: percentage of windows kept, those of the highest quality (or own SNR).
        n: number of windows kept.
        threshold: lowest quality (or own SNR, dB) among them.
        mae: their mean absolute error, bpm.
        within_5_bpm: percentage of them within 5 bpm.
    """

    percent: int
    n: int
    threshold: float
    mae: float
    within_5_bpm: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Windows of similar quality. A calibrated quality equals the fraction of them within 5 bpm.

    Attributes:
        low: lower limit of the quality.
        high: upper limit of the quality.
        n: number of windows.
        quality: their mean quality.
        within_5_bpm: fraction of them within 5 bpm, 0..1.
    """

    low: float
    high: float
    n: int
    quality: float
    within_5_bpm: float


def summarise(rows: Iterable[Row]) -> Summary | None:
    """Summarise the rows that have a reference; None if there are none."""
    rows = [row for row in rows if row.error is not None]
    if not rows:
        return None
    subjects = [row.subject for row in rows]
    reference = np.array([row.reference_bpm for row in rows], np.float64)
    estimated = np.array([row.bpm for row in rows])
    errors = metrics.heart_rate_errors(reference, estimated, subjects)
    maccs = [(row.macc, row.subject) for row in rows if row.macc is not None]
    return Summary(
        n=len(rows),
        subjects=len(set(subjects)),
        mae=errors.mae,
        rmse=errors.rmse,
        mape=errors.mape,
        pearson=errors.pearson,
        within_5_bpm=_within_5_bpm(estimated - reference, subjects),
        snr_db=metrics.mean([row.snr_db for row in rows if row.snr_db is not None], subjects),
        macc=metrics.mean(*zip(*maccs, strict=True)) if maccs else None,
        agreement=metrics.bland_altman(reference, estimated),
        shown=_shown(rows),
    )


def _shown(rows: Sequence[Row]) -> Shown | None:
    if any(row.shown is None for row in rows):
        return None
    kept = [row for row in rows if row.shown]
    errors, subjects = np.array([row.error for row in kept], np.float64), [row.subject for row in kept]
    return Shown(
        n=len(kept),
        percent=metrics.mean([100.0 * bool(row.shown) for row in rows], [row.subject for row in rows]),
        mae=metrics.mean(np.abs(errors), subjects) if kept else None,
        within_5_bpm=_within_5_bpm(errors, subjects) if kept else None,
    )


def _within_5_bpm(errors: Floats, subjects: Sequence[str]) -> Statistic:
    return metrics.mean(100.0 * (np.abs(errors) <= CLOSE_BPM), subjects)


def format_summary(summary: Summary) -> dict[str, str]:
    """Format a summary for tables: name with unit to value with standard error and 95 % interval."""
    limits, shown = summary.agreement, summary.shown
    formatted = {
        "MAE, bpm": str(summary.mae),
        "RMSE, bpm": str(summary.rmse),
        "MAPE, %": str(summary.mape),
        "Pearson's r": str(summary.pearson) if summary.pearson else "unknown",
        "within 5 bpm, %": str(summary.within_5_bpm),
        "SNR, dB": str(summary.snr_db),
        "MACC": str(summary.macc) if summary.macc else "unknown",
        "bias, bpm": f"{limits.bias:.2f}, limits of agreement {limits.low:.2f} to {limits.high:.2f}"
        if limits
        else "unknown",
    }
    if shown is not None:
        formatted["shown, %"] = f"{shown.percent}, n={shown.n}"
        formatted["MAE of shown, bpm"] = str(shown.mae) if shown.mae else "none shown"
        formatted["within 5 bpm of shown, %"] = str(shown.within_5_bpm) if shown.within_5_bpm else "none shown"
    return formatted


def confidence(rows: Iterable[Row]) -> Confidence:
    """Return the field by which rows are rejected: quality, or the own SNR if the model gives no quality."""
    return "own_snr_db" if any(row.quality is None for row in rows) else "quality"


def coverage_curve(rows: Iterable[Row]) -> list[Coverage]:
    """Compute errors against the percentage of rows kept, highest confidence first; empty without references."""
    rows = [row for row in rows if row.error is not None]
    if not rows:
        return []
    values = np.array([getattr(row, confidence(rows)) for row in rows], np.float64)
    best_first = np.argsort(-values, kind="stable")
    errors = np.abs(np.array([row.error for row in rows], np.float64))[best_first]
    curve = []
    for percent in COVERAGES:
        n = ceil(len(rows) * percent / 100)
        kept = errors[:n]
        correct = 100 * float((kept <= CLOSE_BPM).mean())
        curve.append(Coverage(percent, n, float(values[best_first[n - 1]]), float(kept.mean()), correct))
    return curve


def reliability(rows: Iterable[Row]) -> list[ReliabilityBin]:
    """Compute the fraction of rows within 5 bpm in each non-empty tenth of quality; empty without qualities."""
    pairs = [(row.quality, abs(row.error)) for row in rows if row.quality is not None and row.error is not None]
    bins = []
    for number in range(BINS):
        # The last bin includes its upper end.
        inside = [pair for pair in pairs if min(int(pair[0] * BINS), BINS - 1) == number]
        if inside:
            quality, error = np.transpose(inside)
            correct = float((error <= CLOSE_BPM).mean())
            bins.append(ReliabilityBin(number / BINS, (number + 1) / BINS, len(inside), float(quality.mean()), correct))
    return bins
