"""Results of a measurement: frozen dataclasses that print, serialise and plot themselves."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write

if TYPE_CHECKING:
    from facepulse.rppg.hrv import Hrv


QUALITY_THRESHOLD = 0.7  # default quality below which a heart rate is withheld

Reason = Literal["low_quality", "key_frames", "no_color", "constant", "no_peak"]
"""Reason why a heart rate is withheld, always because its quality is below the threshold:

* `low_quality`: the evidence for it is too weak;
* `key_frames`: it is a multiple of the codec's key-frame rate, and may be that of the codec;
* `no_color`: the video is greyscale, in which the method finds no pulse;
* `constant`: the skin does not change, as in a photograph;
* `no_peak`: the spectrum has no peak in the range of heart rates.

In the last three cases there is not even a best guess.
"""


@dataclass(frozen=True)
class Window:
    """Heart rate in one window of the video.

    Attributes:
        start_s: seconds from the first frame.
        end_s: seconds from the first frame.
        bpm: heart rate, or None if it is withheld; then `reason` says why.
        quality: 0..1, calibrated probability that the heart rate is within 5 bpm of the truth.
        estimate_bpm: the best guess, whatever its quality; None if there is none. Equal to `bpm` unless withheld.
        reason: why the heart rate is withheld, as in `Reason`; None if it is not.
    """

    start_s: float
    end_s: float
    bpm: float | None
    quality: float
    estimate_bpm: float | None
    reason: Reason | None


@dataclass(frozen=True, eq=False)
class Measurement:
    """The pulse of one face in one video.

    Attributes:
        source: path of the video.
        method: name of the method that computed the waveform.
        requested_method: name of the method that was asked for; differs from `method` if a classical method replaced
            a network.
        protocol: how the heart rate was computed from the waveform, in one line.
        bpm: heart rate over the whole video, or None if it is withheld; then `reason` says why.
        estimate_bpm: the best guess, whatever its quality; None if there is none. Equal to `bpm` unless withheld.
        reason: why the heart rate is withheld, as in `Reason`; None if it is not.
        quality: 0..1, calibrated probability that the heart rate is within 5 bpm of the truth.
        snr_db: power of the pulse and its second harmonic over the rest of the power in the band, in the longest
            segment.
        fps: frame rate in Hz from the timestamps.
        duration_s: length of the video in seconds.
        face: number of the face from left to right, from 1.
        faces: number of faces that are in view for long enough to be measured.
        box: the face in `image`, in pixels: x, y, width, height.
        parts: (start, end) in seconds of the segments in which the face was in view.
        windows: the heart rate over time.
        hrv: heart-rate variability, or None if the signal is too noisy or too short; `warnings` gives the reason.
        beats_s: times of the beats in seconds, float64 (B,); empty without a reliable pulse.
        waveform: blood volume pulse, float32 (T,), unit variance, systole up.
        times_s: time of each sample of the waveform in seconds, float64 (T,); uniform within a segment.
        spectrum_bpm: frequencies of the spectrum in beats per minute, float64 (F,).
        spectrum: power at those frequencies, float64 (F,), highest value 1: the cross-spectrum of the facial regions,
            with a network summed with its spectrum.
        warnings: notes for the user, one line each; if bpm is None, the first gives the reason, the best guess if
            there is one, and what to do.
        image: first frame that shows the face, uint8 RGB (H, W, 3).
    """

    source: str
    method: str
    requested_method: str
    protocol: str
    bpm: float | None
    estimate_bpm: float | None
    reason: Reason | None
    quality: float
    snr_db: float
    fps: float
    duration_s: float
    face: int
    faces: int
    box: tuple[float, float, float, float]
    parts: tuple[tuple[float, float], ...]
    windows: tuple[Window, ...]
    hrv: Hrv | None
    beats_s: NDArray[np.float64] = field(repr=False)
    waveform: NDArray[np.float32] = field(repr=False)
    times_s: NDArray[np.float64] = field(repr=False)
    spectrum_bpm: NDArray[np.float64] = field(repr=False)
    spectrum: NDArray[np.float64] = field(repr=False)
    warnings: tuple[str, ...]
    image: NDArray[np.uint8] = field(repr=False)

    def to_dict(self, *, waveform: bool = False) -> dict[str, Any]:
        """Return the result as plain Python values for `json.dumps`.

        Args:
            waveform: include `waveform`, `times_s` and `beats_s`.
        """
        result: dict[str, Any] = {
            "source": printable(self.source),
            "method": self.method,
            "requested_method": self.requested_method,
            "protocol": self.protocol,
            "bpm": _rounded(self.bpm, 2),
            "estimate_bpm": _rounded(self.estimate_bpm, 2),
            "reason": self.reason,
            "quality": _rounded(self.quality, 3),
            "snr_db": _rounded(self.snr_db, 2),
            "fps": _rounded(self.fps, 3),
            "duration_s": _rounded(self.duration_s, 3),
            "face": self.face,
            "faces": self.faces,
            "box": [_rounded(side, 1) for side in self.box],
            "parts": [{"start_s": _rounded(start, 3), "end_s": _rounded(end, 3)} for start, end in self.parts],
            "windows": [
                {
                    "start_s": _rounded(window.start_s, 3),
                    "end_s": _rounded(window.end_s, 3),
                    "bpm": _rounded(window.bpm, 2),
                    "quality": _rounded(window.quality, 3),
                    "estimate_bpm": _rounded(window.estimate_bpm, 2),
                    "reason": window.reason,
                }
                for window in self.windows
            ],
            "hrv": None if self.hrv is None else _rounded_figures(asdict(self.hrv)),
            "warnings": list(self.warnings),
        }
        if waveform:
            result["waveform"] = [_rounded(float(value), 5) for value in self.waveform]
            result["times_s"] = [_rounded(float(time), 5) for time in self.times_s]
            result["beats_s"] = [_rounded(float(time), 4) for time in self.beats_s]
        return result

    def to_json(self, *, waveform: bool = False) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(self.to_dict(waveform=waveform), ensure_ascii=False, allow_nan=False)

    def to_csv(self, directory: str | Path, name: str | None = None) -> tuple[Path, Path]:
        """Write the heart rate over time and the waveform as two tables.

        Args:
            directory: directory to write to; created if missing.
            name: stem of the files; by default that of the video.

        Returns:
            `<name>.windows.csv` (start_s, end_s, bpm, quality, estimate_bpm, reason) and `<name>.waveform.csv` (time_s,
            waveform).

        Raises:
            UsageError: the directory cannot be written.
        """
        stem = Path(directory) / (name or Path(self.source).stem)
        windows = stem.with_name(stem.name + ".windows.csv")
        waveform = stem.with_name(stem.name + ".waveform.csv")
        with atomic_write(windows) as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow([column.name for column in fields(Window)])
            table.writerows(row.values() for row in self.to_dict()["windows"])
        with atomic_write(waveform) as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["time_s", "waveform"])
            table.writerows((f"{t:.5f}", f"{v:.5f}") for t, v in zip(self.times_s, self.waveform, strict=True))
        return windows, waveform

    def plot(self, path: str | Path) -> Path:
        """Draw the frame with its box, the waveform, the spectrum and the heart rate over time.

        Raises:
            UsageError: the path cannot be written.
        """
        # Imported here because matplotlib takes 0.4 s to import; its messages about its cache are suppressed.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from facepulse.plot import plot_measurement

        with atomic_write(Path(path)) as temporary:
            plot_measurement(self, temporary)
        return Path(path)

    def __str__(self) -> str:
        """Return the summary that the command line prints."""
        if self.bpm is None:
            head = f"{printable(self.source)}: no reliable pulse, quality {self.quality:.2f}"
        else:
            head = f"{printable(self.source)}: {self.bpm:.1f} bpm, quality {self.quality:.2f}"
        lines = [
            head,
            f"  {self.method}, face {self.face}, {self.duration_s:.1f} s at {self.fps:.1f} fps, "
            f"SNR {self.snr_db:.1f} dB",
        ]
        known = [window.bpm for window in self.windows if window.bpm is not None]
        if len(self.windows) > 1 and known:
            length = self.windows[0].end_s - self.windows[0].start_s
            lines.append(
                f"  {len(known)} of {len(self.windows)} windows of {length:.0f} s have a heart rate: "
                f"{min(known):.1f} to {max(known):.1f} bpm"
            )
        if self.hrv is not None:
            lines.append(f"  heart-rate variability: {self.hrv}")
        lines.append(f"  protocol {self.protocol}")
        lines.extend(f"  note: {warning}" for warning in self.warnings)
        return "\n".join(lines)


def printable(path: str) -> str:
    """Return a path as text that can be written anywhere; bytes that are not UTF-8 are replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _rounded_figures(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
