"""Blockwise reading of a large array in a MATLAB file, of which `scipy.io.loadmat` keeps several copies in memory.

The format is level 5 of "MAT-File Format" (The MathWorks), saved by MATLAB with -v6 and -v7.
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
_COMPRESSED_BYTES = 1 << 16
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}

ReadBytes = Callable[[int], bytes]  # returns exactly that many bytes, or raises EOFError


@dataclass(frozen=True)
class StoredArray:
    """Array in a MATLAB file.

    Attributes:
        shape: as in MATLAB.
        blocks: flat blocks of its values in MATLAB's (Fortran) order; can be iterated once, inside the context.
    """

    shape: tuple[int, ...]
    blocks: Iterator[NDArray[Any]]


@contextmanager
def stored_array(path: Path, name: str) -> Iterator[StoredArray]:
    """Open an array in a MATLAB file.

    Args:
        path: the file.
        name: name of the variable.

    Yields:
        The array, whose values are read while its blocks are iterated over.

    Raises:
        DatasetError: the file is missing, damaged, of another format, or contains no such array.
    """
    try:
        with path.open("rb") as file:
            yield _find(file, path, name)
    except (EOFError, ValueError, zlib.error, struct.error) as error:
        raise DatasetError(f"{path}: is damaged or truncated; copy it again") from error
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
        read: ReadBytes = partial(_read_exactly, file)
        if kind == _COMPRESSED:
            read = _CompressedReader(file, size).read
            kind, _ = struct.unpack(order + "2I", read(8))
        if kind == _MATRIX and (array := _array(read, order, name)):
            return array
        file.seek(end)
    raise DatasetError(f"{path}: contains no array {name!r}, or is truncated; copy it again")


def _array(read: ReadBytes, order: str, name: str) -> StoredArray | None:
    """Read the header of the next array; None if it has another name."""
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
        read(-size % 8)  # padding; at its end zlib verifies the checksum

    return StoredArray(shape, blocks())


def _element(read: ReadBytes, order: str) -> bytes:
    _, size, short = _tag(read, order)
    values = read(size)
    read((4 - size) if short else -size % 8)  # padding
    return values


def _tag(read: ReadBytes, order: str) -> tuple[int, int, bool]:
    """Read type and size of the next element, and True if it has up to four bytes: then both share a word."""
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


class _CompressedReader:
    """Reader of the decompressed bytes of an element."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._remaining = file, size
        self._decompressor = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        chunks = []
        while size:
            compressed = self._decompressor.unconsumed_tail
            if not compressed:
                compressed = self._file.read(min(_COMPRESSED_BYTES, self._remaining))
                self._remaining -= len(compressed)
            chunk = self._decompressor.decompress(compressed, size)
            if not (chunk or compressed):
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)
