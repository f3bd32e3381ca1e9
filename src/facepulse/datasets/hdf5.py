"""Arrays in HDF5 files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facepulse.datasets.recording import DatasetError
from facepulse.errors import require_extra


@contextmanager
def hdf5_array(path: Path, key: str) -> Iterator[Any]:
    """Open an array in an HDF5 file; only the slices that are accessed are read.

    Args:
        path: the file.
        key: name of the array.

    Yields:
        An `h5py.Dataset`.

    Raises:
        DatasetError: the file is missing, damaged, or contains no such array.
        UsageError: h5py is not installed.
    """
    require_extra("bench", ["h5py"], f"reading {path.name}")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            array = file.get(key)
            if not isinstance(array, h5py.Dataset):
                raise DatasetError(
                    f"{path}: contains no {key!r}, but {', '.join(file) or 'nothing'}; is it another file?"
                )
            yield array
    except OSError as error:  # also if a block of the array is damaged
        raise DatasetError(f"{path}: cannot be read as HDF5; check that it exists and is complete") from error
