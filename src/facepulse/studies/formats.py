"""Tables of text as Markdown and CSV, and their files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from facepulse._files import atomic_write


def markdown_table(cells: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines of a Markdown table of rows, each of which maps a heading to the text below it."""
    lines = [f"| {' | '.join(cells[0])} |", f"|{' --- |' * len(cells[0])}"]
    return lines + [f"| {' | '.join(row.values())} |" for row in cells]


def csv_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows, each of which maps a column to its value, as CSV."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_files(folder: Path, name: str, texts: Mapping[str, str]) -> list[Path]:
    """Write one file per text, atomically.

    Args:
        folder: folder of the files; made if missing.
        name: stem of the files.
        texts: contents by suffix without its dot.

    Returns:
        Paths in the order of the texts.

    Raises:
        UsageError: a file cannot be written.
    """
    paths = [folder / f"{name}.{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    return paths
