"""Find recordings below a root by the names of files and folders, and say what was expected where there are none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from facepulse.datasets.recording import DatasetError, Recording, natural_sort_key

Look = Callable[[Path], list[Recording]]  # an empty list where the folder is not a root


def matching(folder: Path, pattern: str) -> list[tuple[Path, re.Match[str]]]:
    """Entries of a folder whose whole name fits a pattern, in natural order of their names.

    Patterns name their first character, so that hidden files are left out: on foreign disks macOS puts a `._` file
    beside each, and killed runs leave others.

    Args:
        folder: empty-handed where it cannot be listed, or is a file.
        pattern: a regular expression.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    fits = [(name, match) for name in names if (match := re.fullmatch(pattern, name))]
    return [(folder / name, match) for name, match in sorted(fits, key=lambda fit: natural_sort_key(fit[0]))]


def recordings_below(root: Path, layout: str, look: Look) -> list[Recording]:
    """All recordings below a root.

    Args:
        root: what the user gave.
        layout: what a root holds, in words.
        look: finds the recordings of a root.

    Raises:
        DatasetError: the folder is missing, cannot be listed, or is not a root; then the message names the folder above
            or below that looks like it.
    """
    check_root(root, layout)
    if found := look(root):
        return found
    below = [folder for folder, _ in matching(root, r"[^.].*") if folder.is_dir()]
    for other in (*root.absolute().parents[:2], *below):
        if _looks_like_root(other, look):
            raise DatasetError(f"{root}: is not the root, but {other} looks like it; give that")
    raise DatasetError(f"{root}: holds no recording of this dataset; expected are {layout}")


def check_root(root: Path, layout: str) -> None:
    """Make sure that a root can be listed.

    Args:
        root: what the user gave.
        layout: what a root holds, in words.

    Raises:
        DatasetError: it cannot.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the one that holds {layout}")
    if not os.access(root, os.R_OK | os.X_OK):
        raise DatasetError(f"{root}: no permission to list it; change its permissions (chmod u+rx)")


def _looks_like_root(folder: Path, look: Look) -> bool:
    try:
        return bool(look(folder))
    except DatasetError:
        return False
