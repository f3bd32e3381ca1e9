"""UBFC-rPPG: times of the frames in the third line of the reference, if their number matches."""

from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, pulse, read, simulate, times_of, write_ubfc_first_set
from facepulse.datasets import DatasetError
from facepulse.errors import FacepulseError
from stand_in_recording import StandInRecording


def lines(root: Path) -> np.ndarray:
    return np.loadtxt(root / "subject1" / "ground_truth.txt")


def rewrite(root: Path, numbers: np.ndarray) -> None:
    np.savetxt(root / "subject1" / "ground_truth.txt", numbers, "%16.7e", delimiter="")


def test_frames_get_the_uneven_times_of_the_third_line(tmp_path: Path) -> None:
    stand_in = StandInRecording()
    simulate("ubfc-rppg", tmp_path, stand_in)
    [recording] = find("ubfc-rppg", tmp_path)
    frames, labels, _ = read(recording)
    assert (recording.name, recording.subject) == ("subject1", "subject1")
    assert np.ptp(np.diff(stand_in.times)) > 0.03, "unevenly spaced"
    np.testing.assert_array_equal([frame.image for frame in frames], list(stand_in.frames()))
    np.testing.assert_allclose(times_of(frames), stand_in.times, atol=1e-6)
    np.testing.assert_allclose(labels.ppg.times, stand_in.times, atol=1e-6)
    np.testing.assert_allclose(labels.ppg.values, pulse(stand_in.times), atol=5e-3)
    np.testing.assert_allclose(labels.bpm.values, 72 + stand_in.times, atol=1e-3)
    assert labels.attributes == {"collection": "DATASET_2"}
    assert labels.notes == ()


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    numbers = lines(tmp_path)
    rewrite(tmp_path, numbers + np.array([[0], [0], [5]]))
    frames, labels, _ = read(find("ubfc-rppg", tmp_path)[0])
    np.testing.assert_allclose(times_of(frames), numbers[2], atol=2e-6)
    np.testing.assert_allclose(labels.ppg.times, numbers[2], atol=2e-6)


def test_frames_are_evenly_spaced_if_their_number_does_not_match(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    numbers = lines(tmp_path)
    rewrite(tmp_path, numbers[:, :-2])
    frames, labels, _ = read(find("ubfc-rppg", tmp_path)[0])
    assert len(frames) == 59
    assert np.ptp(np.diff(times_of(frames))) < 1e-6, "evenly spaced"
    assert labels.notes == ("57 times for 59 frames: frames are assumed to be evenly spaced",)
    np.testing.assert_allclose(labels.ppg.times, numbers[2, :-2], atol=1e-6)


def test_repeated_or_decreasing_times_are_left_out_of_frames_and_reference(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    numbers = lines(tmp_path)
    numbers[2, 20] = numbers[2, 19]
    numbers[2, 30] = numbers[2, 28]
    rewrite(tmp_path, numbers)
    frames, labels, warnings = read(find("ubfc-rppg", tmp_path)[0])
    kept = np.delete(numbers[2], [20, 30])
    np.testing.assert_allclose(times_of(frames), kept, atol=1e-6)
    np.testing.assert_allclose(labels.ppg.times, kept, atol=1e-6)
    assert warnings == ["timestamps: frames not later than the one before, dropped: 2"]
    assert "ppg: samples not later than the one before, left out: 2" in labels.notes


def test_implausible_heart_rates_are_left_out(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    numbers = lines(tmp_path)
    numbers[1, 10:15] = [0, 1, 1, 0, 255 + 100]
    rewrite(tmp_path, numbers)
    labels = find("ubfc-rppg", tmp_path)[0].read_labels()
    assert len(labels.bpm.times) == len(labels.ppg.times) - 5
    assert labels.notes == ("bpm: samples at which the device found no pulse, left out: 5",)
    numbers[1] = 0
    rewrite(tmp_path, numbers)
    assert find("ubfc-rppg", tmp_path)[0].read_labels().bpm is None


def test_truncated_video_keeps_the_times_of_its_frames(tmp_path: Path) -> None:
    stand_in = StandInRecording()
    simulate("ubfc-rppg", tmp_path, stand_in)
    video = tmp_path / "subject1" / "vid.avi"
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    frames, labels, warnings = read(find("ubfc-rppg", tmp_path)[0])
    assert 25 < len(frames) < 32
    assert any(warning.startswith("truncated") for warning in warnings)
    np.testing.assert_allclose(times_of(frames), stand_in.times[: len(frames)], atol=1e-6)
    assert labels.notes == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; expected three lines"),
        ("1 2 3\n4 5 6\n", "contains 2 lines of numbers; expected three lines"),
        ("1 2 3\n4 5 6\n7 8\n", "expected three lines"),
        ("1 2 x\n4 5 6\n7 8 9\n", "expected three lines"),
    ],
)
def test_damaged_reference_is_an_error_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    simulate("ubfc-rppg", tmp_path)
    (tmp_path / "subject1" / "ground_truth.txt").write_text(content)
    [recording] = find("ubfc-rppg", tmp_path)
    for open_or_read in (recording.open_frames, recording.read_labels):
        with pytest.raises(DatasetError, match=rf"ground_truth\.txt: .*{words}") as error:
            open_or_read()
        assert "\n" not in str(error.value)


def test_missing_video_is_an_error(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    video = tmp_path / "subject1" / "vid.avi"
    video.unlink()
    [recording] = find("ubfc-rppg", tmp_path)
    with pytest.raises(FacepulseError, match=r"vid\.avi: no such file"):
        recording.open_frames()


def test_dataset_1_has_the_times_of_the_video(tmp_path: Path) -> None:
    for name in ("12-gt", "5-gt", "after-exercise"):
        write_ubfc_first_set(tmp_path / "DATASET_1", name)
    simulate("ubfc-rppg", tmp_path / "DATASET_2")
    recordings = find("ubfc-rppg", tmp_path)
    assert [recording.name for recording in recordings] == ["5-gt", "12-gt", "after-exercise", "subject1"]
    frames, labels, _ = read(recordings[0])
    np.testing.assert_allclose(times_of(frames), np.arange(57) / 28.67, atol=1e-3)
    np.testing.assert_allclose(labels.ppg.times[:4], [0.016, 0.032, 0.049, 0.064])
    np.testing.assert_allclose(labels.ppg.values, pulse(labels.ppg.times), atol=1e-5)
    np.testing.assert_allclose(labels.bpm.values, 72)
    assert labels.attributes == {"collection": "DATASET_1"}
    assert not [note for note in labels.notes if "same file" in note]
    assert (
        "the videos of 7-gt and 12-gt are reported to be the same file, with two references"
        in recordings[1].read_labels().notes
    )
    assert [recording.name for recording in find("ubfc-rppg", tmp_path / "DATASET_1")] == [
        "5-gt",
        "12-gt",
        "after-exercise",
    ]
