"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facepulse.errors import UsageError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and rename it to `path` when the block ends well.

    Args:
        path: the file to write; its directory is made if missing.

    Yields:
        The temporary path, with the same ending, so that a library that goes by the ending picks the right format.

    Raises:
        UsageError: the file cannot be written.
    """
    # Without the name itself, which may be as long as the file system allows.
    temporary = path.with_name(f".{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot write {path} ({error.strerror or error}): give a file in a folder that you may write to"
        ) from error
    finally:
        with suppress(OSError):  # it is gone after the rename, and never was where the folder cannot be written
            temporary.unlink()


def check_writable(path: Path) -> None:
    """Make sure before the work, not after it, that `written_whole` will succeed.

    Raises:
        UsageError: the file cannot be written.
    """
    if os.path.isdir(path):  # unlike Path.is_dir, also answers where the folder above may not be entered
        raise UsageError(f"cannot write {path}: it is a folder; give the name of a file")
    probe = path.with_name(f".{os.getpid()}.probe")
    try:
        with written_whole(probe) as temporary:
            temporary.touch()
        probe.unlink()
    except UsageError as error:
        raise UsageError(str(error).replace(str(probe), str(path))) from error


def check_folder(path: Path) -> None:
    """Make sure before the work, not after it, that files can be written into a folder.

    Raises:
        UsageError: they cannot, or the path is that of a file.
    """
    if path.is_file() or path.suffix:
        raise UsageError(f"cannot write into {path}: give the name of a folder, not of a file")
    check_writable(path / "file")
