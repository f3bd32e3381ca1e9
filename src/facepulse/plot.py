"""Figure of a measurement: the face, the waveform, its spectrum and the heart rate over time."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from facepulse.measurement import Measurement

PULSE_COLOR, WITHHELD_COLOR = "#b3123b", "#9aa0a6"

# Longer waveforms are unreadable at this width: the panel shows this many seconds around the best window.
WAVEFORM_SHOWN_S = 20.0


def plot_measurement(measurement: Measurement, path: Path) -> None:
    """Draw a measurement into a file whose suffix determines the format (PNG, SVG, PDF, ...)."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic(
        [["face", "waveform"], ["spectrum", "windows"]], width_ratios=[1, 1.7], height_ratios=[1.15, 1]
    )
    name = Path(measurement.to_dict()["source"]).name  # without bytes that no font has
    bpm = "no reliable pulse" if measurement.bpm is None else f"{measurement.bpm:.1f} bpm"
    figure.suptitle(
        f"{name}: {bpm}, quality {measurement.quality:.2f} ({measurement.method})",
        fontsize=14,
    )
    _draw_face(axes["face"], measurement)
    _draw_waveform(axes["waveform"], measurement)
    _draw_spectrum(axes["spectrum"], measurement)
    _draw_windows(axes["windows"], measurement)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # file names may be in any script
        figure.savefig(path, dpi=110)


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
    if measurement.bpm is not None:
        axes.axvline(measurement.bpm, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="beats per minute", ylabel="relative power", xlim=(30, 250), ylim=(0, 1.05))
    axes.set_title("spectrum from which the heart rate was read", fontsize=10)


def _draw_windows(axes: Axes, measurement: Measurement) -> None:
    for window in measurement.windows:
        if window.bpm is not None:
            axes.plot([window.start_s, window.end_s], [window.bpm] * 2, color=PULSE_COLOR, linewidth=2, alpha=0.8)
        else:
            axes.axvspan(window.start_s, window.end_s, color=WITHHELD_COLOR, alpha=0.15, linewidth=0)
    known = [window.bpm for window in measurement.windows if window.bpm is not None]
    low, high = (min(known) - 10, max(known) + 10) if known else (40, 180)
    axes.set(
        xlabel="seconds",
        ylabel="beats per minute",
        xlim=(0, max(measurement.duration_s, 1e-3)),
        ylim=(min(low, 50), max(high, 100)),
    )
    axes.set_title("heart rate in windows (grey: withheld)", fontsize=10)
