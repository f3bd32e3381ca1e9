"""What a measurement is: frozen values that print, serialise and plot as they are."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write

if TYPE_CHECKING:
    from facepulse.rppg.hrv import Hrv


QUALITY_THRESHOLD = 0.7  # quality from which a heart rate is shown unless the caller says otherwise


@dataclass(frozen=True)
class Window:
    """Heart rate in a segment of the video.

    Attributes:
        start_s: seconds from the first frame.
        end_s: seconds from the first frame.
        bpm: heart rate, or None where the quality is too low to say.
        quality: 0..1, how far to trust the bpm.
    """

    start_s: float
    end_s: float
    bpm: float | None
    quality: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """The pulse of one face in one video.

    Attributes:
        source: path of the video.
        method: name of the method that made the waveform.
        protocol: how the heart rate was computed from the waveform, in one line.
        bpm: heart rate over the whole video, or None where the quality is too low to say.
        quality: 0..1, how far to trust the bpm.
        snr_db: power of the pulse and its harmonic over the power of everything else in the band, in the longest part.
        fps: frames a second, as the timestamps say.
        duration_s: length of the video in seconds.
        face: number of the face from left to right, from 1.
        box: the face in `picture`, in pixels: x, y, width, height.
        parts: (start, end) in seconds of the segments in which the face was there.
        windows: the heart rate over time.
        hrv: heart-rate variability, or None where it cannot be had honestly; `warnings` says why.
        beats_s: times of the single beats in seconds, float64 (B,); empty where there is no trustworthy pulse.
        waveform: blood-volume pulse, float32 (T,), unit spread, systole upwards.
        times_s: time of each sample of the waveform in seconds, float64 (T,); uniform within a part.
        spectrum_bpm: frequencies of the spectrum in beats a minute, float64 (F,).
        spectrum: power at those frequencies on which the regions of the face agree, or a network's, its highest 1,
            float64 (F,).
        warnings: what a user should know, a line each; where bpm is None the first says why, and names the best guess.
        picture: the first frame that shows the face, uint8 RGB (H, W, 3).
    """

    source: str
    method: str
    protocol: str
    bpm: float | None
    quality: float
    snr_db: float
    fps: float
    duration_s: float
    face: int
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
    picture: NDArray[np.uint8] = field(repr=False)

    def to_dict(self, *, waveform: bool = False) -> dict[str, Any]:
        """The result as plain Python values that `json.dumps` takes.

        Args:
            waveform: include `waveform`, `times_s` and `beats_s`.
        """
        result: dict[str, Any] = {
            "source": printable(self.source),
            "method": self.method,
            "protocol": self.protocol,
            "bpm": _rounded(self.bpm, 2),
            "quality": _rounded(self.quality, 3),
            "snr_db": _rounded(self.snr_db, 2),
            "fps": _rounded(self.fps, 3),
            "duration_s": _rounded(self.duration_s, 3),
            "face": self.face,
            "box": [_rounded(side, 1) for side in self.box],
            "parts": [{"start_s": _rounded(start, 3), "end_s": _rounded(end, 3)} for start, end in self.parts],
            "windows": [
                {
                    "start_s": _rounded(window.start_s, 3),
                    "end_s": _rounded(window.end_s, 3),
                    "bpm": _rounded(window.bpm, 2),
                    "quality": _rounded(window.quality, 3),
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
        """The result as one line of JSON."""
        return json.dumps(self.to_dict(waveform=waveform), ensure_ascii=False, allow_nan=False)

    def to_csv(self, directory: str | Path, name: str | None = None) -> tuple[Path, Path]:
        """Write the heart rate over time and the waveform as two tables.

        Args:
            directory: where to write; made if missing.
            name: stem of the files; by default the video's.

        Returns:
            `<name>.windows.csv` (start_s, end_s, bpm, quality) and `<name>.waveform.csv` (time_s, waveform).

        Raises:
            UsageError: the directory cannot be written.
        """
        stem = Path(directory) / (name or Path(self.source).stem)
        windows = stem.with_name(stem.name + ".windows.csv")
        waveform = stem.with_name(stem.name + ".waveform.csv")
        with atomic_write(windows) as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["start_s", "end_s", "bpm", "quality"])
            for row in self.to_dict()["windows"]:
                table.writerow(row.values())
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
        # matplotlib takes 0.4 s to import: only who plots pays for it. Where it keeps its cache is nobody's concern.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from facepulse.plot import plot_measurement

        with atomic_write(Path(path)) as temporary:
            plot_measurement(self, temporary)
        return Path(path)

    def __str__(self) -> str:
        """The summary that the command line prints."""
        if self.bpm is None:
            head = f"{printable(self.source)}: no trustworthy pulse, quality {self.quality:.2f}"
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
                f"  {len(known)} of {len(self.windows)} windows of {length:.0f} s can be trusted: "
                f"{min(known):.1f} to {max(known):.1f} bpm"
            )
        if self.hrv is not None:
            lines.append(f"  heart-rate variability: {self.hrv}")
        lines.append(f"  protocol {self.protocol}")
        lines.extend(f"  note: {warning}" for warning in self.warnings)
        return "\n".join(lines)


def printable(path: str) -> str:
    """A path as text that can be written anywhere; bytes that are no UTF-8 are replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _rounded_figures(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
