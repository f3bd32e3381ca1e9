"""Figure of a measurement: the face, the waveform, its spectrum and the heart rate over time; and HTML with it."""

from __future__ import annotations

import os
import warnings
from base64 import b64encode
from html import escape
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from facepulse._files import atomic_write
from facepulse.errors import UsageError
from facepulse.measurement import Measurement, printable, rate_text

FORMATS = (".png", ".jpg", ".svg", ".pdf")
FILE_DPI, INLINE_DPI = 110, 80

PULSE_COLOR, WITHHELD_COLOR = "#b3123b", "#9aa0a6"

# Longer waveforms are unreadable at this width: the panel shows this many seconds around the best window.
WAVEFORM_SHOWN_S = 20.0


class MeasurementFigure(Figure):
    """Figure that a notebook shows; it shows a plain one only after `%matplotlib inline`."""

    def save(self, path: Path) -> None:
        """Write the figure to a file whose suffix, one of `FORMATS`, determines the format.

        Raises:
            UsageError: the file cannot be written.
        """
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            self._print(file, path.suffix.lower()[1:], FILE_DPI)

    def to_png(self) -> bytes:
        """Return the figure as PNG, at a size for a notebook."""
        file = BytesIO()
        self._print(file, "png", INLINE_DPI)
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.to_png()

    def _print(self, file: IO[bytes], kind: str, dpi: float) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # file names may be in any script
            self.savefig(file, format=kind, dpi=dpi)


def draw_measurement(measurement: Measurement) -> MeasurementFigure:
    """Draw a measurement."""
    figure = MeasurementFigure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic(
        [["face", "waveform"], ["spectrum", "windows"]], width_ratios=[1, 1.7], height_ratios=[1.15, 1]
    )
    name = Path(measurement.to_dict()["source"]).name  # without bytes that no font has
    bpm = "no reliable pulse" if measurement.bpm is None else f"{measurement.bpm:.1f} bpm"
    figure.suptitle(
        f"{name}: {bpm}, quality {measurement.quality:.2f} ({measurement.method})",
        fontsize=14,
        parse_math=False,  # a file name may contain dollar signs
    )
    _draw_face(axes["face"], measurement)
    _draw_waveform(axes["waveform"], measurement)
    _draw_spectrum(axes["spectrum"], measurement)
    _draw_windows(axes["windows"], measurement)
    return figure


def check_format(path: str | os.PathLike[str]) -> Path:
    """Return a path whose suffix is one of `FORMATS`.

    Raises:
        UsageError: it is not, or the path is none.
    """
    if isinstance(path, str | os.PathLike) and Path(path).suffix.lower() in FORMATS:
        return Path(path)
    raise UsageError(
        f"cannot plot to {path!r}: give a file name that ends with {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    )


def _draw_face(axes: Axes, measurement: Measurement) -> None:
    x, y, width, height = measurement.box
    axes.imshow(measurement.image)
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="#ffd400", linewidth=2))
    axes.set_axis_off()
    axes.set_title(f"face {measurement.face}", fontsize=10)


def _draw_waveform(axes: Axes, measurement: Measurement) -> None:
    times, waveform = measurement.times_s, measurement.waveform
    start = times[0]
    if times[-1] - start > WAVEFORM_SHOWN_S and measurement.windows:
        best = max(measurement.windows, key=lambda window: window.quality)
        middle = (best.start_s + best.end_s) / 2
        start = min(max(middle - WAVEFORM_SHOWN_S / 2, times[0]), times[-1] - WAVEFORM_SHOWN_S)
    shown = (times >= start) & (times <= start + WAVEFORM_SHOWN_S)
    # NaN between two segments, so that no line is drawn across the gap.
    gaps = np.flatnonzero(np.diff(times[shown]) > 0.5) + 1
    x, y = np.insert(times[shown], gaps, np.nan), np.insert(waveform[shown], gaps, np.nan)
    axes.plot(x, y, color=PULSE_COLOR, linewidth=1)
    beats = measurement.beats_s[(measurement.beats_s >= start) & (measurement.beats_s <= start + WAVEFORM_SHOWN_S)]
    if len(beats):
        axes.plot(beats, np.interp(beats, times, waveform), "o", color="black", markersize=3, label="beats")
        axes.legend(loc="upper right", fontsize=8)
    axes.set(xlabel="seconds", ylabel="BVP (arbitrary unit)", xlim=(start, start + float(np.ptp(times[shown]))))
    axes.set_title("blood volume pulse", fontsize=10)


def _draw_spectrum(axes: Axes, measurement: Measurement) -> None:
    axes.plot(measurement.spectrum_bpm, measurement.spectrum, color=PULSE_COLOR, linewidth=1)
    if measurement.estimate_bpm is not None:
        color = "black" if measurement.reason is None else WITHHELD_COLOR
        axes.axvline(measurement.estimate_bpm, color=color, linewidth=0.8, linestyle="--")
    axes.set(xlabel="beats per minute", ylabel="relative power", xlim=(30, 250), ylim=(0, 1.05))
    axes.set_title("spectrum from which the heart rate was read", fontsize=10)


def _draw_windows(axes: Axes, measurement: Measurement) -> None:
    for window in measurement.windows:
        if window.reason is not None:
            axes.axvspan(window.start_s, window.end_s, color=WITHHELD_COLOR, alpha=0.15, linewidth=0)
        if window.estimate_bpm is not None:
            color = PULSE_COLOR if window.reason is None else WITHHELD_COLOR
            axes.plot([window.start_s, window.end_s], [window.estimate_bpm] * 2, color=color, linewidth=2, alpha=0.8)
    known = [window.estimate_bpm for window in measurement.windows if window.estimate_bpm is not None]
    low, high = (min(known) - 10, max(known) + 10) if known else (40, 180)
    axes.set(
        xlabel="seconds",
        ylabel="beats per minute",
        xlim=(0, max(measurement.duration_s, 1e-3)),
        ylim=(min(low, 50), max(high, 100)),
    )
    axes.set_title("heart rate in windows (grey: withheld)", fontsize=10)


def to_html(measurement: Measurement, figure: bytes) -> str:
    """Return a fragment of HTML that needs no other file; all text is escaped.

    Args:
        measurement: for the table.
        figure: as PNG.
    """
    style = "text-align: left; vertical-align: top"
    rows = "".join(
        f'<tr><th style="{style}; white-space: nowrap">{label}</th><td style="{style}">{escape(text)}</td></tr>'
        for label, text in _rows(measurement)
    )
    image = b64encode(figure).decode("ascii")
    return (
        f"<div><table>{rows}</table>"
        f'<img alt="waveform, spectrum and heart rate over time" style="max-width: 100%" '
        f'src="data:image/png;base64,{image}"></div>'
    )


def _rows(measurement: Measurement) -> list[tuple[str, str]]:
    """Labels, and the text beside each."""
    length = f"{measurement.duration_s:.1f} s at {measurement.fps:.1f} fps"
    rows = [
        ("source", f"{printable(measurement.source)}: {length}, face {measurement.face} of {measurement.faces}"),
        ("heart rate", rate_text(measurement.estimate_bpm, measurement.reason)),
        ("quality", f"{measurement.quality:.2f}, SNR {measurement.snr_db:.1f} dB"),
        ("method", measurement.method),
        ("windows", measurement.windows_text()),
        ("variability", "" if measurement.hrv is None else str(measurement.hrv)),
        *(("note", warning) for warning in measurement.warnings),
    ]
    return [(label, text) for label, text in rows if text]
