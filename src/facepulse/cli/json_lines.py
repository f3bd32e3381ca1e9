"""A file of JSON lines that is complete at every moment."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from facepulse._files import atomic_write
from facepulse.errors import UsageError


class JsonLines:
    """Writer of lines in the order of numbers, whatever the order in which they come.

    The lines of a number are appended in one piece, and lines that come late are inserted by replacing the file, so
    that a reader, or a process that is killed, never sees or leaves a part of a line. An earlier file is replaced when
    the first lines are written.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: dict[int, bytes] = {}

    def write(self, number: int, lines: list[str]) -> None:
        """Write the lines of a number.

        Raises:
            UsageError: the file cannot be written; it keeps the lines so far.
        """
        text = "".join(f"{line}\n" for line in lines).encode()
        is_last = bool(self._texts) and number > max(self._texts)
        self._texts[number] = text
        if is_last:
            self._append(text)
            return
        with atomic_write(self._path) as temporary:
            temporary.write_bytes(b"".join(text for _, text in sorted(self._texts.items())))

    def _append(self, text: bytes) -> None:
        """Append a text; if the disk is full, remove the part of it that was written."""
        try:
            with self._path.open("ab", buffering=0) as file:
                length = file.seek(0, os.SEEK_END)
                try:
                    if file.write(text) != len(text):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(length)
                    raise
        except OSError as error:
            raise UsageError(
                f"cannot write {self._path} ({error.strerror}): free some space or write elsewhere"
            ) from error
