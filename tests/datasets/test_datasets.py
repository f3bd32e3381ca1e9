"""Common behaviour of all datasets: search for recordings, pickling, and errors for a wrong root."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import ROOTS, find, read, times_of
from facepulse.datasets import DATASETS, DatasetError

each_dataset = pytest.mark.parametrize("dataset", ROOTS)
each_dataset_with_a_layout = pytest.mark.parametrize("dataset", [name for name in ROOTS if name != "folder"])


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    found = {}
    for dataset, write in ROOTS.items():
        found[dataset] = tmp_path_factory.mktemp("above") / "root"
        write(found[dataset])
    return found


def test_every_dataset_is_tested() -> None:
    assert set(ROOTS) == set(DATASETS)


@each_dataset
def test_recordings_have_unique_names_in_natural_order(dataset: str, roots) -> None:
    recordings = find(dataset, roots[dataset])
    names = [recording.name for recording in recordings]
    assert len(set(names)) == len(names) >= 2
    numbers = [int("".join(filter(str.isdigit, recording.subject))) for recording in recordings]
    assert numbers == sorted(numbers), "2 before 10"
    for recording in recordings:
        assert recording.dataset == dataset
        assert recording.files
        assert all(path.exists() for path in recording.files)


@each_dataset
def test_recordings_can_be_sent_to_another_process(dataset: str, roots) -> None:
    recording = pickle.loads(pickle.dumps(find(dataset, roots[dataset])[0]))
    frames, labels, warnings = read(recording)
    assert not warnings
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous
    assert labels.ppg is not None


@each_dataset
def test_the_reference_covers_the_frames(dataset: str, roots) -> None:
    frames, labels, _ = read(find(dataset, roots[dataset])[-1])
    times = times_of(frames)
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert np.mean(np.isfinite(labels.ppg.at(times))) > 0.95


@each_dataset
def test_hidden_files_of_macos_are_not_recordings(dataset: str, roots) -> None:
    before = [recording.name for recording in find(dataset, roots[dataset])]
    for path in [path for path in roots[dataset].rglob("*") if not path.name.startswith(".")]:
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert [recording.name for recording in find(dataset, roots[dataset])] == before
    assert len(read(find(dataset, roots[dataset])[0])[0]) > 30


@each_dataset
def test_empty_root_is_an_error_with_the_expected_layout(dataset: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "empty").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"empty: contains no .*; expected \w+") as error:
        find(dataset, tmp_path / "a" / "b" / "empty")
    assert "\n" not in str(error.value)


@each_dataset
def test_missing_root_is_an_error_with_the_expected_layout(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder; give the one that contains"):
        find(dataset, tmp_path / "nowhere")


@each_dataset_with_a_layout
def test_error_for_the_folder_above_the_root_names_the_root(dataset: str, roots) -> None:
    with pytest.raises(DatasetError, match=r"is not the root of this dataset, but .*root is; give that folder"):
        find(dataset, roots[dataset].parent)


@each_dataset_with_a_layout
def test_error_for_a_folder_below_the_root_names_the_root(dataset: str, roots) -> None:
    if dataset in ("pure", "scamps"):
        pytest.skip("a folder below the root is a valid root, too")
    below = next(path for path in sorted(roots[dataset].iterdir()) if path.is_dir())
    with pytest.raises(
        DatasetError, match=f"is not the root of this dataset, but {roots[dataset]} is; give that folder"
    ):
        find(dataset, below)
