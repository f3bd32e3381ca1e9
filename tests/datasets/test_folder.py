"""Arbitrary videos: with or without a reference beside each, subjects by folders or by a table."""

from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset_writers import find, pulse, read, times_of, write_folder
from facepulse.datasets import DatasetError
from facepulse.errors import FacepulseError
from small_videos import gradient, write


def test_video_is_read_with_the_reference_beside_it(tmp_path: Path) -> None:
    write_folder(tmp_path)
    [recording] = find("folder", tmp_path)
    frames, labels, _ = read(recording)
    assert (recording.name, recording.subject) == ("face", "face")
    assert recording.files == (tmp_path / "face.mp4", tmp_path / "face.csv")
    np.testing.assert_allclose(times_of(frames), np.arange(60) / 30, atol=1e-3)
    np.testing.assert_allclose(labels.ppg.values, pulse(labels.ppg.times), atol=1e-4)
    np.testing.assert_array_equal(labels.bpm.times, [0, 1])
    assert labels.attributes == {}


def test_reference_is_optional(tmp_path: Path) -> None:
    write_folder(tmp_path).with_suffix(".csv").unlink()
    [recording] = find("folder", tmp_path)
    assert recording.files == (tmp_path / "face.mp4",)
    labels = recording.read_labels()
    assert labels.ppg is None
    assert labels.bpm is None


def test_subjects_are_folders_or_else_videos(tmp_path: Path) -> None:
    for name in ("ann/rest", "ann/run", "bob/rest", "alone"):
        write_folder(tmp_path, name, 0.2)
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "old.mp4").touch()
    subjects = {recording.name: recording.subject for recording in find("folder", tmp_path)}
    assert subjects == {"alone": "alone", "ann/rest": "ann", "ann/run": "ann", "bob/rest": "bob"}


def test_table_may_name_directories_of_images(tmp_path: Path) -> None:
    start = datetime(2026, 11, 29, 23, 59, 59, 300_123)
    for folder in ("clock", "counts"):
        (tmp_path / folder).mkdir()
    for index in range(60):
        time = start + timedelta(seconds=index / 30)
        cv2.imwrite(str(tmp_path / "clock" / time.strftime("%Y%m%d_%H%M%S_%f.png")), gradient())
        cv2.imwrite(str(tmp_path / "counts" / f"{20 * index:04d}.png"), gradient())
    (tmp_path / "recordings.csv").write_text("video,subject\nclock,Ann\ncounts,Bob\n")
    clock, counts = find("folder", tmp_path)
    np.testing.assert_allclose(times_of(read(clock)[0]), np.arange(60) / 30, atol=2e-6)
    with pytest.raises(FacepulseError, match=r"are not times; name each by its time, as .*frame rate \(fps\)"):
        counts.open_frames()


def test_table_gives_subjects_and_attributes(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_folder(tmp_path, name, 0.2)
    (tmp_path / "recordings.csv").write_text(
        "video,subject,light,exercise,skin_color,lux\na.mp4,Ann,lamp,true,3,80.5\nb.mp4,,window,False,,\nd.mp4,Dan,,,,\n"
    )
    recordings = find("folder", tmp_path)
    assert [(each.name, each.subject) for each in recordings] == [("a", "Ann"), ("b", "b"), ("c", "c"), ("d", "Dan")]
    attributes = [each.read_labels().attributes for each in recordings]
    assert attributes[:3] == [
        {"light": "lamp", "exercise": True, "skin_color": 3, "lux": 80.5},
        {"light": "window", "exercise": False},
        {},
    ]
    with pytest.raises(FacepulseError, match=r"d\.mp4: no such file"):
        recordings[3].open_frames()


def test_videos_that_differ_in_their_suffix_keep_it_in_their_names(tmp_path: Path) -> None:
    path = write_folder(tmp_path, seconds=0.2)
    (tmp_path / "face.MOV").write_bytes(path.read_bytes())
    assert [recording.name for recording in find("folder", tmp_path)] == ["face.MOV", "face.mp4"]


@pytest.mark.parametrize("content", [b"file,subject\na.mp4,Ann\n", b"", b"\xff\xfe"])
def test_malformed_table_is_an_error_in_one_line(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path, seconds=0.2)
    (tmp_path / "recordings.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"recordings\.csv: .*; expected .*video, subject") as error:
        find("folder", tmp_path)
    assert "\n" not in str(error.value)


def test_rate_stated_in_the_table_replaces_the_timestamps(tmp_path: Path) -> None:
    images = [gradient()] * 10
    write(tmp_path / "raw.h264", images, np.arange(10) / 30)
    write(tmp_path / "timed.mp4", images, np.arange(10) / 30)
    (tmp_path / "recordings.csv").write_text("video,stated_fps\nraw.h264,12.5\ntimed.mp4,\n")
    raw, timed = find("folder", tmp_path)
    np.testing.assert_allclose(times_of(list(raw.open_frames())), np.arange(10) / 12.5)
    np.testing.assert_allclose(times_of(list(timed.open_frames())), np.arange(10) / 30, atol=1e-3)
    assert raw.read_labels().attributes == {}
    (tmp_path / "recordings.csv").write_text("video,stated_fps\nraw.h264,fast\n")
    with pytest.raises(DatasetError, match=r"stated_fps of raw\.h264 is 'fast'; expected a frame rate such as 30"):
        find("folder", tmp_path)
