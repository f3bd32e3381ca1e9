"""Atomic writes, checks that a path can be written, and locks on folders."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from facepulse.errors import UsageError, require_extra

LOCK_FILE = ".lock"  # hidden, so that a folder that holds nothing else still counts as empty


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block ends without an error.

    Args:
        path: the file to write; its folder is created if it is missing.

    Yields:
        The temporary path, with the same suffix, because some libraries choose the format by the suffix.

    Raises:
        UsageError: the file cannot be written.
    """
    # The name of the file is left out: it may be as long as the file system allows.
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
        with suppress(OSError):  # it does not exist after the rename, or if the folder cannot be written
            temporary.unlink()


def check_writable(path: Path) -> None:
    """Check that `atomic_write` can write a file, before long work rather than after it.

    Raises:
        UsageError: the file cannot be written.
    """
    if os.path.isdir(path):  # unlike Path.is_dir, returns False if the folder above may not be entered
        raise UsageError(f"cannot write {path}: it is a folder; give the name of a file")
    probe = path.with_name(f".{os.getpid()}.probe")
    try:
        with atomic_write(probe) as temporary:
            temporary.touch()
        probe.unlink()
    except UsageError as error:
        raise UsageError(str(error).replace(str(probe), str(path))) from error


def check_folder(path: Path) -> None:
    """Check that files can be written into a folder, before long work rather than after it.

    Raises:
        UsageError: they cannot be written, or the path is that of a file.
    """
    if path.is_file() or path.suffix:
        raise UsageError(f"cannot write into {path}: give the name of a folder, not of a file")
    check_writable(path / "file")


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder against other runs, so that only one at a time writes into it.

    The operating system releases the lock when the process ends, in whatever way it ends. On a file system without
    locks, such as some network file systems, the folder is not locked.

    Args:
        folder: created if it is missing.

    Raises:
        UsageError: another run has locked the folder, the folder cannot be written, or filelock is not installed.
    """
    require_extra("bench", ["filelock"], "locking a folder")
    from filelock import lock_descriptor

    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder} ({error.strerror}): give a folder that you may write to"
        ) from error
    try:
        try:
            locked = lock_descriptor(descriptor, blocking=False)
        except OSError:
            locked = True  # the file system has no locks
        if not locked:
            raise UsageError(f"another run is writing into {folder}: wait for it, or give another folder")
        yield
    finally:
        os.close(descriptor)  # releases the lock; the file stays, because removing it would race with the next run


def is_disk_full(error: BaseException | None) -> bool:
    """True if an error, or one of its causes, was raised because a disk or a quota is full."""
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
