"""Estimate the heart rate of a face from its traces: candidates, the evidence for each, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from facepulse._types import Floats
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.pipeline.extract import Segment
from facepulse.pipeline.methods import Fallback, Method
from facepulse.rppg.classical import ClassicalMethod
from facepulse.rppg.keyframes import (
    coincides_with_key_frames,
    is_removable,
    key_frame_period,
    may_be_image,
    remove_key_frame_rhythm,
)
from facepulse.rppg.protocols import PROTOCOLS, Protocol
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import RateEstimate, estimate_rate
from facepulse.rppg.spectrum import filtered, unit_variance
from facepulse.video.timing import Timing

# Traces whose range is below this many 8-bit levels are constant up to quantisation, and rounding has a spectrum too.
# The faintest pulses measured (dark skin in poor light) have a range of 0.05.
CONSTANT_LEVELS = 0.01
# Quality required of a heart rate that other evidence speaks against: of the regions alone if the network's quality is
# below the threshold, and of a single window if the quality of the whole video is.
HIGH_QUALITY = 0.9


CodecRhythm = Literal["key_frames", "b_frames"]  # each is also the reason why a rate that coincides with it is withheld


@dataclass(frozen=True)
class Evidence:
    """A heart rate with its quality.

    Attributes:
        rate: heart rate and the spectra in which it was found.
        coincides: what of the codec may have caused the rate: a rhythm that may remain, of which the rate is a
            multiple, or B frames between which a faster pulse is lost; None if neither.
        quality: 0..1, calibrated; with a penalty if the rate may be that of the codec.
        quality_without_penalty: 0..1, calibrated, without that penalty.
    """

    rate: RateEstimate
    coincides: CodecRhythm | None
    quality: float
    quality_without_penalty: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to obtain the heart rate of a face, with its evidence.

    Attributes:
        method: with a network, its waveform is fused with the regions; without, the regions alone count.
        cleaned: True if the rhythms of the codec were removed from the traces.
        rhythms: those that may remain in a waveform, each with the times in seconds of its frames: the network's is
            predicted from frames that have them, and in short segments they cannot be removed from the traces.
        traces: mean RGB of the whole face and of its regions, (T, 1 + K, 3) in each segment.
        waveforms: BVP of the whole face and of its regions, (1 + K, T) in each segment.
        fps: sampling rate in Hz.
        protocol: how heart rates are computed.
        timing: of the video.
        begin: first sample of the window that is reported; 0 for whole segments.
    """

    method: Method
    cleaned: bool
    rhythms: Mapping[CodecRhythm, Sequence[float]]
    traces: list[Floats]
    waveforms: list[Floats]
    fps: float
    protocol: Protocol
    timing: Timing
    begin: int = 0

    @property
    def fused(self) -> bool:
        """True if a network's waveform is fused with the regions."""
        return self.method.engine is not None

    @cached_property
    def overall(self) -> Evidence:
        """Evidence over all samples of all segments."""
        return self._evidence(self.traces, self.waveforms)

    @cached_property
    def reported(self) -> Evidence:
        """Evidence over the samples that are reported."""
        return self.overall if self.begin == 0 else self.window(0, self.begin, None)

    def window(self, segment: int, begin: int, end: int | None) -> Evidence:
        """Compute the evidence within the samples `begin` to `end` of one segment."""
        return self._evidence([self.traces[segment][begin:end]], [self.waveforms[segment][:, begin:end]])

    def bvp(self) -> list[Floats]:
        """Return the filtered waveform of the whole face in each segment, from `begin` on, with unit variance."""
        return [unit_variance(filtered(each[0], self.fps, self.protocol)[self.begin :]) for each in self.waveforms]

    def _evidence(self, traces: list[Floats], waveforms: list[Floats]) -> Evidence:
        networks = [each[0] for each in waveforms] if self.fused else None
        rate = estimate_rate([each[1:] for each in waveforms], self.fps, self.protocol, networks)
        rate = with_color_test(rate, [each[:, 1:] for each in traces], self.fps, self.protocol)
        coincides = self._cause(rate)
        model, clock_quality = self.method.quality_model, self.timing.clock_quality
        quality = clock_quality * calibrated_quality(rate, model, key_frame_rhythm=coincides is not None)
        return Evidence(rate, coincides, quality, clock_quality * calibrated_quality(rate, model))

    def _cause(self, rate: RateEstimate) -> CodecRhythm | None:
        for rhythm, times in self.rhythms.items():
            if coincides_with_key_frames(rate.bpm, times, rate.seconds):
                return rhythm
        return "b_frames" if may_be_image(rate, self.timing.anchor_times, self.protocol.search_bpm[1]) else None


def choose(candidates: Sequence[Candidate], min_quality: float, fallback: Fallback = "POS") -> Candidate:
    """Choose the candidate whose heart rate is reported.

    1. Among the candidates with a network, and among those without: the one whose traces were cleaned of the codec's
       rhythms. A pulse at their rate is removed with them; therefore the other candidate is chosen if its rate
       coincides with a rhythm and its quality is higher. If both qualities are below `min_quality`, neither
       heart rate is reported, and the qualities without penalty are compared.
    2. Between these two: the network fused with the regions, unless its quality is below `min_quality` and that of the
       regions alone is at least the larger of `min_quality` and `HIGH_QUALITY`. If `fallback` is None, always the
       network.
    """
    chosen: Candidate | None = None
    for fused in (True, False):
        source = sorted((each for each in candidates if each.fused == fused), key=lambda each: each.cleaned)
        if not source or (chosen is not None and (fallback is None or chosen.reported.quality >= min_quality)):
            continue
        other, best = source[0], source[-1]
        if other is not best and other.overall.coincides:
            reliable = max(best.overall.quality, other.overall.quality) >= min_quality
            qualities = [each.overall.quality if reliable else each.overall.quality_without_penalty for each in source]
            best = other if qualities[0] > qualities[-1] else best
        if chosen is None or best.reported.quality >= max(min_quality, HIGH_QUALITY):
            chosen = best
    assert chosen is not None, "there is at least one candidate"
    return chosen


@dataclass(frozen=True, eq=False)
class Estimate:
    """The heart rate of a face.

    Attributes:
        candidates: every way to obtain it.
        chosen: the candidate whose heart rate is reported.
        min_quality: 0..1, quality below which a heart rate is withheld.
    """

    candidates: list[Candidate]
    chosen: Candidate
    min_quality: float

    @cached_property
    def network(self) -> Candidate | None:
        """Best candidate with a network; None without a network."""
        fused = [candidate for candidate in self.candidates if candidate.fused]
        return choose(fused, self.min_quality) if fused else None

    @cached_property
    def regions(self) -> Candidate:
        """Best candidate of the regions alone."""
        return choose([candidate for candidate in self.candidates if not candidate.fused], self.min_quality)

    def withheld(self, candidate: Candidate) -> bool:
        """Return True if the quality of a candidate is below the minimum."""
        return not candidate.reported.quality >= self.min_quality

    @property
    def min_window_quality(self) -> float:
        """Quality below which the heart rate of a window is withheld: higher if that of the whole video is withheld."""
        # A face may have held still in some windows of a video that is unreliable as a whole.
        return max(self.min_quality, HIGH_QUALITY) if self.withheld(self.chosen) else self.min_quality


def estimate(
    segments: Sequence[Segment],
    method: Method,
    *,
    timing: Timing,
    min_quality: float = QUALITY_THRESHOLD,
    fallback: Fallback = "POS",
    newest_s: float | None = None,
) -> Estimate:
    """Estimate the heart rate of a face.

    Args:
        segments: traces of the face, each at least `facepulse.pipeline.extract.MINIMUM_S` long.
        method: a classical method; or a network, and the classical method whose regional waveforms are fused with it.
        timing: of the video: its frame rate limits the heart rates that can be measured, the rhythms of its codec are
            removed, and an unreliable clock lowers the quality.
        min_quality: 0..1; quality below which a heart rate is withheld.
        fallback: "POS", or None: the network always measures, as in `choose`.
        newest_s: length in seconds of the interval that is reported, at the end of the segment, which must be the only
            one; None to report all samples. The samples before the interval let the filter settle.
    """
    begin = 0 if newest_s is None else max(len(segments[0].times) - round(newest_s * segments[0].fps), 0)
    protocol = _protocol(timing.fps)
    classical, fps = method.classical, segments[0].fps

    all_times: dict[CodecRhythm, Sequence[float]] = {"key_frames": timing.key_times, "b_frames": timing.anchor_times}
    rhythms = {rhythm: frames for rhythm, frames in all_times.items() if key_frame_period(frames) is not None}

    def regions(traces: list[Floats], cleaned: bool, left: Mapping[CodecRhythm, Sequence[float]]) -> Candidate:
        waveforms = [region_waveforms(classical, rgb, fps) for rgb in traces]
        return Candidate(Method(classical), cleaned, left, traces, waveforms, fps, protocol, timing, begin)

    alone = [regions([segment.rgb for segment in segments], cleaned=False, left=rhythms)]
    if rhythms:
        traces = [
            remove_key_frame_rhythm(each.rgb, each.times, timing.key_times, timing.anchor_times) for each in segments
        ]
        left = {
            rhythm: frames
            for rhythm, frames in rhythms.items()
            if not all(is_removable(segment.times, frames) for segment in segments)
        }
        alone.append(regions(traces, cleaned=True, left=left))
    fused = [_fuse(each, segments, method, rhythms) for each in alone] if method.engine is not None else []
    candidates = [*fused, *alone]
    return Estimate(candidates, choose(candidates, min_quality, fallback), min_quality)


def _fuse(
    candidate: Candidate,
    segments: Sequence[Segment],
    method: Method,
    rhythms: Mapping[CodecRhythm, Sequence[float]],
) -> Candidate:
    """Replace the waveform of the whole face by the network's, which may have all rhythms of the codec."""
    waveforms = [waveform.copy() for waveform in candidate.waveforms]
    for waveform, segment in zip(waveforms, segments, strict=True):
        if segment.waveform is not None:
            waveform[0] = segment.waveform
    return replace(candidate, method=method, waveforms=waveforms, rhythms=rhythms)


def _protocol(video_fps: float) -> Protocol:
    """Return the protocol of run time; its highest heart rate has more than two frames per beat."""
    low_bpm, high_bpm = PROTOCOLS["facepulse"].search_bpm
    return replace(PROTOCOLS["facepulse"], search_bpm=(low_bpm, min(high_bpm, 60 * video_fps / 2.2)))


def region_waveforms(method: ClassicalMethod, rgb: Floats, fps: float) -> Floats:
    """Compute the waveform (regions, T) of each region's trace (T, regions, 3); zeros if a region is constant.

    Raises:
        ValueError: `rgb` is shorter than the method needs.
    """
    varies = np.ptp(rgb, axis=0).max(axis=1) > CONSTANT_LEVELS
    waveforms = [method.waveform(rgb[:, region], fps) for region in range(rgb.shape[1])]
    return np.where(varies[:, None], np.stack(waveforms), 0.0)
