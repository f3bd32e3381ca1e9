"""HTML of a measurement for notebooks: a table, and its figure."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from facepulse.measurement import Measurement, printable, rate_text


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
