"""Terminal output of the commands, and their exit codes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import facepulse
from facepulse.measurement import printable
from facepulse.pipeline.extract import Progress

EXIT_USAGE = 2
EXIT_UNREADABLE = 3
EXIT_WITHHELD = 6  # there is a face, but the quality is too low for a heart rate
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class ConsoleHandler(logging.Handler):
    """Prints one line per record: problems to standard error, progress to standard output without delay."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; an error of the stream is raised, because the commands handle it."""
        text = printable(record.getMessage())
        if record.levelno >= logging.WARNING:
            print(f"facepulse: {' '.join(text.split())}", file=sys.stderr)
        else:
            print(text, flush=True)


@contextmanager
def log_to_console() -> Iterator[None]:
    """Print what the package logs while the block runs."""
    logger, handler = logging.getLogger(facepulse.__name__), ConsoleHandler()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a package that configures the root logger would print the lines a second time
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextmanager
def problems_only(name: str) -> Iterator[None]:
    """Print no progress of a part of the package, given by the name of its logger, while the block runs."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


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
    # Lines that are printed meanwhile go through the console of the bar only if they are for the same terminal.
    options: dict[str, Any] = {"redirect_stdout": sys.stdout.isatty(), "speed_estimate_period": 600}
    bar = Bar(*columns, console=Console(stderr=True), transient=True, **options)
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
