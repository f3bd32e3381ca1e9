"""Blockwise reading of arrays in MATLAB files, written by hand and by SciPy."""

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from facepulse.datasets import DatasetError
from facepulse.datasets.matlab import stored_array


def read(path: Path, name: str = "x") -> np.ndarray:
    with stored_array(path, name) as array:
        return np.concatenate(list(array.blocks)).reshape(array.shape, order="F")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16", "uint16", "int32"])
def test_arrays_of_each_type_are_read_as_written_by_scipy(tmp_path: Path, dtype: str, compressed: bool) -> None:
    values = np.arange(7 * 5 * 3 * 3).reshape(7, 5, 3, 3).astype(dtype)
    others = {"text": "words", "before": np.arange(100.0), "cells": np.array(["a", 1.0], dtype=object), "e": 1}
    savemat(tmp_path / "f.mat", {**others, "x": values, "after": 2.0}, do_compression=compressed)
    np.testing.assert_array_equal(read(tmp_path / "f.mat"), values)


def test_array_of_many_blocks_is_read_completely(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((100, 1000, 4))
    for compressed in (False, True):
        savemat(tmp_path / "f.mat", {"x": values}, do_compression=compressed)
        np.testing.assert_array_equal(read(tmp_path / "f.mat"), values)


def by_hand(order: str, compressed: bool, values: np.ndarray) -> bytes:
    header = b"by hand".ljust(124) + struct.pack(order + "H", 0x0100) + (b"IM" if order == "<" else b"MI")
    data = values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")
    body = struct.pack(order + "4I", 6, 8, 6, 0) + struct.pack(order + "2I2i", 5, 8, *values.shape)
    body += struct.pack(order + "I", 1 << 16 | 1) + b"x\0\0\0"  # a name of up to four letters is stored in one word
    body += struct.pack(order + "2I", 9, len(data)) + data
    element = struct.pack(order + "2I", 14, len(body)) + body
    if compressed:
        compressed_element = zlib.compress(element)
        element = struct.pack(order + "2I", 15, len(compressed_element)) + compressed_element
    return header + element


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders_are_read(tmp_path: Path, order: str, compressed: bool) -> None:
    values = np.linspace(0, 1, 12).reshape(3, 4)
    (tmp_path / "f.mat").write_bytes(by_hand(order, compressed, values))
    np.testing.assert_array_equal(read(tmp_path / "f.mat"), values)


@pytest.mark.parametrize("rows", [3, 100_000])
def test_wrong_checksum_is_an_error(tmp_path: Path, rows: int) -> None:
    content = bytearray(by_hand("<", True, np.linspace(0, 1, 4 * rows).reshape(rows, 4)))
    content[-1] ^= 1
    (tmp_path / "f.mat").write_bytes(content)
    with pytest.raises(DatasetError, match=r"f\.mat: is damaged or truncated"):
        read(tmp_path / "f.mat")


def test_file_of_another_format_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = 1.0
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    with pytest.raises(DatasetError, match=r"is a MATLAB 7\.3 file \(HDF5\); save it with -v7"):
        read(path)
    for content in (b"", b"text", bytes(200)):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="is not a MATLAB file, or damaged"):
            read(path)
    path.unlink()
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file or directory\)"):
        read(path)
