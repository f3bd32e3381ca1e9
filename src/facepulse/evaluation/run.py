"""Evaluation of a model on prepared recordings under a named protocol: each heart rate against its reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import numpy as np

from facepulse._types import Floats
from facepulse.datasets import splits
from facepulse.datasets.cache import PreparedRecording
from facepulse.datasets.recording import DatasetError
from facepulse.errors import FacepulseError, TooShortError, UsageError
from facepulse.evaluation import metrics
from facepulse.evaluation.predictors import (
    Prediction,
    Rate,
    check_crops,
    describe,
    estimator_prediction,
    runs,
    waveform_prediction,
)
from facepulse.evaluation.result import Evaluation, Failure, Selection, Trace
from facepulse.evaluation.summary import Row
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.extract import MINIMUM_S, check_window_and_quality
from facepulse.pipeline.methods import Fallback, Method, MethodLike, check_fallback, find_method
from facepulse.rppg.protocols import Protocol, find_protocol
from facepulse.rppg.spectrum import filtered, heart_rate, snr_db

ESTIMATOR_PROTOCOL = "facepulse"  # under which heart rates are those of `facepulse.measure`
ROUNDING_S = 0.2  # by which the last window may be shorter than the others


def evaluate(
    method: MethodLike,
    recordings: Sequence[PreparedRecording],
    *,
    protocol: str = ESTIMATOR_PROTOCOL,
    waveform_only: bool = False,
    fallback: Fallback = "POS",
    window_s: float = 10.0,
    min_quality: float = QUALITY_THRESHOLD,
    selection: Selection | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> Evaluation:
    """Run a method on prepared recordings and compare its heart rates with their references.

    Under the protocol `facepulse`, heart rates are those of `facepulse.measure`: the same estimator, with quality, on
    the traces that were extracted during preparation. With `waveform_only`, and under all other protocols, they come
    from the waveform of the method alone, as in the literature: a network's, or that of the mean RGB of whole crops.

    A network is run segment by segment, never across a gap. Estimate and reference are over the same samples, wherever
    the reference has no hole for at least five seconds: a whole recording over all such intervals (from a waveform
    alone: the longest), and windows of `window_s` that do not overlap; a remainder that is shorter by more than 0.2 s
    is left out. A recording without an interval of that length is one window. The reference heart rate is computed from
    the reference PPG under the same protocol, that of several intervals as their mean weighted by length. If only the
    device's own heart rate is known, the reference is its mean.

    Args:
        method: as in `facepulse.measure`.
        recordings: recordings of one dataset, prepared with the same settings.
        protocol: a key of `facepulse.rppg.protocols.PROTOCOLS`.
        waveform_only: compute heart rates from the waveform alone also under the protocol `facepulse`.
        fallback: as in `facepulse.measure`; without effect on a waveform alone.
        window_s: length of the windows in seconds, at least 5.
        min_quality: 0..1; quality below which a heart rate counts as withheld.
        selection: choice of the recordings, to be kept with the result.
        progress: called with the number of recordings done and in total.

    Returns:
        The evaluation. A recording that cannot be evaluated (damaged, too short) is among its `failed`.

    Raises:
        UsageError: an argument is out of its range, the method cannot be loaded, or it cannot take such crops.
    """
    chosen = find_protocol(protocol)
    _check_arguments(recordings, fallback, window_s, min_quality)
    found = find_method(method, precision="f32")  # the same figures on every machine
    settings = recordings[0].settings
    check_crops(found, settings)
    scoring = _Scoring(found, chosen, waveform_only or protocol != ESTIMATOR_PROTOCOL, fallback, window_s, min_quality)

    evaluated: list[_EvaluatedRecording] = []
    failed: list[Failure] = []
    for done, recording in enumerate(recordings):
        if progress is not None:
            progress(done, len(recordings))
        try:
            evaluated.append(_evaluate_recording(recording, scoring))
        except FacepulseError as error:
            failed.append(Failure(recording.name, recording.subject, str(error)))
    if progress is not None:
        progress(len(recordings), len(recordings))
    return Evaluation(
        model=found.name,
        description=describe(found, scoring.waveform_only),
        card=None if found.engine is None else asdict(found.engine.card),
        protocol=str(scoring.protocol),
        waveform_only=scoring.waveform_only,
        min_quality=min_quality,
        dataset=recordings[0].dataset,
        settings=settings,
        simulated=any(recording.simulated for recording in recordings),
        selection=selection,
        sha256={recording.name: recording.sha256 for recording in recordings},
        window_s=window_s,
        recordings=tuple(each.whole for each in evaluated),
        windows=tuple(window for each in evaluated for window in each.windows),
        failed=tuple(failed),
        traces={each.whole.recording: each.trace for each in evaluated},
    )


def choose(
    recordings: Sequence[PreparedRecording], split: str, subset: str, where: Mapping[str, tuple[str, ...]]
) -> tuple[list[PreparedRecording], Selection]:
    """Choose one subset of a split, filtered by attributes, and record the choice.

    Args:
        recordings: recordings to choose from.
        split: one of `facepulse.datasets.splits.SPLITS`, with the number of the fold if it has several: `5-fold/2`.
        subset: `train`, `validation` or `test`.
        where: attribute to accepted values. The split is made before the filter, which moves no subject to another
            subset.

    Raises:
        UsageError: there is no such split, fold, subset, attribute or value, or nothing is left.
    """
    found = {fold.name: fold for fold in splits.folds(recordings, split.partition("/")[0])}
    if split not in found:
        raise UsageError(f"the split {split} has to be one of its folds: {', '.join(found)}")
    if subset not in found[split].subsets:
        raise UsageError(f"the split {split} has no subset {subset!r}: choose {' or '.join(found[split].subsets)}")
    chosen = splits.filter_by_attributes(found[split].subsets[subset], where)
    if not chosen:
        raise UsageError(f"no recording in {subset} of {split} has all of these attributes: ask for fewer at a time")
    return chosen, Selection(split, subset, where, found[split].recording_names())


def _check_arguments(
    recordings: Sequence[PreparedRecording], fallback: Fallback, window_s: float, min_quality: float
) -> None:
    check_window_and_quality(window_s, min_quality)
    check_fallback(fallback)
    if not recordings:
        raise UsageError("there is no recording to evaluate on: choose some")
    if len({(recording.dataset, recording.settings) for recording in recordings}) > 1:
        names = ", ".join(sorted({recording.dataset for recording in recordings}))
        raise UsageError(f"the recordings are of several datasets or caches ({names}): evaluate one at a time")


@dataclass(frozen=True)
class _Scoring:
    """Method, and how its heart rates are obtained and compared."""

    method: Method
    protocol: Protocol
    waveform_only: bool
    fallback: Fallback
    window_s: float
    min_quality: float

    def predict(self, recording: PreparedRecording, intervals: Sequence[slice]) -> Prediction:
        """Run the method on the intervals of a recording."""
        if self.waveform_only:
            return waveform_prediction(self.method, recording, intervals, self.protocol)
        return estimator_prediction(self.method, recording, intervals, self.min_quality, self.fallback)


@dataclass(frozen=True, eq=False)
class _Interval:
    """Waveform of consecutive crops beside their reference.

    Attributes:
        start_s: time of the first crop in seconds from the first frame of the video.
        fps: frame rate in Hz.
        waveform: (T,) BVP that the method computes.
        reference: (T,) PPG or bpm at the time of each crop; NaN without a reference.
        kind: kind of the reference.
    """

    start_s: float
    fps: float
    waveform: Floats
    reference: Floats
    kind: Literal["ppg", "bpm"] | None

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def end_s(self) -> float:
        """End of the last crop in seconds from the first frame of the video."""
        return self.start_s + len(self) / self.fps

    def cut(self, begin: int, end: int) -> _Interval:
        """Return the crops from `begin` up to, not including, `end`."""
        start_s = self.start_s + begin / self.fps
        return _Interval(start_s, self.fps, self.waveform[begin:end], self.reference[begin:end], self.kind)

    def reference_bpm(self, protocol: Protocol) -> float | None:
        """Compute the reference heart rate; None without a reference, or if its PPG is constant (a detached sensor)."""
        if self.kind == "bpm":
            return float(self.reference.mean())
        if self.kind == "ppg" and np.ptp(self.reference) > 0:
            return heart_rate(self.reference, self.fps, protocol)
        return None

    def trace(self, protocol: Protocol) -> Trace:
        """Filter the waveforms, for plots."""
        return Trace(
            self.start_s + np.arange(len(self)) / self.fps,
            filtered(self.waveform, self.fps, protocol),
            filtered(self.reference, self.fps, protocol) if self.kind == "ppg" else None,
        )


class _EvaluatedRecording(NamedTuple):
    """Rows of one recording and of its windows, and the waveforms of the recording's longest interval."""

    whole: Row
    windows: list[Row]
    trace: Trace


def _evaluate_recording(recording: PreparedRecording, scoring: _Scoring) -> _EvaluatedRecording:
    """Evaluate one recording.

    Raises:
        FacepulseError: its files are not as they were prepared, or no interval is long enough.
    """
    try:
        recording.verify()
        reference, kind = _reference(recording)
        inside = _compared_intervals(recording, reference, kind)
        prediction = scoring.predict(recording, inside)
    except OSError as error:
        raise DatasetError(f"{recording.path}: cannot be read ({error.strerror}); prepare it again") from error
    intervals = [
        _Interval(float(recording.times[each.start]), recording.fps, waveform, reference[each], kind)
        for each, waveform in zip(inside, prediction.waveforms, strict=True)
    ]
    longest = max(intervals, key=len)
    compared = [longest] if scoring.waveform_only else intervals
    windows = [
        _row(recording, [intervals[number].cut(begin, end)], prediction.window(number, begin, end), scoring.protocol)
        for number, begin, end in _windows([len(each) for each in intervals], scoring.window_s, recording.fps)
    ]
    whole = _row(recording, compared, prediction.whole(), scoring.protocol)
    return _EvaluatedRecording(whole, windows, longest.trace(scoring.protocol))


def _row(recording: PreparedRecording, intervals: Sequence[_Interval], rate: Rate, protocol: Protocol) -> Row:
    """Compare a heart rate with the reference; SNR and MACC are those of the longest interval."""
    longest = max(intervals, key=len)
    waveform, fps, kind = longest.waveform, longest.fps, longest.kind
    known = [(bpm, len(each)) for each in intervals if (bpm := each.reference_bpm(protocol)) is not None]
    reference_bpm = error = reference_snr_db = macc = None
    if known:
        reference_bpm = sum(bpm * length for bpm, length in known) / sum(length for _, length in known)
        error = rate.bpm - reference_bpm
        reference_snr_db = snr_db(waveform, fps, reference_bpm, protocol)
        if kind == "ppg":
            macc = metrics.macc(filtered(waveform, fps, protocol), filtered(longest.reference, fps, protocol))
    return Row(
        recording=recording.name,
        subject=recording.subject,
        attributes=recording.attributes,
        start_s=intervals[0].start_s,
        end_s=intervals[-1].end_s,
        reference=None if reference_bpm is None else kind,
        reference_bpm=reference_bpm,
        bpm=rate.bpm,
        error=error,
        snr_db=reference_snr_db,
        macc=macc,
        quality=rate.quality,
        own_snr_db=snr_db(waveform, fps, rate.bpm, protocol),
        shown=rate.shown,
        method=rate.method,
    )


def _compared_intervals(
    recording: PreparedRecording, reference: Floats, kind: Literal["ppg", "bpm"] | None
) -> list[slice]:
    """Return the crops of each interval of at least five seconds without a gap and without a hole of the reference.

    Raises:
        TooShortError: there is none.
    """
    known = np.isfinite(reference) if kind else np.ones(len(reference), np.bool_)
    group = np.where(known, recording.segment, -1)
    shortest = math.ceil(MINIMUM_S * recording.fps)
    intervals = [run for run in runs(group) if group[run.start] >= 0 and run.stop - run.start >= shortest]
    if not intervals:
        missing = "face with a reference" if kind else "face"
        raise TooShortError(f"{recording.path}: holds no {missing} for {MINIMUM_S:g} s without a gap; leave it out")
    return intervals


def _windows(lengths: Sequence[int], seconds: float, fps: float) -> list[tuple[int, int, int]]:
    """Divide intervals into adjacent windows: number of the interval, begin and end of each window in samples.

    The longest interval is the only window if all are shorter.
    """
    size, tolerance = round(seconds * fps), round(ROUNDING_S * fps)
    windows = [
        (number, begin, min(begin + size, length))
        for number, length in enumerate(lengths)
        # Two windows fit into 20 s even if the last frame is missing.
        for begin in range(0, length - size + tolerance + 1, size)
    ]
    longest = int(np.argmax(lengths))
    return windows or [(longest, 0, lengths[longest])]


def _reference(recording: PreparedRecording) -> tuple[Floats, Literal["ppg", "bpm"] | None]:
    """Return PPG, or else the device's heart rate, at every crop (NaN where unknown), and which of the two it is."""
    if recording.ppg is not None and np.isfinite(recording.ppg).any():
        return recording.ppg.astype(np.float64), "ppg"
    if recording.bpm is not None:
        bpm = recording.bpm.astype(np.float64)
        bpm[~(bpm > 0)] = np.nan  # devices report 0 when they lose the pulse
        if np.isfinite(bpm).any():
            return bpm, "bpm"
    return np.full(len(recording.times), np.nan), None
