"""SCAMPS: HDF5 files with adjacent frames, in three subsets."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from dataset_writers import find, images, pulse, read, times_of, write_scamps
from facepulse.datasets import DatasetError


def test_frames_and_reference_are_those_written(tmp_path: Path) -> None:
    for subset, number in (("Test", 7), ("Train", 1), ("Val", 4)):
        write_scamps(tmp_path, subset, number)
    recordings = find("scamps", tmp_path)
    assert [recording.name for recording in recordings] == ["P000001", "P000004", "P000007"]
    assert [recording.subject for recording in recordings] == ["P000001", "P000004", "P000007"]
    assert [recording.read_labels().attributes["subset"] for recording in recordings] == ["train", "val", "test"]
    frames, labels, _ = read(recordings[0])
    np.testing.assert_array_equal([frame.image for frame in frames], images(60))
    np.testing.assert_allclose(times_of(frames), np.arange(60) / 30)
    np.testing.assert_array_equal(labels.ppg.times, np.arange(60) / 30)
    np.testing.assert_allclose(labels.ppg.values, pulse(labels.ppg.times))


def test_files_in_the_root_have_no_subset(tmp_path: Path) -> None:
    write_scamps(tmp_path, ".")
    [recording] = find("scamps", tmp_path)
    assert recording.read_labels().attributes == {}


def test_file_that_is_not_of_scamps_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = write_scamps(tmp_path)
    [recording] = find("scamps", tmp_path)
    with h5py.File(path, "r+") as file:
        del file["Xsub"]
        file["Xsub"] = np.zeros((60, 48, 64, 3))
    with pytest.raises(DatasetError, match=r"Xsub is an array of \(60, 48, 64, 3\); expected \(3, width"):
        recording.open_frames()
    with h5py.File(path, "r+") as file:
        del file["Xsub"]
    with pytest.raises(DatasetError, match=r"P000001\.mat: contains no 'Xsub', but d_br, d_ppg"):
        recording.open_frames()
    for content in (path.read_bytes()[:2000], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"P000001\.mat: cannot be read as HDF5") as error:
            read(recording)
        assert "\n" not in str(error.value)
