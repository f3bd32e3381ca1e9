"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from facepulse.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows, which does not let anybody remove a file that another process has open
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
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
    """Make sure before the work, not after it, that `atomic_write` will succeed.

    Raises:
        UsageError: the file cannot be written.
    """
    if os.path.isdir(path):  # unlike Path.is_dir, also answers where the folder above may not be entered
        raise UsageError(f"cannot write {path}: it is a folder; give the name of a file")
    probe = path.with_name(f".{os.getpid()}.probe")
    try:
        with atomic_write(probe) as temporary:
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


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if missing, so that no other run writes into it at the same time.

    Raises:
        UsageError: another run holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder} ({error.strerror}): give a folder that you may write to"
        ) from error
    if handle is None:
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system, however this run ends
        except BlockingIOError:
            raise UsageError(f"another run is writing into {folder}: wait for it, or give another folder") from None
        except OSError:
            pass  # a network's file system that has no locks
        yield
    finally:
        os.close(handle)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what it stems from, says that a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


@contextmanager
def atomic_path(target: Path, within: Path | None = None) -> Iterator[Path]:
    """Give a path of the same name in a temporary folder, and move it to `target` when the block ends without an error.

    Args:
        target: file or folder to write; an earlier one is replaced.
        within: folder, on the same file system, that holds the temporary folder; the parent of `target` if None.

    Yields:
        The temporary path. Nothing is there yet.
    """
    temporary = _partial_folder(within or target.parent)
    temporary.mkdir(parents=True)
    try:
        yield temporary / target.name
        if target.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        (temporary / target.name).replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove the temporary files and folders that killed runs have left in a folder."""
    for leftover in folder.glob(".*.partial*"):
        if not leftover.is_dir():
            leftover.unlink(missing_ok=True)
            continue
        # Renamed first: a worker that outlives its parent must not move into place what is being removed.
        removed = _partial_folder(folder)
        with suppress(FileNotFoundError):
            leftover.rename(removed)
            shutil.rmtree(removed, ignore_errors=True)


def _partial_folder(parent: Path) -> Path:
    # The number of the process alone is not unique: processes of one cluster may share a file system.
    return parent / f".{os.getpid()}.{uuid4().hex}.partial"
