"""Self-contained HTML pages of tables and SVG figures, in light and dark, that load nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Readable on white and on black. INK is a placeholder that the page replaces by its own text colour.
ESTIMATE, REFERENCE, LINE, INK = "#d1365b", "#3f8fd2", "#8b929c", "#010203"

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text as text, not as paths
    "svg.hashsalt": "facepulse",  # the same figure gives the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}

CSS = """
:root { color-scheme: light dark; --ink: #1c1f24; --paper: #fff; --soft: #5d6570; --line: #d9dde2; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #15181c; --soft: #9aa3ad; --line: #343a42; --warn: #3d3213; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem }
p.note { background: var(--warn); padding: .5rem .8rem; border-radius: .3rem }
p.soft, figcaption, footer { color: var(--soft); font-size: .88rem }
dl { display: grid; grid-template-columns: 6rem 1fr; gap: .1rem .8rem; font-size: .88rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere; max-height: 9rem; overflow-y: auto }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem }
th, td { text-align: left; padding: .22rem .9rem .22rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
th { font-weight: 600 }
.pair { display: grid; gap: 1rem; margin-top: 1rem;
        grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)) }
figure { margin: .6rem 0 } svg { width: 100%; height: auto }
details { margin-top: 1rem }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """Build a page.

    Args:
        title: title of the page, plain text.
        sections: HTML of the body, in order; empty ones are skipped.

    Returns:
        HTML.
    """
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def definitions(entries: Mapping[str, str]) -> str:
    """Format names and their texts, both plain, as a definition list."""
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<dl>{listed}</dl>"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Format a table as HTML.

    Args:
        heads: plain text of the head of each column.
        rows: plain text of each cell, row by row.
    """
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>\n" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def figure(draw: Callable[[Axes], None], caption: str, width: float = 4.6, height: float = 3.6) -> str:
    """Draw a figure as SVG in the page's text colour, with its caption, as HTML.

    Args:
        draw: function that draws into the axes passed to it.
        caption: plain text.
        width: width of the drawing in inches of 72 points; the page scales it to the available width.
        height: height of the drawing in inches.
    """
    with rc_context(STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(drawing)
        draw(drawing.add_subplot())
        text = StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        drawing.savefig(text, format="svg", transparent=True, metadata=no_metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # ids of groups, equal in every figure and referenced by nothing
    return f"<figure role='img' aria-label='{escape(caption)}'>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
