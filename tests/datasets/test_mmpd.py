"""MMPD: strings for labels, a video that would fill the memory, and one file that contradicts the others."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, pictures, pulse, read, simulate, times_of, write_mmpd
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


def test_a_simulated_file_is_read_as_it_was_drawn(tmp_path: Path) -> None:
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


def test_a_file_by_another_writer_is_read_too(tmp_path: Path) -> None:
    write_mmpd(tmp_path)  # not compressed, in double precision
    frames, labels, _ = read(find("mmpd", tmp_path)[0])
    np.testing.assert_array_equal([frame.image for frame in frames], pictures(40))
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


def test_whole_numbers_are_pixels_as_they_are(tmp_path: Path) -> None:
    write_mmpd(tmp_path, video=pictures(40))
    frames, _, _ = read(find("mmpd", tmp_path)[0])
    np.testing.assert_array_equal([frame.image for frame in frames], pictures(40))


@pytest.mark.parametrize("exercise", ["True", "False"])
def test_after_exercise_is_not_a_motion(tmp_path: Path, exercise: str) -> None:
    write_mmpd(tmp_path, motion="Stationary (after exercise)", exercise=exercise)
    assert labels_of(tmp_path).attributes == ATTRIBUTES | {"exercise": True}


def test_the_old_name_of_walking_is_understood(tmp_path: Path) -> None:
    write_mmpd(tmp_path, motion="Watching Videos")
    labels = labels_of(tmp_path)
    assert labels.attributes == ATTRIBUTES | {"motion": "Walking"}
    assert labels.notes == ("motion: Watching Videos, which the authors have since called Walking",)


def test_the_contradictory_file_is_corrected_on_request_only(tmp_path: Path) -> None:
    published = {"skin_color": 4, "gender": "male", "makeup": False}
    written = {"skin_color": np.array([[4]]), "gender": "male", "makeup": "False"}
    write_mmpd(tmp_path, subject=24, **written)
    write_mmpd(tmp_path, subject=24, number=1, **written)
    contradiction = "labelled as another person than in the other files of this one: skin_color, gender, makeup"
    assert labels_of(tmp_path).attributes == ATTRIBUTES | published
    assert labels_of(tmp_path).notes == (contradiction,)
    corrected, other = find("mmpd-corrected", tmp_path)
    assert corrected.read_labels().attributes == ATTRIBUTES
    assert corrected.read_labels().notes == (contradiction, "these three are corrected")
    assert other.read_labels().attributes == ATTRIBUTES | published, "only the one file is known to be wrong"


def test_a_release_in_which_it_is_right_is_left_alone(tmp_path: Path) -> None:
    write_mmpd(tmp_path, subject=24)
    assert labels_of(tmp_path, "mmpd-corrected").attributes == ATTRIBUTES
    assert labels_of(tmp_path, "mmpd-corrected").notes == ()


def test_a_reference_of_another_length_spans_the_same_time(tmp_path: Path) -> None:
    write_mmpd(tmp_path, GT_ppg=pulse(np.arange(80) / 60)[np.newaxis])
    labels = labels_of(tmp_path)
    np.testing.assert_allclose(labels.ppg.times, np.arange(80) / 60)
    assert labels.notes == ("ppg: 80 samples for 40 frames, taken to span the same time",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GT_ppg": None}, "lacks GT_ppg"),
        ({"video": None}, "holds no array 'video'"),
        ({"video": np.zeros((40, 48, 64))}, r"its video is an array of \(40, 48, 64\); expected is \(frames"),
        ({"glasser": "perhaps"}, "has a label 'perhaps'; expected are True or False"),
        ({"skin_color": "dark"}, "has a label .*dark.*; expected are True or False, skin_color 3 to 6"),
        ({"light": np.array([[1, 2]])}, "its label light holds 2 values"),
    ],
)
def test_a_file_that_is_not_of_mmpd_is_an_error_in_one_line(tmp_path: Path, changes: dict, words: str) -> None:
    write_mmpd(tmp_path, **changes)
    with pytest.raises(DatasetError, match=rf"p1_0\.mat: .*{words}") as error:
        labels_of(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [2.0, -0.5, np.nan])
def test_pixels_beyond_black_and_white_are_an_error(tmp_path: Path, value: float) -> None:
    video = pictures(40) / 255.0
    video[20, 10, 10, 1] = value
    write_mmpd(tmp_path, video=video)
    with pytest.raises(DatasetError, match=r"p1_0\.mat: pixels from .* to .*, expected are 0 to 1"):
        find("mmpd", tmp_path)[0].open_frames()


def test_a_damaged_file_is_an_error_in_one_line_wherever_the_damage_is(tmp_path: Path) -> None:
    path = simulate("mmpd", tmp_path)
    [recording] = find("mmpd", tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    cuts = [whole[: int(share * len(whole))] for share in (0.0, 0.001, 0.01, 0.05, 0.5, 0.99)]
    flips = []
    for place in rng.integers(len(whole) // 20, len(whole) - 4, 8):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        flips.append(bytes(flipped))
    for damaged in [*cuts, *flips]:
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"p1_0\.mat: ") as error:
            read(recording)
        assert "\n" not in str(error.value)


def test_a_file_takes_the_memory_of_its_pixels_and_little_more(tmp_path: Path) -> None:
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
    assert pixels < peak < 1.5 * pixels + 20e6, "as the file stores them, they take four times as much"
