"""Plots of a run: loss and validation error over time, and waveforms with their references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facepulse._files import atomic_write
from facepulse.evaluation.html import ESTIMATE, LINE, REFERENCE
from facepulse.evaluation.result import Trace

SHOWN = 4  # recordings
SHOWN_S = 12.0  # seconds of each


def losses(metrics: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot the loss of every step, and the validation error after every epoch.

    Args:
        metrics: lines of `metrics.jsonl`.
        path: PNG file to write.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    steps = [line for line in metrics if "loss" in line]
    epochs = [line for line in metrics if line.get("validation_mae_bpm") is not None]
    axes.plot([s["step"] for s in steps], [s["loss"] for s in steps], color=LINE, lw=0.7, label="loss per step")
    means = [line for line in metrics if "epoch_loss" in line]
    axes.plot([m["step"] for m in means], [m["epoch_loss"] for m in means], color="#1c1f24", label="mean per epoch")
    axes.set(xlabel="step", ylabel="loss")
    handles = axes.get_legend_handles_labels()[0]
    if epochs:
        error = axes.twinx()
        at, mae = [line["step"] for line in epochs], [line["validation_mae_bpm"] for line in epochs]
        handles += error.plot(at, mae, "o-", color=ESTIMATE, ms=3, label="validation MAE, bpm")
        error.set(ylabel="bpm")
        error.set_ylim(bottom=0)
    axes.legend(handles=handles, frameon=False)
    _save(figure, path)


def waveforms(traces: Mapping[str, Trace], path: Path) -> None:
    """Plot the first seconds of the first recordings.

    Args:
        traces: recording to waveforms.
        path: PNG file to write.
    """
    shown = list(traces.items())[:SHOWN]
    if not shown:
        return
    figure = Figure(figsize=(8, 1.5 * len(shown) + 0.4), layout="constrained")
    for axes, (name, trace) in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        inside = trace.times < trace.times[0] + SHOWN_S
        for waveform, color, label in (
            (trace.reference, REFERENCE, "reference"),
            (trace.estimate, ESTIMATE, "estimate"),
        ):
            if waveform is not None:
                scaled = waveform[inside] / (waveform[inside].std() or 1)
                axes.plot(trace.times[inside], scaled, color=color, lw=1, label=label)
        axes.set(title=name, yticks=[])
    figure.axes[0].legend(frameon=False, loc="upper right", ncols=2)
    figure.axes[-1].set_xlabel("seconds")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)
