"""Read one large array of a MATLAB file piece by piece, where `scipy.io.loadmat` holds it several times over.

The format is level 5 of "MAT-File Format" (The MathWorks): what MATLAB saves with -v6 and -v7.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from facepulse.datasets.recording import DatasetError
from facepulse.datasets.signals import unreadable

_BLOCK_BYTES = 1 << 20
_PACKED_BYTES = 1 << 16
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}

Read = Callable[[int], bytes]  # that many bytes, or EOFError


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes:
        shape: as in MATLAB.
        blocks: its values in order, flat, the first index running fastest; to be iterated once, inside the context.
    """

    shape: tuple[int, ...]
    blocks: Iterator[NDArray[Any]]


@contextmanager
def stored_array(path: Path, name: str) -> Iterator[StoredArray]:
    """Open an array in a MATLAB file.

    Args:
        path: the file.
        name: of the variable.

    Yields:
        The array, whose values are read as they are asked for.

    Raises:
        DatasetError: the file is missing, damaged, of another format, or holds no such array.
    """
    try:
        with path.open("rb") as file:
            yield _find(file, path, name)
    except (EOFError, ValueError, zlib.error, struct.error) as error:
        raise DatasetError(f"{path}: is damaged or cut short; copy it again") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _find(file: BinaryIO, path: Path, name: str) -> StoredArray:
    header = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:])
    if order is None:
        raise DatasetError(f"{path}: is not a MATLAB file, or damaged; copy it again")
    if struct.unpack(order + "H", header[124:126]) != (0x0100,):
        raise DatasetError(f"{path}: is a MATLAB 7.3 file (HDF5); save it with -v7")
    while tag := file.read(8):
        kind, size = struct.unpack(order + "2I", tag)
        end = file.tell() + size
        read: Read = partial(_read_exactly, file)
        if kind == _COMPRESSED:
            read = _Inflated(file, size).read
            kind, _ = struct.unpack(order + "2I", read(8))
        if kind == _MATRIX and (array := _array(read, order, name)):
            return array
        file.seek(end)
    raise DatasetError(f"{path}: holds no array {name!r}, or is cut short; copy it again")


def _array(read: Read, order: str, name: str) -> StoredArray | None:
    """The array whose description comes next, if it has that name."""
    _element(read, order)  # flags
    shape = tuple(np.frombuffer(_element(read, order), order + "i4").tolist())
    if _element(read, order) != name.encode():
        return None
    kind, size, short = _tag(read, order)
    if kind not in _DTYPES or short or size != prod(shape) * np.dtype(_DTYPES[kind]).itemsize:
        raise EOFError

    def blocks() -> Iterator[NDArray[Any]]:
        for start in range(0, size, _BLOCK_BYTES):
            yield np.frombuffer(read(min(_BLOCK_BYTES, size - start)), order + _DTYPES[kind])
        read(-size % 8)  # padding; at the end of all, zlib compares its checksum

    return StoredArray(shape, blocks())


def _element(read: Read, order: str) -> bytes:
    _, size, short = _tag(read, order)
    values = read(size)
    read((4 - size) if short else -size % 8)  # padding
    return values


def _tag(read: Read, order: str) -> tuple[int, int, bool]:
    """Type and size of the element that comes next; those of four bytes at most have both in one word."""
    (word,) = struct.unpack(order + "I", read(4))
    if word >> 16:
        return word & 0xFFFF, word >> 16, True
    (size,) = struct.unpack(order + "I", read(4))
    return word, size, False


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    values = file.read(size)
    if len(values) < size:
        raise EOFError
    return values


class _Inflated:
    """Compressed bytes of a file, inflated as they are asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self._inflater = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        pieces = []
        while size:
            packed = self._inflater.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_PACKED_BYTES, self._left))
                self._left -= len(packed)
            piece = self._inflater.decompress(packed, size)
            if not (piece or packed):
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
