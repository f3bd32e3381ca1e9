"""PURE: times in nanoseconds, two locations of the reference, packages in the order of arrival."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, read, rewrite_json, simulate, times_of
from facepulse.datasets import DatasetError
from stand_in_recording import StandInRecording


def test_frames_times_and_reference_are_those_written(tmp_path: Path) -> None:
    stand_in = StandInRecording()
    simulate("pure", tmp_path, stand_in)
    [recording] = find("pure", tmp_path)
    frames, labels, _ = read(recording)
    assert (recording.name, recording.subject) == ("01-01", "01")
    np.testing.assert_array_equal([frame.image for frame in frames], list(stand_in.frames()))
    np.testing.assert_allclose(times_of(frames), stand_in.times, atol=1e-8)
    assert labels.attributes == {"motion": "Stationary"}
    assert labels.notes == ()
    # A sine of seven bits, whose packages arrive up to a millisecond late.
    true = np.sin(2 * np.pi * 1.2 * labels.ppg.times)
    assert np.corrcoef(labels.ppg.values, true)[0, 1] > 0.999
    assert set(labels.ppg.values) <= set(range(128))
    np.testing.assert_allclose(labels.bpm.values, 72 + labels.bpm.times, atol=0.51)
    assert 0 < labels.ppg.times[0] < 0.04, "the PPG starts after the camera"


def test_reference_may_lie_beside_the_images(tmp_path: Path) -> None:
    simulate("pure", tmp_path)
    inside = read(find("pure", tmp_path)[0])[1]
    folder = tmp_path / "01-01"
    shutil.move(folder / "01-01.json", tmp_path / "01-01.json")
    for image in (folder / "01-01").iterdir():
        shutil.move(image, folder / image.name)
    (folder / "01-01").rmdir()
    frames, beside, _ = read(find("pure", tmp_path)[0])
    assert len(frames) == 59
    np.testing.assert_array_equal(beside.ppg.times, inside.ppg.times)


def test_missing_recording_06_02_is_no_error(tmp_path: Path) -> None:
    for index in (29, 30, 31):
        simulate("pure", tmp_path, index=index)
    recordings = find("pure", tmp_path)
    assert [recording.name for recording in recordings] == ["05-06", "06-01", "06-03"]
    assert [recording.subject for recording in recordings] == ["05", "06", "06"]
    assert [recording.read_labels().attributes["motion"] for recording in recordings] == [
        "medium rotation",
        "Stationary",
        "slow translation",
    ]


def test_packages_are_sorted_and_the_first_of_equal_times_is_kept(tmp_path: Path) -> None:
    simulate("pure", tmp_path)
    before = find("pure", tmp_path)[0].read_labels()

    def disturb(content: dict) -> None:
        packages = content["/FullPackage"]
        packages[20], packages[21] = packages[21], packages[20]
        packages.insert(41, {"Timestamp": packages[40]["Timestamp"], "Value": {"waveform": 0, "pulseRate": 30}})
        packages[60]["Value"]["pulseRate"] = 0

    rewrite_json(tmp_path / "01-01" / "01-01.json", disturb)
    after = find("pure", tmp_path)[0].read_labels()
    np.testing.assert_array_equal(after.ppg.times, before.ppg.times)
    np.testing.assert_array_equal(after.ppg.values, before.ppg.values)
    assert len(after.bpm.times) == len(before.bpm.times) - 1
    assert after.notes == (
        "packages of the PPG out of order, sorted: 1",
        "ppg: samples not later than the one before, left out: 1",
        "bpm: samples at which the device found no pulse, left out: 1",
        "bpm: samples not later than the one before, left out: 1",
    )


def test_times_start_with_the_first_readable_image(tmp_path: Path) -> None:
    stand_in = StandInRecording()
    simulate("pure", tmp_path, stand_in)
    before = find("pure", tmp_path)[0].read_labels()
    first = min((tmp_path / "01-01" / "01-01").iterdir())
    first.write_bytes(first.read_bytes()[:40])
    frames, labels, warnings = read(find("pure", tmp_path)[0])
    assert warnings == ["damaged: images that could not be read, skipped: 1"]
    np.testing.assert_allclose(times_of(frames), stand_in.times[1:] - stand_in.times[1], atol=1e-8)
    np.testing.assert_allclose(labels.ppg.times, before.ppg.times - stand_in.times[1], atol=1e-8)


@pytest.mark.parametrize(
    "content", [b"", b'{"/FullPackage": [{"Time', b'{"/Image": []}', b'{"/FullPackage": [1]}', b"\xff"]
)
def test_damaged_reference_is_an_error_in_one_line(tmp_path: Path, content: bytes) -> None:
    simulate("pure", tmp_path)
    (tmp_path / "01-01" / "01-01.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"01-01\.json: is damaged, or not of PURE; expected JSON") as error:
        find("pure", tmp_path)[0].read_labels()
    assert "\n" not in str(error.value)


def test_recording_without_reference_is_found_and_its_labels_are_an_error(tmp_path: Path) -> None:
    simulate("pure", tmp_path)
    (tmp_path / "01-01" / "01-01.json").unlink()
    [recording] = find("pure", tmp_path)
    with pytest.raises(DatasetError, match=r"01-01\.json: cannot be read \(No such file or directory\)"):
        recording.read_labels()
