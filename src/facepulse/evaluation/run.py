"""Evaluation of a model on prepared recordings under a named protocol: each heart rate against its reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats
from facepulse.datasets import splits
from facepulse.datasets.cache import PreparedRecording
from facepulse.datasets.recording import DatasetError
from facepulse.errors import FacepulseError, TooShortError, UsageError
from facepulse.evaluation import metrics
from facepulse.evaluation.predictors import Prediction, Predictor, find_predictor
from facepulse.evaluation.result import Evaluation, Failure, Selection, Trace
from facepulse.evaluation.summary import Row
from facepulse.pipeline.extract import MINIMUM_S
from facepulse.rppg.protocols import PROTOCOLS, Protocol
from facepulse.rppg.spectrum import filtered, heart_rate, snr_db

ROUNDING_S = 0.2  # by which the last window may be shorter than the others


def evaluate(
    model: str | Predictor,
    recordings: Sequence[PreparedRecording],
    *,
    protocol: str = "facepulse",
    window_s: float = 10.0,
    selection: Selection | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> Evaluation:
    """Run a model on prepared recordings and compare its heart rates with their references.

    A network is evaluated alone: unlike in `facepulse.measure`, its waveform is not fused with those of facial regions,
    and its heart rates have no quality.

    Waveforms are predicted segment by segment, never across a gap. Estimate and reference go through the same protocol
    over the same samples, wherever the reference has no hole: a whole recording over its longest such segment, and
    windows of `window_s` that do not overlap; a remainder that is shorter by more than 0.2 s is left out. A recording
    without a segment of that length is one window. If only the device's own heart rate is known, the reference is its
    mean over the window.

    Args:
        model: a classical method, the name or path of weights, an exported network (see
            `facepulse.evaluation.predictors.find_predictor`), or any other predictor.
        recordings: recordings of one dataset, prepared with the same settings.
        protocol: a key of `facepulse.rppg.protocols.PROTOCOLS`.
        window_s: length of the windows in seconds, at least 5.
        selection: choice of the recordings, to be kept with the result.
        progress: called with the number of recordings done and in total.

    Returns:
        The evaluation. A recording that cannot be evaluated (damaged, too short) is among its `failed`.

    Raises:
        UsageError: an argument is out of its range, the model cannot be loaded, or it cannot take such crops.
    """
    _check_arguments(recordings, protocol, window_s)
    recipe = PROTOCOLS[protocol]
    settings = recordings[0].settings
    predictor = find_predictor(model, recipe) if isinstance(model, str) else model
    predictor.check(settings)

    evaluated: list[_EvaluatedRecording] = []
    failed: list[Failure] = []
    for done, recording in enumerate(recordings):
        if progress is not None:
            progress(done, len(recordings))
        try:
            evaluated.append(_evaluate_recording(recording, predictor, recipe, window_s))
        except FacepulseError as error:
            failed.append(Failure(recording.name, recording.subject, str(error)))
    if progress is not None:
        progress(len(recordings), len(recordings))
    return Evaluation(
        model=predictor.name,
        description=predictor.description,
        card=predictor.card,
        protocol=str(recipe),
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


def _check_arguments(recordings: Sequence[PreparedRecording], protocol: str, window_s: float) -> None:
    if protocol not in PROTOCOLS:
        raise UsageError(f"no protocol is called {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    if not MINIMUM_S <= window_s < math.inf:
        raise UsageError(f"the windows can be {MINIMUM_S:g} s long or longer, not {window_s:g} s")
    if not recordings:
        raise UsageError("there is no recording to evaluate on: choose some")
    if len({(recording.dataset, recording.settings) for recording in recordings}) > 1:
        names = ", ".join(sorted({recording.dataset for recording in recordings}))
        raise UsageError(f"the recordings are of several datasets or caches ({names}): evaluate one at a time")


@dataclass(frozen=True, eq=False)
class _PredictedSegment:
    """Prediction for consecutive crops, with their reference.

    Attributes:
        start_s: time of the first crop in seconds from the first frame of the video.
        fps: frame rate in Hz.
        prediction: waveforms of the model.
        reference: (T,) PPG or bpm at the time of each crop; NaN without a reference.
        kind: kind of the reference.
    """

    start_s: float
    fps: float
    prediction: Prediction
    reference: Floats
    kind: Literal["ppg", "bpm"] | None

    def __len__(self) -> int:
        return len(self.reference)

    def cut(self, begin: int, end: int) -> _PredictedSegment:
        """Return the crops from `begin` up to, not including, `end`."""
        start_s = self.start_s + begin / self.fps
        prediction = self.prediction.cut(begin, end)
        return _PredictedSegment(start_s, self.fps, prediction, self.reference[begin:end], self.kind)

    def reference_bpm(self, protocol: Protocol) -> float | None:
        """Compute the reference heart rate; None without a reference, or if its PPG is constant (a detached sensor)."""
        if self.kind == "bpm":
            return float(self.reference.mean())
        if self.kind == "ppg" and np.ptp(self.reference) > 0:
            return heart_rate(self.reference, self.fps, protocol)
        return None

    def row(self, recording: PreparedRecording, protocol: Protocol) -> Row:
        """Compute heart rate, reference and errors."""
        waveform, fps = self.prediction.waveform, self.fps
        bpm, quality = self.prediction.heart_rate(fps, protocol)
        reference_bpm = self.reference_bpm(protocol)
        error = reference_snr_db = macc = None
        if reference_bpm is not None:
            error = bpm - reference_bpm
            reference_snr_db = snr_db(waveform, fps, reference_bpm, protocol)
            if self.kind == "ppg":
                macc = metrics.macc(filtered(waveform, fps, protocol), filtered(self.reference, fps, protocol))
        return Row(
            recording=recording.name,
            subject=recording.subject,
            attributes=recording.attributes,
            start_s=self.start_s,
            end_s=self.start_s + len(self) / fps,
            reference=None if reference_bpm is None else self.kind,
            reference_bpm=reference_bpm,
            bpm=bpm,
            error=error,
            snr_db=reference_snr_db,
            macc=macc,
            quality=quality,
            own_snr_db=snr_db(waveform, fps, bpm, protocol),
        )

    def trace(self, protocol: Protocol) -> Trace:
        """Filter the waveforms, for plots."""
        return Trace(
            self.start_s + np.arange(len(self)) / self.fps,
            filtered(self.prediction.waveform, self.fps, protocol),
            filtered(self.reference, self.fps, protocol) if self.kind == "ppg" else None,
        )


class _EvaluatedRecording(NamedTuple):
    """Rows of one recording and of its windows, and the waveforms of the recording's row."""

    whole: Row
    windows: list[Row]
    trace: Trace


def _evaluate_recording(
    recording: PreparedRecording, predictor: Predictor, protocol: Protocol, window_s: float
) -> _EvaluatedRecording:
    try:
        segments = _predict_segments(recording, predictor)
    except OSError as error:
        raise DatasetError(f"{recording.path}: cannot be read ({error.strerror}); prepare it again") from error
    longest = max(segments, key=len)
    windows = [window.row(recording, protocol) for window in _windows(segments, window_s)]
    return _EvaluatedRecording(longest.row(recording, protocol), windows, longest.trace(protocol))


def _predict_segments(recording: PreparedRecording, predictor: Predictor) -> list[_PredictedSegment]:
    """Run the model on every segment of a recording, and cut the segments at holes of the reference.

    Raises:
        FacepulseError: its files are not as they were prepared, or no segment is long enough.
    """
    recording.verify()
    fps, frames, times = recording.fps, recording.frames, recording.times
    reference, kind = _reference(recording)
    known = np.isfinite(reference) if kind else np.ones(len(times), np.bool_)
    shortest = math.ceil(MINIMUM_S * fps)
    segments = []
    for start, stop in _runs(recording.segment):
        inside = [run for run in _runs(known[start:stop]) if known[start + run[0]] and run[1] - run[0] >= shortest]
        if inside:
            prediction = predictor.predict(frames[start:stop], recording.settings)
            whole = _PredictedSegment(float(times[start]), fps, prediction, reference[start:stop], kind)
            segments += [whole.cut(*run) for run in inside]
    if not segments:
        missing = "face with a reference" if kind else "face"
        raise TooShortError(f"{recording.path}: holds no {missing} for {MINIMUM_S:g} s without a gap; leave it out")
    return segments


def _windows(segments: Sequence[_PredictedSegment], seconds: float) -> list[_PredictedSegment]:
    """Cut the segments into adjacent windows; the longest segment is the only window if all are shorter."""
    windows = []
    for segment in segments:
        length = round(seconds * segment.fps)
        # Two windows fit into 20 s even if the last frame is missing.
        last = len(segment) - length + round(ROUNDING_S * segment.fps)
        windows += [segment.cut(begin, min(begin + length, len(segment))) for begin in range(0, last + 1, length)]
    return windows or [max(segments, key=len)]


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


def _runs(values: NDArray[np.generic]) -> list[tuple[int, int]]:
    """Return begin and end of every run of equal values."""
    return list(pairwise([0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]))
