"""Command line interface: one file per command."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from cyclopts import App, CycloptsError

import facepulse
from facepulse.cli.console import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_USAGE, log_to_console
from facepulse.cli.demo import demo
from facepulse.cli.evaluate import evaluate
from facepulse.cli.export import export
from facepulse.cli.live import live
from facepulse.cli.measure import measure
from facepulse.cli.models import models
from facepulse.cli.prepare import prepare
from facepulse.cli.simulate import simulate
from facepulse.cli.study import study
from facepulse.cli.train import train
from facepulse.errors import FacepulseError

logger = logging.getLogger(__name__)

app = App(
    name="facepulse",
    help="Heart rate from a video of a face. Not a medical device.\n\nExample: facepulse measure face.mp4",
    version=facepulse.__version__,
    suppress_keyboard_interrupt=False,  # `main` reports it
)
COMMANDS: tuple[Callable[..., int], ...] = (
    *(measure, live, demo, models),
    *(simulate, prepare, train, evaluate, study, export),
)
for command in COMMANDS:
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its exit code.

    Args:
        arguments: arguments of the command line, those of the process by default.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without λ must not stop a measurement
    # SIGTERM ends a process with the same clean-up as an interruption.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    with log_to_console():
        sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    """Run a command, log its error in one line, and return the exit code."""
    try:
        code: int = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code
    except CycloptsError as error:
        logger.error(f"{error} See facepulse --help")
        return EXIT_USAGE
    except FacepulseError as error:
        logger.error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        logger.error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed it
        _discard_output()
        return 0
    except OSError as error:
        logger.error(f"cannot write the output ({error.strerror}): free some space or write elsewhere")
        _discard_output()
        return EXIT_USAGE


def _discard_output() -> None:
    """Redirect buffered output to the null device, because writing it at exit would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
