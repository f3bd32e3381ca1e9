"""Heart-rate variability from beat intervals, withheld if it does not exceed the noise floor of the waveform.

Noise displaces every detected beat, and displaced beats look like a variable heart rate. Each statistic is therefore
compared with the value that the jitter of the beats would give by itself.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from facepulse._types import Floats
from facepulse.errors import UsageError
from facepulse.rppg.beats import CLOCK_HZ, Beats

MINIMUM_S = {"bpm": 5.0, "rmssd_ms": 20.0, "sdnn_ms": 20.0, "pnn50": 30.0, "lf_hf": 55.0}
STATISTICS = ("rmssd_ms", "sdnn_ms", "pnn50", "lf_hf")
TOLERANCE = 0.25  # relative deviation from the running median beyond which an interval is a missed or a false beat
MINIMUM_KEPT = 0.6  # fraction of the intervals that has to be accepted to represent the recording
LOW_FLOOR_MS = 8.0  # a noise floor below this is acceptable for any value: a constant rhythm stays under 15 ms
FLOOR_RATIO = 1 / 3  # a noise floor of this fraction of the value adds 6 % to it
MINIMUM_FRAMES = 8.0  # per beat; with fewer the third harmonic nears the Nyquist frequency and the shape is unstable
MAXIMUM_JITTER_MS = 10.0  # above it some detected beats are artefacts, and the variability is overestimated


@dataclass(frozen=True)
class Hrv:
    """Heart rate and its variability from beat intervals; None for a statistic that is withheld.

    Attributes:
        bpm: 60 s over the mean interval.
        rmssd_ms: root mean square of successive differences.
        sdnn_ms: standard deviation of the intervals.
        pnn50: percentage of successive differences above 50 ms.
        lf_hf: power of 0.04-0.15 Hz over 0.15-0.4 Hz.
        rmssd_floor_ms: RMSSD that the noise alone would give.
        kept: fraction of the uninterrupted intervals that passed artefact rejection, 0 to 1.
        withheld: reason for each statistic that is None.
    """

    bpm: float
    rmssd_ms: float | None
    sdnn_ms: float | None
    pnn50: float | None
    lf_hf: float | None
    rmssd_floor_ms: float
    kept: float
    withheld: dict[str, str]

    def __str__(self) -> str:
        """Return the known statistics, and the first reason for those that are withheld."""
        statistics = {
            "RMSSD {:.0f} ms": self.rmssd_ms,
            "SDNN {:.0f} ms": self.sdnn_ms,
            "pNN50 {:.0f} %": self.pnn50,
            "LF/HF {:.1f}": self.lf_hf,
        }
        known = [text.format(value) for text, value in statistics.items() if value is not None]
        unknown = [text.split()[0] for text, value in statistics.items() if value is None]
        if unknown:
            known.append(f"{', '.join(unknown)} withheld ({next(iter(self.withheld.values()))})")
        return ", ".join(known)


def hrv(beats: Beats) -> Hrv | None:
    """Compute heart rate and heart-rate variability, withholding each statistic that the recording cannot support.

    An interval is accepted if both its beats are, it is within 25 % of the running median and the waveform is not
    interrupted in it; a difference if both its intervals are. Heart rate needs 5 s, RMSSD and SDNN 20 s, pNN50 30 s,
    without the interruptions, and LF/HF 55 s without any. All but the heart rate need 60 % of the intervals, 8 frames
    per beat, a jitter under 10 ms, and a noise floor (√6 and √2 times the jitter) of under 8 ms or a third of the
    value; LF/HF the latter.

    Args:
        beats: from `find_beats`.

    Returns:
        The statistics, or None below 5 s or three accepted intervals.

    Raises:
        UsageError: `beats` are not `Beats`; None is what `find_beats` returns if it finds fewer than four.
    """
    if not isinstance(beats, Beats):
        raise UsageError(f"beats must be Beats as from find_beats, not {type(beats).__name__}")
    intervals_ms = 1e3 * np.diff(beats.times_s)
    accepted = _accepted(intervals_ms, beats)
    if beats.uninterrupted_s < MINIMUM_S["bpm"] or accepted.sum() < 3:
        return None
    mean_ms = intervals_ms[accepted].mean()
    kept = float(accepted[beats.contiguous].mean())
    measured = hrv_statistics(beats.times_s, accepted)
    reasons = {name: _reason_to_withhold(name, measured, beats, kept, float(mean_ms)) for name in STATISTICS}
    return Hrv(
        bpm=float(60e3 / mean_ms),
        **{name: None if reasons[name] else measured[name] for name in STATISTICS},
        rmssd_floor_ms=sqrt(6) * beats.jitter_ms,
        kept=kept,
        withheld={name: reason for name, reason in reasons.items() if reason},
    )


def hrv_statistics(times_s: Floats, accepted: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Compute SDNN, RMSSD, pNN50 and LF/HF of the accepted intervals.

    Args:
        times_s: (B,) times of the beats in seconds.
        accepted: (B - 1,) True for each interval that counts; at least one.

    Returns:
        The statistics of `STATISTICS` that are defined: no RMSSD and pNN50 without successive intervals, no LF/HF
        without high-frequency power.
    """
    intervals_ms = 1e3 * np.diff(times_s)
    differences_ms = np.diff(intervals_ms)[accepted[1:] & accepted[:-1]]
    statistics = {"sdnn_ms": float(intervals_ms[accepted].std(ddof=1))}
    if len(differences_ms):
        statistics["rmssd_ms"] = sqrt(np.mean(differences_ms**2))
        statistics["pnn50"] = 100 * float(np.mean(np.abs(differences_ms) > 50))
    ratio = _lf_hf(times_s[1:][accepted], intervals_ms[accepted])
    if ratio is not None:
        statistics["lf_hf"] = ratio
    return statistics


def _reason_to_withhold(
    name: str, measured: dict[str, float], beats: Beats, kept: float, mean_interval_ms: float
) -> str | None:
    """Reason why a statistic is withheld, or None: the first gate of the table that it does not pass."""
    # pNN50 and LF/HF are computed from the differences that RMSSD is computed from, and are as reliable as it is.
    compared = "sdnn_ms" if name == "sdnn_ms" else "rmssd_ms"
    floor_ms = beats.jitter_ms * (sqrt(2) if compared == "sdnn_ms" else sqrt(6))
    value_ms = measured.get(compared, 0.0)
    low_ms = 0.0 if name == "lf_hf" else LOW_FLOOR_MS  # the ratio of two powers of noise is arbitrary, not small
    noisy = beats.jitter_ms > MAXIMUM_JITTER_MS or floor_ms > max(low_ms, FLOOR_RATIO * value_ms)
    frames = beats.fps * mean_interval_ms / 1e3
    gates = (
        (
            beats.uninterrupted_s < MINIMUM_S[name] - 0.5 / CLOCK_HZ,
            f"needs {MINIMUM_S[name]:g} s, has {beats.uninterrupted_s:.1f} s",
        ),
        (
            name == "lf_hf" and not beats.contiguous.all(),
            "the waveform is interrupted: give each of its parts separately",
        ),
        (name not in measured, "too few successive intervals"),
        (
            kept < MINIMUM_KEPT,
            f"{100 * kept:.0f} % of the beat intervals are accepted, needs {100 * MINIMUM_KEPT:.0f} %",
        ),
        (
            frames < MINIMUM_FRAMES,
            f"needs {MINIMUM_FRAMES:g} frames per beat, has {frames:.1f}: record at a higher frame rate",
        ),
        (
            noisy,
            f"estimated noise floor of {compared.removesuffix('_ms').upper()} {floor_ms:.0f} ms, measured "
            f"{value_ms:.0f} ms",
        ),
    )
    return next((reason for failed, reason in gates if failed), None)


def _accepted(intervals_ms: Floats, beats: Beats) -> npt.NDArray[np.bool_]:
    """Accepted intervals: between accepted beats, not interrupted, and near the running median of such intervals."""
    from scipy.ndimage import median_filter

    sound = beats.accepted[1:] & beats.accepted[:-1] & beats.contiguous
    if not sound.any():
        return sound
    indices = np.flatnonzero(sound)
    medians = median_filter(intervals_ms[indices], size=min(11, len(indices)), mode="nearest")
    near = np.abs(intervals_ms[indices] - medians) <= TOLERANCE * medians
    result = np.zeros_like(sound)
    result[indices[near]] = True
    return result


def _lf_hf(ends_s: Floats, intervals_ms: Floats) -> float | None:
    """LF/HF of the intervals, interpolated to 4 Hz as is usual (Task Force, Circulation 93 (1996)); None without HF."""
    clock_s = np.arange(ends_s[0], ends_s[-1], 0.25)
    tachogram = np.interp(clock_s, ends_s, intervals_ms)
    tachogram = (tachogram - tachogram.mean()) * np.hanning(len(tachogram))
    hz = np.fft.rfftfreq(len(tachogram), 0.25)
    power = np.abs(np.fft.rfft(tachogram)) ** 2
    low = float(power[(hz >= 0.04) & (hz < 0.15)].sum())
    high = float(power[(hz >= 0.15) & (hz < 0.4)].sum())
    return low / high if high > 0 else None
