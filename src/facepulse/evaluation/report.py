"""Reports of an evaluation: text for the terminal, a self-contained HTML page, and the files of a result folder."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from html import escape
from pathlib import Path
from textwrap import wrap

from facepulse._files import atomic_write
from facepulse.evaluation import plots
from facepulse.evaluation.html import definitions, figure, page, table
from facepulse.evaluation.result import RECORDING_ROWS, Evaluation, Level, write_csv, write_json
from facepulse.evaluation.summary import Row, Summary, confidence, format_summary

WORST = 4  # recordings whose waveforms are shown
FIELDS = (  # of a recording, with the decimals that are printed
    ("from, s", "start_s", 1),
    ("to, s", "end_s", 1),
    ("reference, bpm", "reference_bpm", 1),
    ("bpm", "bpm", 1),
    ("error, bpm", "error", 1),
    ("SNR, dB", "snr_db", 1),
    ("MACC", "macc", 2),
    ("quality", "quality", 2),
)
SHOWN = {True: "shown", False: "withheld", None: ""}
WAYS = {
    True: "from the waveform alone, as in the literature",
    False: "by the estimator of `facepulse measure`, with quality",
}
REFERENCES = {
    "ppg": "the reference PPG by the same protocol over the same samples",
    "bpm": "the mean of the heart rate that the device gave",
    None: "none",
}


def write_report(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write `recordings.csv`, `windows.csv`, `result.json` and `report.html`, each atomically.

    Args:
        evaluation: result to write.
        folder: folder to write to; created if missing.

    Returns:
        The four files.

    Raises:
        UsageError: the folder cannot be written.
    """
    names = ("recordings.csv", "windows.csv", "result.json", "report.html")
    recordings, windows, result, html = paths = [Path(folder) / name for name in names]
    write_csv(evaluation.recordings, recordings)
    write_csv(evaluation.windows, windows)
    write_json(evaluation, result)
    with atomic_write(html) as temporary:
        temporary.write_text(to_html(evaluation), encoding="utf-8", errors="backslashreplace")
    return paths


def to_text(evaluation: Evaluation) -> str:
    """Format an evaluation as the summary that the command line prints."""
    subjects = len({row.subject for row in evaluation.recordings})
    count = f"{len(evaluation.recordings)} recordings of {subjects} subjects"
    lines = [f"{evaluation.model} on {evaluation.dataset}: {count}"]
    entries = conditions(evaluation)
    if evaluation.failed:
        names = " ".join(failure.recording for failure in evaluation.failed)
        entries["failed"] = f"{len(evaluation.failed)} of {len(evaluation.sha256)}: {names}"
    for name, text in entries.items():
        lines += wrap(text, 120, initial_indent=f"  {name:10} ", subsequent_indent=13 * " ", break_long_words=False)
    heads, rows = _error_table(evaluation)
    if not rows:
        lines.append("  no recording has a reference: there are heart rates, but no errors")
        return "\n".join(lines)
    width = max(len(text) for cells in ([*heads], *(row[1:] for row in rows)) for text in cells)
    first = max(len(name) for name, *_ in rows)
    for name, *texts in [["", *heads], *rows]:
        lines.append(f"  {name:{first}} " + "  ".join(f"{text:{width}}" for text in texts).rstrip())
    return "\n".join(lines)


def to_html(evaluation: Evaluation) -> str:
    """Format an evaluation as a self-contained HTML page."""
    title = f"{evaluation.model} on {evaluation.dataset}"
    entries = conditions(evaluation)
    note = entries.pop("note", None)
    sections = [
        f"<h1>{escape(title)}</h1>",
        "<p class='soft'>Heart rate from videos of faces, compared with a reference. Not a medical device.</p>",
        f"<p class='note'>{escape(note)}</p>" if note else "",
        definitions(entries),
        *_error_section(evaluation),
        *_strata_section(evaluation),
        *_quality_section(evaluation),
        *_worst_section(evaluation),
        *_failure_section(evaluation),
        *_recording_section(evaluation),
        "<footer><p>Values are ± standard error [95 % interval, by bootstrap over subjects].</p></footer>",
    ]
    return page(title, sections)


def conditions(evaluation: Evaluation) -> dict[str, str]:
    """Return the conditions under which the values hold, name to one line of text."""
    settings = evaluation.settings
    entries = {
        "input": evaluation.description,
        "protocol": evaluation.protocol,
        "heart rate": WAYS[evaluation.waveform_only],
        "data": f"{evaluation.dataset}, crops of {settings.size} px at margin {settings.margin:g} "
        f"and {settings.fps:g} fps, boxes by {settings.detector}, "
        f"clocks {'aligned' if settings.align else 'as they are'}",
    }
    if not evaluation.waveform_only:
        entries["shown"] = f"heart rates of a quality of {evaluation.min_quality:g} or more; others are withheld"
    if evaluation.simulated:
        entries["note"] = "simulated recordings: they show that methods work, not how accurate they are on people"
    if (chosen := evaluation.selection) is not None:
        filters = "; ".join(f"{key}={','.join(values)}" for key, values in chosen.where.items())
        entries["split"] = f"{chosen.split}, {chosen.subset}{f', where {filters}' if filters else ''}"
    entries["recordings"] = " ".join(evaluation.sha256)
    entries["rows"] = RECORDING_ROWS[evaluation.waveform_only]
    kinds = [row.reference for row in evaluation.recordings]
    counted = [(kinds.count(kind), text) for kind, text in REFERENCES.items() if kind in kinds]
    several = "; ".join(f"{count} recordings: {text}" for count, text in counted)
    entries["reference"] = counted[0][1] if len(counted) == 1 else several
    return entries


def _level_name(evaluation: Evaluation, level: Level) -> str:
    return level if level == "recordings" else f"windows of {evaluation.window_s:g} s"


def _error_table(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of the table of errors; no rows without a reference."""
    known = {level: summary for level, summary in evaluation.summaries.items() if summary is not None}
    heads = [f"{s.n} {_level_name(evaluation, level)} of {s.subjects} subjects" for level, s in known.items()]
    columns = [format_summary(summary) for summary in known.values()]
    return heads, [[name, *(column[name] for column in columns)] for name in (columns[0] if columns else ())]


def _error_section(evaluation: Evaluation) -> list[str]:
    heads, rows = _error_table(evaluation)
    if not rows:
        return ["<h2>Errors</h2>", "<p>No recording has a reference: there are heart rates, but no errors.</p>"]
    drawn = []
    for level, summary in evaluation.summaries.items():
        if summary is None:
            continue
        compared = _compared(evaluation.recordings if level == "recordings" else evaluation.windows)
        name = _level_name(evaluation, level)
        drawn += [
            figure(partial(plots.draw_scatter, rows=compared), f"estimated against reference, {name}"),
            figure(
                partial(plots.draw_differences, rows=compared, summary=summary),
                f"Bland-Altman: bias and limits of agreement (1.96 standard deviations), {name}",
            ),
        ]
    return ["<h2>Errors</h2>", table(["", *heads], rows), f"<div class='pair'>{''.join(drawn)}</div>"]


def _strata_section(evaluation: Evaluation) -> list[str]:
    rows = [
        [
            attribute,
            value,
            str(summaries["windows"].subjects if summaries["windows"] else 0),
            *_short_cells(summaries["recordings"]),
            *_short_cells(summaries["windows"]),
        ]
        for attribute, values in evaluation.strata.items()
        for value, summaries in values.items()
    ]
    if not rows or not any(evaluation.summaries.values()):
        return []
    both = ["MAE, bpm", "within 5 bpm, %"]
    heads = ["attribute", "value", "subjects", "recordings", *both, "windows", *both]
    return ["<h2>By attribute</h2>", table(heads, rows)]


def _short_cells(summary: Summary | None) -> list[str]:
    if summary is None:
        return ["0", "", ""]
    ends = "" if summary.mae.interval is None else " [{:.2f}, {:.2f}]".format(*summary.mae.interval)
    return [str(summary.n), f"{summary.mae.value:.2f}{ends}", f"{summary.within_5_bpm.value:.1f}"]


def _quality_section(evaluation: Evaluation) -> list[str]:
    if not evaluation.coverage:
        return []
    by = "quality" if confidence(evaluation.windows) == "quality" else "SNR at the estimated heart rate, dB"
    rows = [
        [f"{point.percent} %", str(point.n), f"{point.threshold:.2f}", f"{point.mae:.2f}", f"{point.within_5_bpm:.1f}"]
        for point in evaluation.coverage
    ]
    drawn = [figure(partial(plots.draw_coverage, curve=evaluation.coverage), f"error of the windows kept, by {by}")]
    if evaluation.reliability:
        drawn.append(
            figure(
                partial(plots.draw_reliability, bins=evaluation.reliability),
                "reliability: a calibrated quality lies on the line; the number of windows is at each point",
            )
        )
    return [
        f"<h2>Errors of the windows of the highest {'quality' if by == 'quality' else 'SNR'}</h2>",
        f"<div class='pair'>{''.join(drawn)}</div>",
        table(["kept", "windows", f"lowest {by}", "MAE, bpm", "within 5 bpm, %"], rows),
    ]


def _worst_section(evaluation: Evaluation) -> list[str]:
    worst = sorted(_compared(evaluation.recordings), key=lambda row: -abs(row.error or 0.0))[:WORST]
    sections = ["<h2>Recordings with the largest errors</h2>"] if worst else []
    for row in worst:
        attributes = ", ".join(f"{name} {value}" for name, value in row.attributes.items())
        head = f"{row.recording}: {row.bpm:.1f} bpm, reference {row.reference_bpm:.1f} bpm"
        inside = [w for w in evaluation.windows if w.recording == row.recording and w.error is not None]
        start_s = max(inside, key=lambda window: abs(window.error or 0.0)).start_s if inside else row.start_s
        draw = partial(plots.draw_waveforms, trace=evaluation.traces[row.recording], start_s=start_s)
        caption = "filtered waveforms, from the window with the largest error. "
        caption += f"Subject {row.subject}{f'; {attributes}' if attributes else ''}"
        sections += [f"<h3>{escape(head)}</h3>", figure(draw, caption, 9.0, 2.0)]
    return sections


def _failure_section(evaluation: Evaluation) -> list[str]:
    if not evaluation.failed:
        return []
    rows = [[failure.recording, failure.subject, failure.reason] for failure in evaluation.failed]
    return ["<h2>Recordings that could not be evaluated</h2>", table(["recording", "subject", "reason"], rows)]


def _recording_section(evaluation: Evaluation) -> list[str]:
    rows = []
    for row in evaluation.recordings:
        values = [(getattr(row, field), digits) for _, field, digits in FIELDS]
        numbers = ["" if value is None else f"{value:.{digits}f}" for value, digits in values]
        rows.append([row.recording, row.subject, *numbers, SHOWN[row.shown], row.method])
    heads = ["recording", "subject", *(head for head, _, _ in FIELDS), "", "by"]
    return [f"<details><summary>All {len(rows)} recordings</summary>", table(heads, rows), "</details>"]


def _compared(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.error is not None]
