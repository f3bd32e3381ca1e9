"""Results of a measurement: frozen dataclasses that print, serialise and plot themselves."""

from __future__ import annotations

import csv
import json
import logging
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from facepulse._files import atomic_write
from facepulse.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame

    from facepulse.plot import MeasurementFigure
    from facepulse.rppg.hrv import Hrv


QUALITY_THRESHOLD = 0.7  # default quality below which a heart rate is withheld

Reason = Literal["low_quality", "key_frames", "b_frames", "timestamps", "no_color", "constant", "no_peak"]
"""Reason why a heart rate is withheld, always because its quality is below the threshold:

* `low_quality`: the evidence for it is too weak;
* `key_frames`: it is a multiple of the codec's key-frame rate, and may be that of the codec;
* `b_frames`: the codec's B frames may have caused it: it is a multiple of the rate of their groups, or the image of a
  faster pulse;
* `timestamps`: the times of too many frames do not increase;
* `no_color`: the video is greyscale, in which the method finds no pulse;
* `constant`: the skin does not change, as in a photograph;
* `no_peak`: the spectrum has no peak in the range of heart rates.

In the last three cases there is not even a best guess.
"""


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        rate = rate_text(self.estimate_bpm, self.reason)
        return f"<Window {self.start_s:.1f}-{self.end_s:.1f} s: {rate}, quality {self.quality:.2f}>"


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """The pulse of one face in one video.

    It prints a summary, and shows itself as a table with a figure where it is the last value of a cell of a notebook.

    Attributes:
        source: path of the video; "array" or "frames" if it was given in memory.
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
    beats_s: NDArray[np.float64]
    waveform: NDArray[np.float32]
    times_s: NDArray[np.float64]
    spectrum_bpm: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    warnings: tuple[str, ...]
    image: NDArray[np.uint8]

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

    def to_frame(self, what: Literal["windows", "waveform"] = "windows") -> DataFrame:
        """Return the heart rate over time or the waveform as a pandas `DataFrame`, with values that are not rounded.

        Args:
            what: "windows" for a row per window with the attributes of `Window` as columns, NaN where a rate is None;
                "waveform" for a row per sample with the columns time_s and waveform.

        Raises:
            UsageError: pandas is not installed, or `what` is something else.
        """
        if what not in ("windows", "waveform"):
            raise UsageError(f"a data frame can be of the 'windows' or of the 'waveform', not of {what!r}")
        try:
            import pandas  # an optional dependency, which takes half a second to import
        except ImportError as error:
            raise UsageError("a data frame needs pandas: pip install pandas, or write tables with to_csv") from error
        if what == "waveform":
            return pandas.DataFrame({"time_s": self.times_s, "waveform": self.waveform})
        rates = {"bpm": float, "estimate_bpm": float}  # also where every one of them is None
        return pandas.DataFrame(list(self.windows), columns=[column.name for column in fields(Window)]).astype(rates)

    def plot(self, path: str | os.PathLike[str] | None = None) -> MeasurementFigure:
        """Draw the frame with its box, the waveform, the spectrum and the heart rate over time.

        Args:
            path: file to write, too: .png, .jpg, .svg or .pdf.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show. It needs no screen, and pyplot does not hold it.

        Raises:
            UsageError: the path has another suffix or cannot be written.
        """
        # Imported here because matplotlib takes 0.4 s to import; its messages about its cache are suppressed.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from facepulse.plot import check_format, draw_measurement

        target = None if path is None else check_format(path)
        figure = draw_measurement(self)
        if target is not None:
            figure.save(target)
        return figure

    def __repr__(self) -> str:
        rate = rate_text(self.estimate_bpm, self.reason)
        return f"<Measurement of {printable(self.source)!r}: {rate}, quality {self.quality:.2f}, {self.method}>"

    def _repr_html_(self) -> str:
        """Return a table and the figure, for notebooks."""
        from facepulse.plot import to_html

        return to_html(self, self.plot().to_png())

    def windows_text(self) -> str:
        """Return the number of windows that have a heart rate, and its range; empty if there are none."""
        known = [window.bpm for window in self.windows if window.bpm is not None]
        if not known:
            return ""
        length = self.windows[0].end_s - self.windows[0].start_s
        return (
            f"{len(known)} of {len(self.windows)} windows of {length:.0f} s have a heart rate: "
            f"{min(known):.1f} to {max(known):.1f} bpm"
        )

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
        if len(self.windows) > 1 and (windows := self.windows_text()):
            lines.append(f"  {windows}")
        if self.hrv is not None:
            lines.append(f"  heart-rate variability: {self.hrv}")
        lines.append(f"  protocol {self.protocol}")
        lines.extend(f"  note: {warning}" for warning in self.warnings)
        return "\n".join(lines)


def rate_text(estimate_bpm: float | None, reason: str | None) -> str:
    """Return a heart rate, or the reason why it is withheld with the best guess, as a few words."""
    if estimate_bpm is None:
        return f"no heart rate ({reason})"
    return f"{estimate_bpm:.1f} bpm" if reason is None else f"withheld ({reason}), best guess {estimate_bpm:.1f} bpm"


def printable(path: str) -> str:
    """Return a path as text that can be written anywhere; bytes that are not UTF-8 are replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _rounded_figures(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
