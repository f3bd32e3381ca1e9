"""What holds for every dataset: how its recordings are found, sent to workers, and missed with a clear word."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from dataset_writers import ROOTS, find, read, times_of
from facepulse.datasets import DATASETS, DatasetError

every = pytest.mark.parametrize("dataset", ROOTS)
every_with_a_layout = pytest.mark.parametrize("dataset", [name for name in ROOTS if name != "folder"])


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    made = {}
    for dataset, write in ROOTS.items():
        made[dataset] = tmp_path_factory.mktemp("above") / "root"
        write(made[dataset])
    return made


def test_every_dataset_is_tested() -> None:
    assert set(ROOTS) == set(DATASETS)


@every
def test_recordings_are_found_in_natural_order_under_names_of_their_own(dataset: str, roots) -> None:
    recordings = find(dataset, roots[dataset])
    names = [recording.name for recording in recordings]
    assert len(set(names)) == len(names) >= 2
    numbers = [int("".join(filter(str.isdigit, recording.subject))) for recording in recordings]
    assert numbers == sorted(numbers), "2 before 10"
    for recording in recordings:
        assert recording.dataset == dataset
        assert recording.files
        assert all(path.exists() for path in recording.files)


@every
def test_recordings_can_be_sent_to_another_process(dataset: str, roots) -> None:
    recording = pickle.loads(pickle.dumps(find(dataset, roots[dataset])[0]))
    frames, labels, warnings = read(recording)
    assert not warnings
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous
    assert labels.ppg is not None


@every
def test_the_reference_covers_the_frames(dataset: str, roots) -> None:
    frames, labels, _ = read(find(dataset, roots[dataset])[-1])
    times = times_of(frames)
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert np.mean(np.isfinite(labels.ppg.at(times))) > 0.95


@every
def test_files_that_macos_leaves_are_not_recordings(dataset: str, roots) -> None:
    before = [recording.name for recording in find(dataset, roots[dataset])]
    for path in [path for path in roots[dataset].rglob("*") if not path.name.startswith(".")]:
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert [recording.name for recording in find(dataset, roots[dataset])] == before
    assert len(read(find(dataset, roots[dataset])[0])[0]) > 30


@every
def test_an_empty_root_is_told_what_was_expected(dataset: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "empty").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"empty: holds no .*; expected are \w+") as error:
        find(dataset, tmp_path / "a" / "b" / "empty")
    assert "\n" not in str(error.value)


@every
def test_a_missing_root_is_told_what_was_expected(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder; give the one that holds"):
        find(dataset, tmp_path / "nowhere")


@every_with_a_layout
def test_the_folder_above_the_root_is_told_the_root(dataset: str, roots) -> None:
    with pytest.raises(DatasetError, match=r"is not the root, but .*root looks like it; give that"):
        find(dataset, roots[dataset].parent)


@every_with_a_layout
def test_a_folder_below_the_root_is_told_the_root(dataset: str, roots) -> None:
    if dataset in ("pure", "scamps"):
        pytest.skip("a folder below the root can be read on its own")
    below = next(path for path in sorted(roots[dataset].iterdir()) if path.is_dir())
    with pytest.raises(DatasetError, match=f"is not the root, but {roots[dataset]} looks like it; give that"):
        find(dataset, below)
