"""Heart rates that a method gives on prepared recordings: as `facepulse.measure` does, or from its waveform alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol as Interface

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32, Frames
from facepulse.datasets.cache import CacheSettings, PreparedRecording, margin_edge, within_margin
from facepulse.errors import UsageError
from facepulse.inference.engine import Engine
from facepulse.pipeline.estimate import Estimate, estimate
from facepulse.pipeline.extract import Segment
from facepulse.pipeline.methods import Fallback, Method
from facepulse.rppg.protocols import Protocol
from facepulse.rppg.spectrum import heart_rate

CHUNK = 256  # frames at a time, so that memory does not grow with length


@dataclass(frozen=True)
class Rate:
    """Heart rate of a recording or of a window.

    Attributes:
        bpm: the heart rate, also if it is withheld.
        quality: 0..1, calibrated; None for a rate from a waveform alone.
        shown: False if the heart rate is withheld; None for a rate from a waveform alone.
        method: name of the method that gave it.
    """

    bpm: float
    quality: float | None
    shown: bool | None
    method: str


class Prediction(Interface):
    """Heart rates of a recording, which consists of intervals without a gap."""

    @property
    def waveforms(self) -> list[Floats]:
        """BVP (T,) of the face in each interval."""

    def whole(self) -> Rate:
        """Return the heart rate over the recording."""

    def window(self, interval: int, begin: int, end: int) -> Rate:
        """Return the heart rate within the samples `begin` up to, not including, `end` of one interval."""


class EstimatorPrediction:
    """Heart rates of the estimator that `facepulse.measure` uses: over all intervals, and within windows.

    Args:
        estimate: the estimate over all intervals.
    """

    def __init__(self, estimate: Estimate) -> None:
        self._estimate = estimate
        self.waveforms = [waveforms[0] for waveforms in estimate.chosen.waveforms]

    def whole(self) -> Rate:
        """See `Prediction.whole`."""
        chosen = self._estimate.chosen
        shown = not self._estimate.withheld(chosen)
        return Rate(chosen.overall.rate.bpm, chosen.overall.quality, shown, chosen.method.name)

    def window(self, interval: int, begin: int, end: int) -> Rate:
        """See `Prediction.window`."""
        chosen = self._estimate.chosen
        evidence = chosen.window(interval, begin, end)
        shown = evidence.quality >= self._estimate.min_window_quality
        return Rate(evidence.rate.bpm, evidence.quality, shown, chosen.method.name)


@dataclass(frozen=True, eq=False)
class WaveformPrediction:
    """Heart rates from a waveform alone; that of a recording is over its longest interval.

    Attributes:
        waveforms: BVP (T,) in each interval.
        fps: sampling rate in Hz.
        protocol: computes heart rates from the waveform.
        method: name of the method.
    """

    waveforms: list[Floats]
    fps: float
    protocol: Protocol
    method: str

    def whole(self) -> Rate:
        """See `Prediction.whole`."""
        return self._rate(max(self.waveforms, key=len))

    def window(self, interval: int, begin: int, end: int) -> Rate:
        """See `Prediction.window`."""
        return self._rate(self.waveforms[interval][begin:end])

    def _rate(self, waveform: Floats) -> Rate:
        return Rate(heart_rate(waveform, self.fps, self.protocol), None, None, self.method)


def estimator_prediction(
    method: Method,
    recording: PreparedRecording,
    intervals: Sequence[slice],
    min_quality: float,
    fallback: Fallback = "POS",
) -> EstimatorPrediction:
    """Run the estimator of `facepulse.measure` on the traces of a prepared recording.

    Args:
        method: a network is run on the crops; the RGB traces are those of the cache.
        recording: a prepared recording.
        intervals: crops, each within one segment, at least five seconds long.
        min_quality: 0..1; quality below which a heart rate is withheld.
        fallback: as in `facepulse.measure`.
    """
    times, rgb = recording.times, recording.rgb
    waveform = None if method.engine is None else network_waveform(method.engine, recording)
    segments = [
        Segment(times[inside], rgb[inside], recording.fps, None if waveform is None else waveform[inside])
        for inside in intervals
    ]
    found = estimate(
        segments,
        method,
        timing=recording.timing,
        min_quality=min_quality,
        fallback=fallback,
    )
    return EstimatorPrediction(found)


def waveform_prediction(
    method: Method, recording: PreparedRecording, intervals: Sequence[slice], protocol: Protocol
) -> WaveformPrediction:
    """Compute the waveform of a method as the literature does: a network's, or that of the mean RGB of whole crops.

    Args:
        method: a network, or a classical method.
        recording: a prepared recording.
        intervals: crops, each within one segment, at least five seconds long.
        protocol: computes heart rates from the waveform.
    """
    fps = recording.fps
    waveform = (
        mean_rgb_waveform(method, recording) if method.engine is None else network_waveform(method.engine, recording)
    )
    return WaveformPrediction([waveform[inside] for inside in intervals], fps, protocol, method.name)


def check_crops(method: Method, settings: CacheSettings) -> None:
    """Check that a method can take crops that were prepared with these settings.

    Raises:
        UsageError: a network takes crops of another frame rate, or of a larger size or margin.
    """
    if method.engine is None:
        return
    card = method.engine.card
    side = settings.size - 2 * margin_edge(settings.size, settings.margin, card.margin)
    if settings.fps != card.fps:
        problem = f"at {card.fps:g} fps, but they are at {settings.fps:g}"
    elif side > settings.size:
        problem = f"with a margin of {card.margin:g}, but they have {settings.margin:g}"
    elif side < card.size:
        problem = f"of {card.size} px at margin {card.margin:g}, but they have {side} px there"
    else:
        return
    raise UsageError(f"{card.name} takes crops {problem}: prepare the recordings again for it")


def describe(method: Method, waveform_only: bool) -> str:
    """Describe the input of a method and the engine that runs it, in one line."""
    if method.engine is None:
        return "mean RGB of the whole crop" if waveform_only else "mean RGB of the skin of the face and of four regions"
    card = method.engine.card
    network = (
        f"{card.network} in half-overlapping windows of {card.frames} frames of {card.size} px, margin "
        f"{card.margin:g}, by {method.engine.name} in {method.engine.precision}"
    )
    return network if waveform_only else f"{network}, and {method.classical.name} of four regions"


def network_waveform(engine: Engine, recording: PreparedRecording) -> Floats:
    """Predict the BVP at every crop (T,), segment by segment, by windows that are joined by overlap-add."""
    frames, settings = recording.frames, recording.settings
    return _by_segment(recording, lambda inside: engine(network_crops(engine, frames[inside], settings)))


def network_crops(engine: Engine, frames: Frames, settings: CacheSettings) -> Frames:
    """Cut and resize prepared crops (T, size, size, 3) to the margin and the size that a network takes."""
    card = engine.card
    crops = within_margin(frames, settings.margin, card.margin)
    if crops.shape[1] == card.size:
        return crops
    size = (card.size, card.size)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in crops])


def mean_rgb_waveform(method: Method, recording: PreparedRecording) -> Floats:
    """Compute the BVP (T,) from the mean RGB of whole crops, hair and background included, as in the literature."""
    frames = recording.frames

    def of_segment(inside: slice) -> Floats:
        starts = range(inside.start, inside.stop, CHUNK)
        means = [
            frames[start : min(start + CHUNK, inside.stop)].mean(axis=(1, 2), dtype=np.float64) for start in starts
        ]
        return method.classical.waveform(np.concatenate(means), recording.fps)

    return _by_segment(recording, of_segment)


def _by_segment(recording: PreparedRecording, compute: Callable[[slice], Floats | Floats32]) -> Floats:
    """Concatenate what is computed for the crops of each segment, (T,)."""
    return np.concatenate([np.asarray(compute(inside), np.float64) for inside in runs(recording.segment)])


def runs(values: NDArray[np.generic]) -> list[slice]:
    """Return the positions of every run of equal values."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [slice(begin, end) for begin, end in pairwise(edges)]
