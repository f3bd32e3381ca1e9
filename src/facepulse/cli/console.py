"""What every verb says to the terminal, and the codes with which it ends."""

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
EXIT_UNTRUSTED = 6  # there is a face, but no pulse that can be trusted
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def report(line: str) -> None:
    """A line about long work, at once also where output goes into a file."""
    print(printable(line), flush=True)


def say(message: str) -> None:
    """One line about what is wrong, to standard error."""
    print(f"facepulse: {' '.join(printable(message).split())}", file=sys.stderr)


@contextmanager
def progress_bar(label: str, unit: str = "s") -> Iterator[Progress | None]:
    """A bar on the terminal for whatever takes longer than a second; nothing where nobody looks.

    Args:
        label: what is being done.
        unit: of what is counted.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TextColumn

    started = time.monotonic()
    columns = (*Bar.get_default_columns(), TextColumn("{task.completed:.1f} {task.fields[unit]}"))
    # What is counted slowly needs a long memory for the time that is left.
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
