"""Terminal output of the commands, and their exit codes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facepulse.measurement import printable
from facepulse.pipeline.extract import Progress

EXIT_USAGE = 2
EXIT_UNREADABLE = 3
EXIT_WITHHELD = 6  # there is a face, but the quality is too low for a heart rate
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def report(line: str) -> None:
    """Print one line about long work to standard output, without delay if that is a file."""
    print(printable(line), flush=True)


def print_error(message: str) -> None:
    """Print one line about an error to standard error."""
    print(f"facepulse: {' '.join(printable(message).split())}", file=sys.stderr)


@contextmanager
def progress_bar(label: str, unit: str = "s") -> Iterator[Progress | None]:
    """Show a progress bar for work that takes longer than a second; none if standard error is not a terminal.

    Args:
        label: name of the work.
        unit: unit of the progress.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TextColumn

    started = time.monotonic()
    columns = (*Bar.get_default_columns(), TextColumn("{task.completed:.1f} {task.fields[unit]}"))
    # Slow progress needs a long period for the estimate of the remaining time.
    bar = Bar(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600)
    task: Any = None

    def advance(done: float, total: float | None) -> None:
        nonlocal task
        if task is None and time.monotonic() - started > 1.0:
            task = bar.add_task(label, total=total, unit=unit)
            bar.start()
        if task is not None:
            bar.update(task, completed=done)

    try:
        yield advance
    finally:
        bar.stop()
