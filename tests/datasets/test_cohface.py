"""COHFACE: four recordings per subject, a reference at 256 Hz in HDF5."""

from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, pulse, read, times_of, write_cohface
from facepulse.datasets import DatasetError


def test_a_subject_has_four_recordings_in_two_kinds_of_light(tmp_path: Path) -> None:
    for session in range(4):
        write_cohface(tmp_path, 3, session)
    recordings = find("cohface", tmp_path)
    assert [recording.name for recording in recordings] == ["3/0", "3/1", "3/2", "3/3"]
    assert {recording.subject for recording in recordings} == {"3"}
    lights = [recording.read_labels().attributes["light"] for recording in recordings]
    assert lights == ["studio", "studio", "natural", "natural"]
    frames, labels, _ = read(recordings[0])
    np.testing.assert_allclose(times_of(frames), np.arange(40) / 20)
    np.testing.assert_array_equal(labels.ppg.times, np.arange(512) / 256)
    np.testing.assert_allclose(labels.ppg.values, pulse(labels.ppg.times))


def test_missing_or_damaged_reference_is_an_error_in_one_line(tmp_path: Path) -> None:
    folder = write_cohface(tmp_path)
    [recording] = find("cohface", tmp_path)
    (folder / "data.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DatasetError, match=r"data\.hdf5: cannot be read as HDF5"):
        recording.read_labels()
    (folder / "data.hdf5").unlink()
    with pytest.raises(DatasetError, match=r"data\.hdf5: cannot be read as HDF5; check that it exists"):
        find("cohface", tmp_path)[0].read_labels()
