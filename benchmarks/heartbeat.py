"""Compare simulated pulses with real contact sensors: shape, harmonics, variability and respiration.

    python benchmarks/heartbeat.py [--data ../shared/data] [--out docs/simulation-heartbeat.png]

Real: PhysioKit (five people, 17 sessions, finger and ear, minutes at 250 Hz) and the finger PPG of UBFC-rPPG (42
people, one minute at 30 fps). Simulated: for each real minute one heartbeat of the same rate and sampling rate. Prints
the percentiles 10, 50 and 90 of each statistic and plots them. The simulation is not fitted to single recordings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.signal import butter, sosfiltfilt

from facepulse._types import Floats
from facepulse.rppg.beats import find_beats
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import detrend, heart_rate
from facepulse.simulate.heartbeat import draw_heartbeat

SECONDS = 60.0
PHASES = 100
MINIMUM_VALID = 0.8  # fraction of valid intervals below which a minute is left out
FIGURES = {
    "bpm": "heart rate, bpm",
    "rise": "rise, fraction of the beat",
    "width": "width at half height, fraction of the beat",
    "skewness": "skewness",
    "second_db": "second harmonic over first, dB",
    "third_db": "third harmonic over first, dB",
    "rmssd_ms": "RMSSD, ms",
    "sdnn_ms": "SDNN, ms",
    "breath_amplitude": "respiration in amplitude, relative",
    "breath_baseline": "respiration in baseline, pulse heights",
    "amplitude_variation": "variation of amplitude, relative",
}


@dataclass(frozen=True, eq=False)
class PulseStatistics:
    """Statistics of one minute of a waveform.

    Attributes:
        beat: (PHASES,) mean beat from its foot, 0 to 1.
        bpm: heart rate.
        rise: time from foot to peak, as a fraction of the beat.
        width: fraction of the beat above half height.
        skewness: of the samples of the mean beat.
        second_db: power of the second harmonic of the mean beat relative to the first.
        third_db: power of the third harmonic of the mean beat relative to the first.
        rmssd_ms: of the intervals between accepted beats, including noise.
        sdnn_ms: of the intervals between accepted beats, including noise.
        breath_amplitude: peak-to-peak of the pulse heights between 0.12 and 0.45 Hz, relative to their mean.
        breath_baseline: peak-to-peak of the means of the beats in that band, relative to the mean pulse height.
        amplitude_variation: standard deviation of the pulse heights relative to their mean.
    """

    beat: Floats
    bpm: float
    rise: float
    width: float
    skewness: float
    second_db: float
    third_db: float
    rmssd_ms: float
    sdnn_ms: float
    breath_amplitude: float
    breath_baseline: float
    amplitude_variation: float


def describe(waveform: Floats, fps: float) -> PulseStatistics | None:
    """Compute the statistics of a waveform, or None if too few of its beats resemble each other."""
    found = find_beats(waveform, fps, heart_rate(waveform, fps, PROTOCOLS["facepulse"]))
    if found is None:
        return None
    intervals = np.diff(found.times_s)
    regular = np.abs(intervals - np.median(intervals)) < 0.25 * np.median(intervals)
    valid = found.accepted[1:] & found.accepted[:-1] & regular
    if valid.mean() < MINIMUM_VALID:
        return None
    starts, lengths = found.times_s[:-1][valid], intervals[valid]
    times = np.arange(len(waveform)) / fps
    detrended = detrend(waveform, 1e4 * (fps / 30) ** 2)  # cutoff at 0.05 Hz, below respiration
    # From shortly before the steepest rise, so that every row has one foot and one peak.
    within = starts[:, None] + (np.arange(PHASES) / PHASES - 0.3) * lengths[:, None]
    beats = np.interp(within, times, detrended)
    mean = beats.mean(axis=0)
    power = np.abs(np.fft.rfft(mean)) ** 2
    mean = np.roll(mean, -int(np.argmin(mean)))
    mean = (mean - mean.min()) / np.ptp(mean)
    heights = np.ptp(beats, axis=1)
    differences_ms = 1e3 * np.diff(intervals)[valid[1:] & valid[:-1]]
    return PulseStatistics(
        beat=mean,
        bpm=60 / float(lengths.mean()),
        rise=float(np.argmax(mean)) / PHASES,
        width=float((mean >= 0.5).mean()),
        skewness=float(((mean - mean.mean()) ** 3).mean() / mean.std() ** 3),
        second_db=float(10 * np.log10(power[2] / power[1])),
        third_db=float(10 * np.log10(power[3] / power[1])),
        rmssd_ms=sqrt(np.mean(differences_ms**2)),
        sdnn_ms=1e3 * float(lengths.std(ddof=1)),
        breath_amplitude=_breath(starts, heights) / float(heights.mean()),
        breath_baseline=_breath(starts, beats.mean(axis=1)) / float(heights.mean()),
        amplitude_variation=float(heights.std() / heights.mean()),
    )


def _breath(times: Floats, values: Floats) -> float:
    """Peak-to-peak of the sine with the same power in the band of respiration as a series of one value per beat."""
    clock = np.arange(times[0], times[-1], 0.25)
    even = np.interp(clock, times, values)
    band = sosfiltfilt(butter(2, (0.12, 0.45), "bandpass", fs=4.0, output="sos"), even - even.mean())
    return 2 * sqrt(2) * float(band.std())


def physiokit(data: Path, site: Literal["finger", "ear"], minutes: int = 3) -> Iterator[tuple[Floats, float]]:
    """Yield minutes of PhysioKit at 100 Hz."""
    with np.load(data / "physiokit_ppg" / "physiokit_ppg.npz") as recordings:
        for name in recordings.files:
            if name.endswith(site):
                rate_hz = float(recordings[name.removesuffix(site) + "fs"])
                smooth = sosfiltfilt(butter(3, 20, fs=rate_hz, output="sos"), recordings[name].astype(np.float64))
                clock = np.arange(0, len(smooth) / rate_hz - 0.01, 0.01)
                waveform = np.interp(clock, np.arange(len(smooth)) / rate_hz, smooth)
                for start in range(0, min(minutes * 6000, len(waveform) - 6000 + 1), 6000):
                    yield waveform[start : start + 6000], 100.0


def ubfc(data: Path) -> Iterator[tuple[Floats, float]]:
    """Yield a minute of each subject of UBFC-rPPG; the labels are normalised differences, whose sum is the waveform."""
    with np.load(data / "ubfc_deepphys" / "signals.npz") as recordings:
        for name in recordings.files:
            if name.endswith("labels"):
                yield np.cumsum(recordings[name].astype(np.float64))[:1800], 30.0


def describe_all(waveforms: Iterable[tuple[Floats, float]]) -> list[PulseStatistics]:
    """Compute the statistics of every waveform with enough valid beats."""
    return [found for waveform, fps in waveforms if (found := describe(waveform, fps)) is not None]


def simulated(real: list[PulseStatistics], fps: float, site: Literal["finger", "face"]) -> list[PulseStatistics]:
    """Compute the statistics of one simulated minute for each real one, at the same heart rate."""
    times = np.arange(round(SECONDS * fps)) / fps
    hearts = [draw_heartbeat(np.random.default_rng(seed), SECONDS, bpm=one.bpm) for seed, one in enumerate(real)]
    return describe_all((heart.finger(times) if site == "finger" else heart.volume(times), fps) for heart in hearts)


def figures(group: list[PulseStatistics], name: str) -> Floats:
    """Return one statistic of every minute, (N,)."""
    return np.array([getattr(one, name) for one in group])


def draw(groups: dict[str, list[PulseStatistics]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = dict(zip(groups, ("#3a6ea5", "#8fb8de", "#6a9c89", "#d1495b", "#eb9486", "#edae49"), strict=True))
    figure, axes = pyplot.subplots(3, 3, figsize=(13, 10), layout="constrained")
    phases = np.arange(PHASES) / PHASES
    for axis, (real, alike) in zip(axes[0], _pairs(list(groups)), strict=True):
        for name in (real, alike):
            beats = np.array([one.beat for one in groups[name]])
            low, middle, high = np.percentile(beats, (10, 50, 90), axis=0)
            axis.fill_between(phases, low, high, color=colours[name], alpha=0.25, linewidth=0)
            axis.plot(phases, middle, color=colours[name], label=f"{name} ({len(beats)})")
        axis.set(xlabel="fraction of the beat, from its foot", title="mean beats: median, 10 to 90 %")
        axis.legend(fontsize=7, loc="upper right")
    shown = ("second_db", "third_db", "rmssd_ms", "sdnn_ms", "breath_amplitude", "breath_baseline")
    for axis, name in zip(axes[1:].ravel(), shown, strict=True):
        boxes = axis.boxplot(
            [figures(group, name) for group in groups.values()],
            orientation="horizontal",
            whis=(10, 90),
            patch_artist=True,
            showfliers=False,
        )
        for box, colour in zip(boxes["boxes"], colours.values(), strict=True):
            box.set_facecolor(colour)
        axis.set_yticks(range(1, len(groups) + 1), list(groups) if axis in axes[:, 0] else [], fontsize=8)
        axis.invert_yaxis()
        axis.set_xlabel(FIGURES[name])
    figure.suptitle("Simulated pulses beside real ones; boxes: quartiles, whiskers: 10 and 90 %")
    figure.savefig(path, dpi=90)


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of a real group and the simulated one that is plotted with it."""
    kit_finger, kit_ear, ubfc_finger, like_kit, like_ubfc, face = names
    return [(kit_finger, like_kit), (ubfc_finger, like_ubfc), (kit_ear, face)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/simulation-heartbeat.png"))
    arguments = parser.parse_args()
    kit, ear, clinic = (
        describe_all(physiokit(arguments.data, "finger")),
        describe_all(physiokit(arguments.data, "ear")),
        describe_all(ubfc(arguments.data)),
    )
    groups = {
        "PhysioKit finger": kit,
        "PhysioKit ear": ear,
        "UBFC finger": clinic,
        "simulated finger": simulated(kit, 100.0, "finger"),
        "simulated finger, as UBFC": simulated(clinic, 30.0, "finger"),
        "simulated face": simulated(kit, 100.0, "face"),
    }
    print(f"{'10 %, 50 %, 90 %':24}" + "".join(f"{name:>28}" for name in groups))
    for name in FIGURES:
        points = (np.percentile(figures(group, name), (10, 50, 90)) for group in groups.values())
        print(f"{name:24}" + "".join(f"{low:>12.2f} {middle:7.2f} {high:7.2f}" for low, middle, high in points))
    draw(groups, arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
