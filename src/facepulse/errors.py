"""Errors that facepulse raises for bad input, each with the exit code of the command line; texts and checks of them."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import ClassVar


class FacepulseError(Exception):
    """Base of all errors; its message says in one line what is wrong, what was expected and what to do.

    Attributes:
        exit_code: exit status of `facepulse` if this error ends a measurement.
    """

    exit_code: ClassVar[int] = 1


class UsageError(FacepulseError, ValueError):
    """An argument is invalid: an unknown method, a path that cannot be written. It is a `ValueError`, too."""

    exit_code: ClassVar[int] = 2


class VideoError(FacepulseError):
    """The source cannot be read as video, or has no frames."""

    exit_code: ClassVar[int] = 3


class NoFaceError(FacepulseError):
    """No face was found for long enough to measure."""

    exit_code: ClassVar[int] = 4


class TooShortError(FacepulseError, ValueError):
    """Too short to count beats: a face in view for too short a time, or a waveform or trace of too few samples.

    It is a `ValueError`, too.
    """

    exit_code: ClassVar[int] = 5


def shown(value: object) -> str:
    """Text of an argument in an error message, on one line and cut to 40 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def one_line(error: Exception) -> str:
    """Describe an error of another library in one line: its type and its message."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def require_extra(extra: str, packages: Iterable[str], purpose: str) -> None:
    """Check that packages of an extra are installed.

    Args:
        extra: name of the extra, as in `pip install '.[extra]'`.
        packages: names of the packages, as they are imported.
        purpose: the task that needs them, for the error message.

    Raises:
        UsageError: a package is missing.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(f"{purpose} needs {', '.join(missing)}: pip install '.[{extra}]' in the checkout of facepulse")
