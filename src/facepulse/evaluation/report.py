"""One page of an evaluation: its terms, errors, strata, trust and worst recordings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from facepulse.evaluation.html import ESTIMATE, LINE, REFERENCE, figure, page, table, terms
from facepulse.evaluation.metrics import CLOSE_BPM
from facepulse.evaluation.summary import Coverage, ReliabilityBin, Row, Summary, confidence, figures

if TYPE_CHECKING:
    from facepulse.evaluation.result import Evaluation, Trace

WORST = 4  # recordings whose waveforms are shown
SHOWN_S = 20.0  # of a waveform: more than this is a smear


def report(evaluation: Evaluation) -> str:
    """The page as HTML, self-contained."""
    title = f"{evaluation.model} on {evaluation.dataset}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        "<p class='soft'>heart rate from videos of faces, set beside a reference. Not a medical device.</p>",
        _terms(evaluation),
        *_errors(evaluation),
        *_strata(evaluation),
        *_trust(evaluation),
        *_worst(evaluation),
        _failed(evaluation),
        _all_recordings(evaluation.recordings),
        "<footer><p>Figures are ± standard error [95 % interval, by bootstrap over people].</p></footer>",
    ]
    return page(title, sections)


def _terms(evaluation: Evaluation) -> str:
    said = evaluation.terms
    note = said.pop("note", None)
    return (f"<p class='note'>{escape(note)}</p>" if note else "") + terms(said)


def _errors(evaluation: Evaluation) -> list[str]:
    tables = {level: summary for level, summary in evaluation.summaries.items() if summary is not None}
    if not tables:
        return ["<h2>Errors</h2>", "<p>No recording has a reference: there are heart rates, but no errors.</p>"]
    heads = [f"{s.n} {evaluation.level_name(level)} of {s.subjects} people" for level, s in tables.items()]
    columns = [figures(summary) for summary in tables.values()]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    plots = []
    for level, summary in tables.items():
        compared = _compared(evaluation.recordings if level == "recordings" else evaluation.windows)
        name = evaluation.level_name(level)
        plots += [
            figure(partial(_draw_scatter, rows=compared), f"estimated against reference, {name}"),
            figure(
                partial(_draw_differences, rows=compared, summary=summary),
                f"Bland-Altman: bias and limits of agreement (1.96 standard deviations), {name}",
            ),
        ]
    return ["<h2>Errors</h2>", table(["", *heads], rows), f"<div class='pair'>{''.join(plots)}</div>"]


def _strata(evaluation: Evaluation) -> list[str]:
    rows = [
        [
            attribute,
            value,
            str(summaries["windows"].subjects if summaries["windows"] else 0),
            *_in_short(summaries["recordings"]),
            *_in_short(summaries["windows"]),
        ]
        for attribute, values in evaluation.strata.items()
        for value, summaries in values.items()
    ]
    if not rows or not any(evaluation.summaries.values()):
        return []
    both = ["MAE, bpm", "within 5 bpm, %"]
    heads = ["attribute", "value", "people", "recordings", *both, "windows", *both]
    return ["<h2>By attribute</h2>", table(heads, rows)]


def _in_short(summary: Summary | None) -> list[str]:
    if summary is None:
        return ["0", "", ""]
    ends = "" if summary.mae.interval is None else " [{:.2f}, {:.2f}]".format(*summary.mae.interval)
    return [str(summary.n), f"{summary.mae.value:.2f}{ends}", f"{summary.within_5_bpm.value:.1f}"]


def _trust(evaluation: Evaluation) -> list[str]:
    if not evaluation.coverage:
        return []
    by = "quality" if confidence(evaluation.windows) == "quality" else "the SNR of their own, in dB"
    rows = [
        [f"{point.percent} %", str(point.n), f"{point.threshold:.2f}", f"{point.mae:.2f}", f"{point.within_5_bpm:.1f}"]
        for point in evaluation.coverage
    ]
    plots = [figure(partial(_draw_coverage, curve=evaluation.coverage), f"error of the windows kept, by {by}")]
    if evaluation.reliability:
        plots.append(
            figure(
                partial(_draw_reliability, bins=evaluation.reliability),
                "reliability: an honest quality lies on the line; the number of windows beside each point",
            )
        )
    return [
        "<h2>When the least trusted windows are rejected</h2>",
        f"<div class='pair'>{''.join(plots)}</div>",
        table(["kept", "windows", f"from {by}", "MAE, bpm", "within 5 bpm, %"], rows),
    ]


def _worst(evaluation: Evaluation) -> list[str]:
    worst = sorted(_compared(evaluation.recordings), key=lambda row: -abs(row.error or 0.0))[:WORST]
    if not worst:
        return []
    sections = ["<h2>The worst recordings</h2>"]
    for row in worst:
        said = ", ".join(f"{name} {value}" for name, value in row.attributes.items())
        head = f"{row.recording}: {row.bpm:.1f} bpm, reference {row.reference_bpm:.1f} bpm"
        trace = evaluation.traces[row.recording]
        inside = [w for w in evaluation.windows if w.recording == row.recording and w.error is not None]
        start_s = max(inside, key=lambda window: abs(window.error or 0.0)).start_s if inside else row.start_s
        caption = f"filtered waveforms, from its worst window on. Subject {row.subject}{f'; {said}' if said else ''}"
        sections.append(f"<h3>{escape(head)}</h3>")
        sections.append(figure(partial(_draw_waves, trace=trace, start_s=start_s), caption, 9.0, 2.0))
    return sections


def _failed(evaluation: Evaluation) -> str:
    if not evaluation.failed:
        return ""
    rows = [[failure.recording, failure.subject, failure.reason] for failure in evaluation.failed]
    return f"<h2>Recordings that could not be evaluated</h2>{table(['recording', 'subject', 'reason'], rows)}"


def _all_recordings(recordings: Sequence[Row]) -> str:
    heads = [
        "recording",
        "subject",
        "from, s",
        "to, s",
        "reference, bpm",
        "bpm",
        "error, bpm",
        "SNR, dB",
        "MACC",
        "quality",
    ]
    rows = [
        [
            row.recording,
            row.subject,
            *(
                "" if value is None else f"{value:.{digits}f}"
                for value, digits in (
                    (row.start_s, 1),
                    (row.end_s, 1),
                    (row.reference_bpm, 1),
                    (row.bpm, 1),
                    (row.error, 1),
                    (row.snr_db, 1),
                    (row.macc, 2),
                    (row.quality, 2),
                )
            ),
        ]
        for row in recordings
    ]
    return f"<details><summary>All {len(rows)} recordings</summary>{table(heads, rows)}</details>"


def _compared(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.error is not None]


def _pairs(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [row.reference_bpm or 0.0 for row in rows], [row.bpm for row in rows]


def _alpha(rows: Sequence[Row]) -> float:
    """Opacity of dots, so that many of them still show where most are."""
    return float(np.clip(7 / np.sqrt(len(rows)), 0.15, 0.8))


def _draw_scatter(axes: Axes, rows: Sequence[Row]) -> None:
    reference, estimated = _pairs(rows)
    ends = min(*reference, *estimated) - 5, max(*reference, *estimated) + 5
    axes.fill_between(ends, np.subtract(ends, CLOSE_BPM), np.add(ends, CLOSE_BPM), color=LINE, alpha=0.2, lw=0)
    axes.plot(ends, ends, color=LINE, lw=1)
    axes.plot(reference, estimated, "o", color=ESTIMATE, ms=4, mew=0, alpha=_alpha(rows))
    axes.set(xlim=ends, ylim=ends, xlabel="reference, bpm", ylabel="estimate, bpm", aspect="equal")


def _draw_differences(axes: Axes, rows: Sequence[Row], summary: Summary) -> None:
    reference, estimated = map(np.array, _pairs(rows))
    axes.plot((reference + estimated) / 2, estimated - reference, "o", color=ESTIMATE, ms=4, mew=0, alpha=_alpha(rows))
    if limits := summary.agreement:
        for level, style in ((limits.bias, "-"), (limits.low, "--"), (limits.high, "--")):
            axes.axhline(level, color=LINE, lw=1, ls=style)
            at_its_end = axes.get_yaxis_transform()
            axes.text(1.01, level, f"{level:.1f}", transform=at_its_end, ha="left", va="center", fontsize=8)
    axes.set(xlabel="mean of both, bpm", ylabel="estimate minus reference, bpm")


def _draw_coverage(axes: Axes, curve: Sequence[Coverage]) -> None:
    axes.plot([point.percent for point in curve], [point.mae for point in curve], "o-", color=ESTIMATE, ms=4, lw=1)
    axes.set(xlabel="windows kept, %", ylabel="MAE, bpm", xlim=(105, 5))
    axes.set_ylim(bottom=0)


def _draw_reliability(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    axes.plot([0, 1], [0, 1], color=LINE, lw=1)
    axes.plot(
        [entry.quality for entry in bins], [entry.within_5_bpm for entry in bins], "o-", color=ESTIMATE, ms=4, lw=1
    )
    for entry in bins:
        axes.annotate(
            f"{entry.n}", (entry.quality, entry.within_5_bpm), (4, -9), textcoords="offset points", fontsize=8
        )
    axes.set(xlabel="quality", ylabel="share within 5 bpm", xlim=(-0.02, 1.05), ylim=(-0.05, 1.05))


def _draw_waves(axes: Axes, trace: Trace, start_s: float) -> None:
    start_s = max(min(start_s, float(trace.times[-1]) - SHOWN_S), float(trace.times[0]))
    shown = (trace.times >= start_s) & (trace.times <= start_s + SHOWN_S)
    for wave, color, name in ((trace.reference, REFERENCE, "reference"), (trace.estimate, ESTIMATE, "estimate")):
        if wave is not None:
            spread = float(wave[shown].std()) or 1.0
            axes.plot(trace.times[shown], wave[shown] / spread, color=color, lw=1, label=name)
    axes.set(xlabel="seconds", yticks=[], xlim=(start_s, float(trace.times[shown][-1])))
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper right", ncols=2, fontsize=8, bbox_to_anchor=(1, 1.15))
