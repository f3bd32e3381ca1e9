"""The decision whether a heart rate is shown or withheld, with the reason and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facepulse._types import Floats
from facepulse.measurement import Reason
from facepulse.pipeline.estimate import CONSTANT_LEVELS, Candidate, Estimate, Evidence
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.keyframes import key_frame_period

GREY_LEVELS = 1.0  # a video is greyscale if the means of red, green and blue differ by less than this
NEED_COLOR = CLASSICAL.keys() - {"GREEN"}  # a user's own function may not need it
WITHOUT_GUESS: frozenset[Reason] = frozenset({"no_color", "constant", "no_peak"})

_GUESS = "no reliable pulse: quality {quality:.2f} is below {min_quality:.2f}, the best guess is {bpm:.1f} bpm"
_NO_GUESS = "no reliable pulse, not even a best guess"
_ADVICE = "hold still, light the face evenly and compress less"
NOTES: dict[Reason, str] = {
    "low_quality": f"{_GUESS}; {_ADVICE}",
    "key_frames": (
        f"{_GUESS}, a multiple of the codec's key-frame rate ({{period_s:.2f}} s apart); record with less compression"
    ),
    "b_frames": (
        f"{_GUESS}, which the codec's B frames may have caused (one I or P frame in {{period_s:.2f}} s); "
        "record without B frames or with less compression"
    ),
    "timestamps": (
        f"{_GUESS}, as the times of too many frames do not increase; "
        "state the frame rate (fps), or convert the video again"
    ),
    "no_color": f"{_NO_GUESS}: the video has no colour; use the method GREEN",
    "constant": f"{_NO_GUESS}: the skin does not change; is this a photograph?",
    "no_peak": f"{_NO_GUESS}: the spectrum has no peak from {{low_bpm:.0f}} to {{high_bpm:.0f}} bpm; {_ADVICE}",
}


@dataclass(frozen=True)
class Decision:
    """A heart rate that is shown or withheld.

    Attributes:
        estimate_bpm: the best guess, or None if there is none.
        reason: why the heart rate is withheld, or None if it is shown.
    """

    estimate_bpm: float | None
    reason: Reason | None

    @property
    def bpm(self) -> float | None:
        """Heart rate, or None if it is withheld."""
        return self.estimate_bpm if self.reason is None else None


def decide(candidate: Candidate, evidence: Evidence, traces: Sequence[Floats], min_quality: float) -> Decision:
    """Decide whether a heart rate is shown.

    Args:
        candidate: the candidate that the heart rate is from.
        evidence: the heart rate, over all samples of the candidate or over some of them.
        traces: mean RGB of the regions over the same samples, (T, K, 3) in each segment.
        min_quality: 0..1; quality below which the heart rate is withheld.
    """
    reason = None if evidence.quality >= min_quality else _reason(candidate, evidence, traces, min_quality)
    return Decision(None if reason in WITHOUT_GUESS else evidence.rate.bpm, reason)


def _reason(candidate: Candidate, evidence: Evidence, traces: Sequence[Floats], min_quality: float) -> Reason:
    grey = all(np.ptp(rgb, axis=2).max() < GREY_LEVELS for rgb in traces)
    if grey and candidate.method.classical.name in NEED_COLOR:
        return "no_color"
    if all(np.ptp(rgb, axis=0).max() <= CONSTANT_LEVELS for rgb in traces):
        return "constant"
    low_bpm, high_bpm = candidate.protocol.search_bpm
    if not low_bpm < evidence.rate.bpm < high_bpm:  # the flank of a peak outside, or no power at all
        return "no_peak"
    if evidence.quality >= min_quality * candidate.timing.clock_quality:
        return "timestamps"
    return evidence.coincides or "low_quality"


def withheld_note(estimate: Estimate, reason: Reason) -> str:
    """Describe why the heart rate of an estimate is withheld, the best guess if there is one, and what to do."""
    chosen = estimate.chosen
    coded_times = chosen.timing.key_times if reason == "key_frames" else chosen.timing.anchor_times
    low_bpm, high_bpm = chosen.protocol.search_bpm
    return NOTES[reason].format(
        quality=chosen.reported.quality,
        min_quality=estimate.min_quality,
        bpm=chosen.reported.rate.bpm,
        period_s=key_frame_period(coded_times),
        low_bpm=low_bpm,
        high_bpm=high_bpm,
    )
