"""MMPD: labels as strings, videos read with little memory, and one file with contradictory labels."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, images, pulse, read, simulate, times_of, write_mmpd
from facepulse.datasets import DatasetError
from stand_in_recording import StandInRecording

ATTRIBUTES = {
    "light": "LED-low",
    "motion": "Stationary",
    "exercise": False,
    "skin_color": 3,
    "gender": "female",
    "glasser": False,
    "hair_cover": True,
    "makeup": True,
}


def labels_of(root: Path, dataset: str = "mmpd"):
    return find(dataset, root)[0].read_labels()


def test_simulated_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    stand_in = StandInRecording()
    simulate("mmpd", tmp_path, stand_in, index=21)  # compressed, in single precision
    [recording] = find("mmpd", tmp_path)
    frames, labels, _ = read(recording)
    assert (recording.name, recording.subject) == ("subject2/p2_1", "subject2")
    np.testing.assert_array_equal([frame.image for frame in frames], list(stand_in.frames()))
    np.testing.assert_allclose(times_of(frames), np.arange(59) / 30, atol=1e-12)
    np.testing.assert_array_equal(labels.ppg.times, np.arange(59) / 30)
    np.testing.assert_allclose(labels.ppg.values, pulse(stand_in.times), atol=5e-3)
    assert labels.notes == ()
    assert labels.attributes == {
        "light": "LED-low",
        "motion": "Stationary",
        "exercise": False,
        "skin_color": 4,
        "gender": "female",
        "glasser": True,
        "hair_cover": False,
        "makeup": True,
    }


def test_file_written_by_scipy_is_read(tmp_path: Path) -> None:
    write_mmpd(tmp_path)  # not compressed, in double precision
    frames, labels, _ = read(find("mmpd", tmp_path)[0])
    np.testing.assert_array_equal([frame.image for frame in frames], images(40))
    np.testing.assert_allclose(labels.ppg.values, pulse(np.arange(40) / 30))
    assert labels.attributes == ATTRIBUTES
    assert {name: type(value) for name, value in labels.attributes.items()} == {
        "light": str,
        "motion": str,
        "exercise": bool,
        "skin_color": int,
        "gender": str,
        "glasser": bool,
        "hair_cover": bool,
        "makeup": bool,
    }


def test_integer_pixels_are_not_scaled(tmp_path: Path) -> None:
    write_mmpd(tmp_path, video=images(40))
    frames, _, _ = read(find("mmpd", tmp_path)[0])
    np.testing.assert_array_equal([frame.image for frame in frames], images(40))


@pytest.mark.parametrize("exercise", ["True", "False"])
def test_motion_after_exercise_sets_the_exercise_label(tmp_path: Path, exercise: str) -> None:
    write_mmpd(tmp_path, motion="Stationary (after exercise)", exercise=exercise)
    assert labels_of(tmp_path).attributes == ATTRIBUTES | {"exercise": True}


def test_old_name_of_walking_is_read(tmp_path: Path) -> None:
    write_mmpd(tmp_path, motion="Watching Videos")
    labels = labels_of(tmp_path)
    assert labels.attributes == ATTRIBUTES | {"motion": "Walking"}
    assert labels.notes == ("motion: Watching Videos, renamed to Walking as the authors did later",)


def test_contradictory_file_is_corrected_only_by_mmpd_corrected(tmp_path: Path) -> None:
    published = {"skin_color": 4, "gender": "male", "makeup": False}
    written = {"skin_color": np.array([[4]]), "gender": "male", "makeup": "False"}
    write_mmpd(tmp_path, subject=24, **written)
    write_mmpd(tmp_path, subject=24, number=1, **written)
    contradiction = "skin_color, gender and makeup contradict the other files of this subject"
    assert labels_of(tmp_path).attributes == ATTRIBUTES | published
    assert labels_of(tmp_path).notes == (contradiction,)
    corrected, other = find("mmpd-corrected", tmp_path)
    assert corrected.read_labels().attributes == ATTRIBUTES
    assert corrected.read_labels().notes == (contradiction, "skin_color, gender and makeup are corrected")
    assert other.read_labels().attributes == ATTRIBUTES | published, "only the one file is known to be wrong"


def test_consistent_labels_of_that_file_are_kept(tmp_path: Path) -> None:
    write_mmpd(tmp_path, subject=24)
    assert labels_of(tmp_path, "mmpd-corrected").attributes == ATTRIBUTES
    assert labels_of(tmp_path, "mmpd-corrected").notes == ()


def test_reference_of_another_length_gets_the_duration_of_the_video(tmp_path: Path) -> None:
    write_mmpd(tmp_path, GT_ppg=pulse(np.arange(80) / 60)[np.newaxis])
    labels = labels_of(tmp_path)
    np.testing.assert_allclose(labels.ppg.times, np.arange(80) / 60)
    assert labels.notes == ("ppg: 80 samples for 40 frames, assumed to have the same duration",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GT_ppg": None}, "lacks GT_ppg"),
        ({"video": None}, "contains no array 'video'"),
        ({"video": np.zeros((40, 48, 64))}, r"its video is an array of \(40, 48, 64\); expected \(frames"),
        ({"glasser": "perhaps"}, "has a label 'perhaps'; expected True or False"),
        ({"skin_color": "dark"}, "has a label .*dark.*; expected True or False, and skin_color 3 to 6"),
        ({"light": np.array([[1, 2]])}, "its label light has 2 values"),
    ],
)
def test_file_that_is_not_of_mmpd_is_an_error_in_one_line(tmp_path: Path, changes: dict, words: str) -> None:
    write_mmpd(tmp_path, **changes)
    with pytest.raises(DatasetError, match=rf"p1_0\.mat: .*{words}") as error:
        labels_of(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [2.0, -0.5, np.nan])
def test_pixels_out_of_range_are_an_error(tmp_path: Path, value: float) -> None:
    video = images(40) / 255.0
    video[20, 10, 10, 1] = value
    write_mmpd(tmp_path, video=video)
    with pytest.raises(DatasetError, match=r"p1_0\.mat: pixels are .* to .*, expected 0 to 1"):
        find("mmpd", tmp_path)[0].open_frames()


def test_damage_anywhere_in_a_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = simulate("mmpd", tmp_path)
    [recording] = find("mmpd", tmp_path)
    intact = path.read_bytes()
    rng = np.random.default_rng(1)
    cuts = [intact[: int(share * len(intact))] for share in (0.0, 0.001, 0.01, 0.05, 0.5, 0.99)]
    flips = []
    for position in rng.integers(len(intact) // 20, len(intact) - 4, 8):
        flipped = bytearray(intact)
        flipped[position] ^= 0xFF
        flips.append(bytes(flipped))
    for damaged in [*cuts, *flips]:
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"p1_0\.mat: ") as error:
            read(recording)
        assert "\n" not in str(error.value)


def test_reading_takes_little_more_memory_than_the_pixels(tmp_path: Path) -> None:
    stand_in = StandInRecording(seconds=6, width=160, height=120)
    simulate("mmpd", tmp_path, stand_in)
    [recording] = find("mmpd", tmp_path)
    pixels = 179 * 160 * 120 * 3
    tracemalloc.start()
    with recording.open_frames() as video:
        count = sum(1 for _ in video)
    recording.read_labels()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 179
    assert pixels < peak < 1.5 * pixels + 20e6, "as stored in the file, they take four times as much"
