"""The command line: one function a verb."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from cyclopts import App, CycloptsError

import facepulse
from facepulse.cli import bench, run_time
from facepulse.cli.console import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_USAGE, say
from facepulse.errors import FacepulseError

app = App(
    name="facepulse",
    help="Heart rate from a video of a face. Not a medical device.\n\nExample: facepulse measure face.mp4",
    version=facepulse.__version__,
    suppress_keyboard_interrupt=False,  # `main` has something to say about it
)
VERBS: tuple[Callable[..., int], ...] = (
    *(run_time.measure, run_time.live, run_time.demo, run_time.models),
    *(bench.simulate, bench.prepare, bench.train, bench.evaluate, bench.study, bench.export),
)
for verb in VERBS:
    app.command(verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: by default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without λ still gets its measurement
    # Ended politely, a process cleans up after itself just as when interrupted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        say(f"{error} See facepulse --help")
        code = EXIT_USAGE
    except FacepulseError as error:
        say(str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read the output has had enough
        _forget_output()
        code = 0
    except OSError as error:
        say(f"cannot write the output ({error.strerror}): free some space or write elsewhere")
        _forget_output()
        code = EXIT_USAGE
    sys.exit(code)


def _forget_output() -> None:
    """Let what is still buffered go nowhere, instead of failing once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
