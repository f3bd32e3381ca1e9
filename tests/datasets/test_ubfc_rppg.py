"""UBFC-rPPG: the third line says when frames were taken, and has to agree with them."""

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


def test_a_clock_that_does_not_start_at_zero_starts_with_the_first_frame(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    numbers = lines(tmp_path)
    rewrite(tmp_path, numbers + np.array([[0], [0], [5]]))
    frames, labels, _ = read(find("ubfc-rppg", tmp_path)[0])
    np.testing.assert_allclose(times_of(frames), numbers[2], atol=2e-6)
    np.testing.assert_allclose(labels.ppg.times, numbers[2], atol=2e-6)


def test_counts_that_disagree_leave_the_video_its_own_clock(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    numbers = lines(tmp_path)
    rewrite(tmp_path, numbers[:, :-2])
    frames, labels, _ = read(find("ubfc-rppg", tmp_path)[0])
    assert len(frames) == 59
    assert np.ptp(np.diff(times_of(frames))) < 1e-6, "evenly spaced"
    assert labels.notes == ("57 times for 59 frames: the video keeps its own clock, of a constant rate",)
    np.testing.assert_allclose(labels.ppg.times, numbers[2, :-2], atol=1e-6)


def test_times_that_repeat_or_step_back_are_left_out_of_both(tmp_path: Path) -> None:
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


def test_a_device_that_lost_the_pulse_gave_no_heart_rate(tmp_path: Path) -> None:
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


def test_a_video_that_was_cut_short_keeps_the_times_of_the_frames_it_has(tmp_path: Path) -> None:
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
        ("", "is empty; expected are three lines"),
        ("1 2 3\n4 5 6\n", "holds 2 lines of numbers; expected are three lines"),
        ("1 2 3\n4 5 6\n7 8\n", "expected are three lines"),
        ("1 2 x\n4 5 6\n7 8 9\n", "expected are three lines"),
    ],
)
def test_a_damaged_reference_is_an_error_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    simulate("ubfc-rppg", tmp_path)
    (tmp_path / "subject1" / "ground_truth.txt").write_text(content)
    [recording] = find("ubfc-rppg", tmp_path)
    for read_part in (recording.open_frames, recording.read_labels):
        with pytest.raises(DatasetError, match=rf"ground_truth\.txt: .*{words}") as error:
            read_part()
        assert "\n" not in str(error.value)


def test_a_video_or_reference_that_is_missing_is_an_error(tmp_path: Path) -> None:
    simulate("ubfc-rppg", tmp_path)
    video = tmp_path / "subject1" / "vid.avi"
    video.unlink()
    [recording] = find("ubfc-rppg", tmp_path)
    with pytest.raises(FacepulseError, match=r"vid\.avi: no such file"):
        recording.open_frames()


def test_the_first_set_is_read_on_the_videos_clock(tmp_path: Path) -> None:
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
    assert not [note for note in labels.notes if "one file" in note]
    assert (
        "the videos of 7-gt and 12-gt are reported to be one file, with two references"
        in recordings[1].read_labels().notes
    )
    assert [recording.name for recording in find("ubfc-rppg", tmp_path / "DATASET_1")] == [
        "5-gt",
        "12-gt",
        "after-exercise",
    ]
