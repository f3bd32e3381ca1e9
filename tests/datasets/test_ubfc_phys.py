"""UBFC-Phys: three tasks, PPG of a wristband at 64 Hz, video at 35 Hz."""

from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, pulse, read, times_of, write_ubfc_phys
from facepulse.datasets import DatasetError


def test_three_tasks_of_a_subject_are_three_recordings(tmp_path: Path) -> None:
    write_ubfc_phys(tmp_path)
    recordings = find("ubfc-phys", tmp_path)
    assert [recording.name for recording in recordings] == ["s1_T1", "s1_T2", "s1_T3"]
    assert {recording.subject for recording in recordings} == {"s1"}
    tasks = [recording.read_labels().attributes for recording in recordings]
    assert tasks == [{"task": task, "gender": "female", "level": "test"} for task in ("rest", "speech", "arithmetic")]
    frames, labels, _ = read(recordings[1])
    np.testing.assert_allclose(times_of(frames), np.arange(70) / 35, atol=1e-6)
    np.testing.assert_array_equal(labels.ppg.times, np.arange(128) / 64)
    np.testing.assert_allclose(labels.ppg.values, 50 * pulse(labels.ppg.times), atol=0.01)


def test_description_of_a_subject_may_be_missing(tmp_path: Path) -> None:
    folder = write_ubfc_phys(tmp_path, tasks=("T2",))
    (folder / "info_s1.txt").unlink()
    assert find("ubfc-phys", tmp_path)[0].read_labels().attributes == {"task": "speech"}


def test_missing_or_damaged_reference_is_an_error_in_one_line(tmp_path: Path) -> None:
    folder = write_ubfc_phys(tmp_path, tasks=("T1",))
    reference = folder / "bvp_s1_T1.csv"
    reference.write_text("1.5\nabc\n")
    [recording] = find("ubfc-phys", tmp_path)
    with pytest.raises(DatasetError, match=r"bvp_s1_T1\.csv: expected one number per line; could not convert"):
        recording.read_labels()
    reference.unlink()
    with pytest.raises(DatasetError, match=r"bvp_s1_T1\.csv"):
        recording.read_labels()
