"""MCD-rPPG: a table of files, frames with timestamps, and three ways of timing the reference."""

from pathlib import Path

import numpy as np
import pytest

from dataset_writers import MCD_COLUMNS, find, mcd_frame_times, pulse, read, times_of, write_mcd_rppg
from facepulse.datasets import DatasetError
from facepulse.errors import FacepulseError

NAME = "1020_FullHDwebcam_before"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_mcd_rppg(tmp_path / "root")


def recording(root: Path):
    [found] = [each for each in find("mcd-rppg", root) if each.name == NAME]
    return found


def test_each_row_of_the_table_is_a_recording(root: Path) -> None:
    recordings = find("mcd-rppg", root)
    assert [each.name for each in recordings] == [
        f"1020_{camera}_{step}" for camera in ("FullHDwebcam", "USBVideo") for step in ("after", "before")
    ]
    assert {each.subject for each in recordings} == {"1020"}
    assert recordings[0].read_labels().attributes == {
        "weight": 55.5,
        "age": 23,
        "sex": "F",
        "pulse": 83,
        "stress": 4,
        "step": "after",
        "exercise": True,
        "camera": "FullHDwebcam",
        "view": "front",
    }
    assert recordings[3].read_labels().attributes["exercise"] is False


def test_frames_and_reference_get_the_times_of_meta(root: Path) -> None:
    frames, labels, warnings = read(recording(root))
    times = mcd_frame_times(2.0)
    np.testing.assert_allclose(times_of(frames), times, atol=1e-6)
    np.testing.assert_allclose(labels.ppg.times, times, atol=1e-6)
    # The nearest sample is 5 ms off at most, in which a pulse of 72 bpm changes by 0.04 of its amplitude.
    np.testing.assert_allclose((labels.ppg.values - 1000) / 100, pulse(times), atol=0.045)
    assert labels.notes == ()
    assert warnings == []


def test_time_of_a_whole_second_without_a_fraction_is_read(root: Path) -> None:
    meta = root / f"meta/{NAME}.txt"
    lines = meta.read_text().splitlines()
    lines[0] = "1  2023-11-13 14:10:58"
    lines[1] = "2  2023-11-13 14:10:58.710000"
    meta.write_text("\n".join(lines))
    frames, _, _ = read(recording(root))
    assert frames[1].time == pytest.approx(0.71)


def test_truncated_video_keeps_the_times_of_its_frames(root: Path) -> None:
    video = root / f"video/{NAME}.avi"
    content = video.read_bytes()
    start = content.index(b"movi")
    video.write_bytes(content[: start + (len(content) - start) // 2])
    frames, labels, _ = read(recording(root))
    assert 10 < len(frames) < 50
    np.testing.assert_allclose(times_of(frames), mcd_frame_times(2.0)[: len(frames)], atol=1e-6)
    assert len(labels.ppg.times) == 59


def test_frames_are_evenly_spaced_without_meta(root: Path) -> None:
    (root / f"meta/{NAME}.txt").unlink()
    frames, labels, _ = read(recording(root))
    np.testing.assert_allclose(times_of(frames), np.arange(59) / 29.9, atol=1e-9)
    np.testing.assert_allclose(labels.ppg.times, np.arange(59) / 29.9, atol=1e-9)
    assert labels.notes == ("meta is missing: frames are assumed to be evenly spaced",)


def test_ppg_has_its_own_times_without_ppg_sync(root: Path) -> None:
    (root / f"ppg_sync/{NAME}.txt").unlink()
    _, labels, _ = read(recording(root))
    np.testing.assert_allclose(labels.ppg.times, np.arange(-0.5, 2.5, 0.01), atol=1e-6)
    np.testing.assert_allclose((labels.ppg.values - 1000) / 100, pulse(labels.ppg.times), atol=0.006)
    assert labels.notes == ("ppg_sync is missing: the PPG is read with its own times",)


def test_ppg_begins_with_the_video_without_meta_and_ppg_sync(root: Path) -> None:
    (root / f"ppg_sync/{NAME}.txt").unlink()
    (root / f"meta/{NAME}.txt").unlink()
    _, labels, _ = read(recording(root))
    np.testing.assert_allclose(labels.ppg.times, np.arange(300) / 100)
    assert labels.notes == ("meta and ppg_sync are missing: the PPG is assumed to begin with the video, at 100 Hz",)


def test_more_samples_than_frames_are_noted(root: Path) -> None:
    with (root / f"ppg_sync/{NAME}.txt").open("a") as file:
        file.write("1000 0.001\n1000 0.002\n")
    labels = recording(root).read_labels()
    assert len(labels.ppg.times) == 59
    assert labels.notes == ("ppg: samples beyond the last frame, left out: 2",)


def test_missing_files_are_errors_when_they_are_opened(root: Path) -> None:
    for folder in ("video", "ppg_sync"):
        (root / folder / f"{NAME}.{'avi' if folder == 'video' else 'txt'}").unlink()
    (root / "ppg/1020_before.PW").unlink()
    with pytest.raises(FacepulseError, match=rf"{NAME}\.avi: no such file"):
        recording(root).open_frames()
    with pytest.raises(DatasetError, match=rf"{NAME}\.txt: is missing; a recording needs its ppg_sync, or its ppg"):
        recording(root).read_labels()


def test_git_lfs_pointer_is_an_error(root: Path) -> None:
    (root / f"video/{NAME}.avi").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DatasetError, match=rf"{NAME}\.avi: is a Git LFS pointer to the video.*git lfs pull"):
        recording(root).open_frames()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("meta", "1  yesterday\n", "line 1 is not a number and a time"),
        ("meta", "", "is empty"),
        ("ppg_sync", "high 0.1\n", "expected lines that begin with a number"),
        ("ppg_sync", "1000 0.1\n", "needs at least two samples"),
    ],
)
def test_damaged_text_file_is_an_error_in_one_line(root: Path, file: str, content: str, words: str) -> None:
    (root / file / f"{NAME}.txt").write_text(content)
    with pytest.raises(DatasetError, match=rf"{NAME}\.txt: .*{words}") as error:
        recording(root).read_labels()
    assert "\n" not in str(error.value)


def test_malformed_table_is_an_error_in_one_line(root: Path) -> None:
    (root / "db.csv").write_text(",".join(MCD_COLUMNS[1:]) + "\n" + ",".join("x" * 14) + "\n")
    with pytest.raises(DatasetError, match=r"db\.csv: lacks patient_id; is it the table of MCD-rPPG\?"):
        find("mcd-rppg", root)
    (root / "db.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match=r"db\.csv: is not a CSV file"):
        find("mcd-rppg", root)
