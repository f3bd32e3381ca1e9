"""Search for recordings below a root folder by the names of files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from facepulse.datasets.recording import DatasetError, Recording, natural_sort_key

FindRecordings = Callable[[Path], list[Recording]]  # returns an empty list if the folder is not a root


def matching(folder: Path, pattern: str) -> list[tuple[Path, re.Match[str]]]:
    """List the entries of a folder whose whole name matches a pattern, in natural order of their names.

    Patterns state the first character, so that hidden files do not match: on foreign disks macOS puts a `._` file
    beside each file, and killed runs leave others.

    Args:
        folder: the folder; the list is empty if it cannot be listed or is a file.
        pattern: a regular expression.

    Returns:
        Paths, each with the match of its name.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    names.sort(key=natural_sort_key)
    return [(folder / name, match) for name in names if (match := re.fullmatch(pattern, name))]


def recordings_below(root: Path, layout: str, find_recordings: FindRecordings) -> list[Recording]:
    """Find all recordings below a root.

    Args:
        root: folder given by the user.
        layout: description of the contents of a root, for messages.
        find_recordings: finds the recordings of a root.

    Raises:
        DatasetError: the folder is missing, cannot be listed, or is not a root. If a folder above or below it is one,
            the message names that folder.
    """
    check_root(root, layout)
    if recordings := find_recordings(root):
        return recordings
    below = [folder for folder, _ in matching(root, r"[^.].*") if folder.is_dir()]
    for other in (*root.absolute().parents[:2], *below):
        if _is_root(other, find_recordings):
            raise DatasetError(f"{root}: is not the root of this dataset, but {other} is; give that folder")
    raise DatasetError(f"{root}: contains no recording of this dataset; expected {layout}")


def check_root(root: Path, layout: str) -> None:
    """Check that a root can be listed.

    Args:
        root: folder given by the user.
        layout: description of the contents of a root, for messages.

    Raises:
        DatasetError: the folder is missing or cannot be listed.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the one that contains {layout}")
    if not os.access(root, os.R_OK | os.X_OK):
        raise DatasetError(f"{root}: no permission to list it; change its permissions (chmod u+rx)")


def _is_root(folder: Path, find_recordings: FindRecordings) -> bool:
    try:
        return bool(find_recordings(folder))
    except DatasetError:
        return False
