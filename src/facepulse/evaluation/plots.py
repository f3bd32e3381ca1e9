"""Plots of an evaluation, drawn into axes of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from facepulse.evaluation.html import ESTIMATE, LINE, REFERENCE
from facepulse.evaluation.metrics import CLOSE_BPM
from facepulse.evaluation.result import Trace
from facepulse.evaluation.summary import Coverage, ReliabilityBin, Row, Summary

SHOWN_S = 20.0  # of a waveform: beats of longer ones cannot be distinguished


def draw_scatter(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw estimated against reference heart rates, with a band of 5 bpm around equality."""
    reference, estimated = _pairs(rows)
    ends = min(*reference, *estimated) - 5, max(*reference, *estimated) + 5
    axes.fill_between(ends, np.subtract(ends, CLOSE_BPM), np.add(ends, CLOSE_BPM), color=LINE, alpha=0.2, lw=0)
    axes.plot(ends, ends, color=LINE, lw=1)
    axes.plot(reference, estimated, "o", color=ESTIMATE, ms=4, mew=0, alpha=_alpha(rows))
    axes.set(xlim=ends, ylim=ends, xlabel="reference, bpm", ylabel="estimate, bpm", aspect="equal")


def draw_differences(axes: Axes, rows: Sequence[Row], summary: Summary) -> None:
    """Draw a Bland-Altman plot: differences against means, with bias and limits of agreement."""
    reference, estimated = map(np.array, _pairs(rows))
    axes.plot((reference + estimated) / 2, estimated - reference, "o", color=ESTIMATE, ms=4, mew=0, alpha=_alpha(rows))
    if limits := summary.agreement:
        for level, style in ((limits.bias, "-"), (limits.low, "--"), (limits.high, "--")):
            axes.axhline(level, color=LINE, lw=1, ls=style)
            right_edge = axes.get_yaxis_transform()
            axes.text(1.01, level, f"{level:.1f}", transform=right_edge, ha="left", va="center", fontsize=8)
    axes.set(xlabel="mean of both, bpm", ylabel="estimate minus reference, bpm")


def draw_coverage(axes: Axes, curve: Sequence[Coverage]) -> None:
    """Draw the mean absolute error against the percentage of windows kept."""
    axes.plot([point.percent for point in curve], [point.mae for point in curve], "o-", color=ESTIMATE, ms=4, lw=1)
    axes.set(xlabel="windows kept, %", ylabel="MAE, bpm", xlim=(105, 5))
    axes.set_ylim(bottom=0)


def draw_reliability(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    """Draw the fraction of windows within 5 bpm against their quality, with the number of windows at each point."""
    axes.plot([0, 1], [0, 1], color=LINE, lw=1)
    points = [(entry.quality, entry.within_5_bpm) for entry in bins]
    axes.plot(*zip(*points, strict=True), "o-", color=ESTIMATE, ms=4, lw=1)
    for entry, point in zip(bins, points, strict=True):
        axes.annotate(f"{entry.n}", point, (4, -9), textcoords="offset points", fontsize=8)
    axes.set(xlabel="quality", ylabel="fraction within 5 bpm", xlim=(-0.02, 1.05), ylim=(-0.05, 1.05))


def draw_waveforms(axes: Axes, trace: Trace, start_s: float) -> None:
    """Draw estimated and reference waveform, each scaled to unit variance, for 20 s from `start_s`."""
    start_s = max(min(start_s, float(trace.times[-1]) - SHOWN_S), float(trace.times[0]))
    shown = (trace.times >= start_s) & (trace.times <= start_s + SHOWN_S)
    series = ((trace.reference, REFERENCE, "reference"), (trace.estimate, ESTIMATE, "estimate"))
    for waveform, color, name in series:
        if waveform is not None:
            spread = float(waveform[shown].std()) or 1.0
            axes.plot(trace.times[shown], waveform[shown] / spread, color=color, lw=1, label=name)
    axes.set(xlabel="seconds", yticks=[], xlim=(start_s, float(trace.times[shown][-1])))
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper right", ncols=2, fontsize=8, bbox_to_anchor=(1, 1.15))


def _pairs(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [row.reference_bpm or 0.0 for row in rows], [row.bpm for row in rows]


def _alpha(rows: Sequence[Row]) -> float:
    """Return an opacity at which the density of many dots remains visible."""
    return float(np.clip(7 / np.sqrt(len(rows)), 0.15, 0.8))
