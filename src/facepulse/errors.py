"""The errors that facepulse raises for bad input, each with the exit code that the command line ends with."""

from typing import ClassVar


class FacepulseError(Exception):
    """What is wrong with the input, in one line that says what was expected and what to do.

    Attributes:
        exit_code: the status with which `facepulse` exits when this error ends a measurement.
    """

    exit_code: ClassVar[int] = 1


class UsageError(FacepulseError):
    """An argument that cannot be honoured: an unknown method, a path that cannot be written."""

    exit_code: ClassVar[int] = 2


class VideoError(FacepulseError):
    """The source cannot be read as video, or holds no frame."""

    exit_code: ClassVar[int] = 3


class NoFaceError(FacepulseError):
    """No face was found for long enough to measure."""

    exit_code: ClassVar[int] = 4


class TooShortError(FacepulseError):
    """There is a face, but for too short a time to count beats."""

    exit_code: ClassVar[int] = 5
