"""Heart rates beside their references, and what many of them amount to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Literal

import numpy as np

from facepulse.datasets.recording import Attribute
from facepulse.evaluation import metrics
from facepulse.evaluation.metrics import CLOSE_BPM, Estimate, LimitsOfAgreement

COVERAGES = range(100, 0, -10)  # percent
BINS = 10  # of quality, for its reliability

Confidence = Literal["quality", "own_snr_db"]


@dataclass(frozen=True)
class Row:
    """One heart rate beside its reference: of a recording or of a window.

    Attributes:
        recording: its name.
        subject: whose it is.
        attributes: light, motion, ... of the recording.
        start_s: seconds from the first frame of the video.
        end_s: seconds from the first frame of the video.
        reference: what the reference heart rate is from: the PPG, by the same estimator over the same samples; the
            mean of the device's own bpm; or None where there is nothing to compare with.
        reference_bpm: None without a reference.
        bpm: as estimated.
        error: bpm minus reference; None without a reference.
        snr_db: of the waveform at the reference heart rate; None without a reference.
        macc: of the filtered waveform with the filtered reference; None without a reference PPG.
        quality: 0..1, how far the model itself trusts the bpm; None where it does not say.
        own_snr_db: of the waveform at its own heart rate, which needs no reference.
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

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values, to six digits after the point; attributes are a dictionary of their own."""
        values = asdict(self)
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


@dataclass(frozen=True)
class Summary:
    """What rows with a reference amount to.

    Attributes:
        n: number of rows.
        subjects: number of people.
        mae: bpm.
        rmse: bpm.
        mape: percent.
        pearson: None where it cannot be had.
        within_5_bpm: share of heart rates that are at most 5 bpm off, percent.
        snr_db: of the waveform at the reference heart rate.
        macc: None without reference waveforms.
        agreement: bias and limits of agreement; None for a single row.
    """

    n: int
    subjects: int
    mae: Estimate
    rmse: Estimate
    mape: Estimate
    pearson: Estimate | None
    within_5_bpm: Estimate
    snr_db: Estimate
    macc: Estimate | None
    agreement: LimitsOfAgreement | None


@dataclass(frozen=True)
class Coverage:
    """What is left when the least trusted windows are rejected.

    Attributes:
        percent: of all windows are kept, the most trusted ones.
        n: how many that are.
        threshold: the lowest quality (or SNR of its own, dB) among them.
        mae: of them, bpm.
        within_5_bpm: percent of them.
    """

    percent: int
    n: int
    threshold: float
    mae: float
    within_5_bpm: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Windows of about one quality. An honest quality is about the share of them that is right.

    Attributes:
        low: of the quality.
        high: of the quality.
        n: number of windows.
        quality: mean.
        within_5_bpm: share of the windows, 0..1.
    """

    low: float
    high: float
    n: int
    quality: float
    within_5_bpm: float


def summarised(rows: Iterable[Row]) -> Summary | None:
    """What rows amount to; None where none has a reference."""
    rows = [row for row in rows if row.error is not None]
    if not rows:
        return None
    subjects = [row.subject for row in rows]
    reference = np.array([row.reference_bpm for row in rows], np.float64)
    estimated = np.array([row.bpm for row in rows])
    errors = metrics.heart_rate_errors(reference, estimated, subjects)
    with_wave = [(row.macc, row.subject) for row in rows if row.macc is not None]
    return Summary(
        n=len(rows),
        subjects=len(set(subjects)),
        mae=errors.mae,
        rmse=errors.rmse,
        mape=errors.mape,
        pearson=errors.pearson,
        within_5_bpm=metrics.mean(100.0 * (np.abs(estimated - reference) <= metrics.CLOSE_BPM), subjects),
        snr_db=metrics.mean([row.snr_db for row in rows if row.snr_db is not None], subjects),
        macc=metrics.mean([m for m, _ in with_wave], [s for _, s in with_wave]) if with_wave else None,
        agreement=metrics.bland_altman(reference, estimated),
    )


def figures(summary: Summary) -> dict[str, str]:
    """A summary as tables print it: name with unit to figure with standard error and 95 % interval."""
    limits = summary.agreement
    return {
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


def confidence(rows: Iterable[Row]) -> Confidence:
    """What rows are rejected by: their quality, or where the model gives none, the SNR of their own."""
    return "own_snr_db" if any(row.quality is None for row in rows) else "quality"


def coverage_curve(rows: Iterable[Row]) -> list[Coverage]:
    """Error against how many rows are kept, the most trusted first; empty without references."""
    rows = [row for row in rows if row.error is not None]
    if not rows:
        return []
    trust = np.array([getattr(row, confidence(rows)) for row in rows], np.float64)
    best_first = np.argsort(-trust, kind="stable")
    errors = np.abs(np.array([row.error for row in rows], np.float64))[best_first]
    curve = []
    for percent in COVERAGES:
        n = ceil(len(rows) * percent / 100)
        kept = errors[:n]
        right = 100 * float((kept <= CLOSE_BPM).mean())
        curve.append(Coverage(percent, n, float(trust[best_first[n - 1]]), float(kept.mean()), right))
    return curve


def reliability(rows: Iterable[Row]) -> list[ReliabilityBin]:
    """Share of rows that are right in each tenth of quality that holds any; empty where there is no quality."""
    pairs = [(row.quality, abs(row.error)) for row in rows if row.quality is not None and row.error is not None]
    bins = []
    for number in range(BINS):
        inside = [
            pair for pair in pairs if min(int(pair[0] * BINS), BINS - 1) == number
        ]  # the last holds its upper end
        if inside:
            quality, error = np.transpose(inside)
            right = float((error <= CLOSE_BPM).mean())
            bins.append(ReliabilityBin(number / BINS, (number + 1) / BINS, len(inside), float(quality.mean()), right))
    return bins
