"""Training clips: cut where there is a reference, reproducible, and repeated according to their weight."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from facepulse.datasets.cache import open_cache
from facepulse.datasets.recording import DatasetError
from facepulse.inference.overlap_add import standardised
from facepulse.training.augmentation import Augmentation
from facepulse.training.clips import CacheClips, Mixture
from facepulse.training.settings import Data
from small_cache import SmallRecording, write_cache


def clips(folder: Path, *recordings: SmallRecording, weight: float = 1.0, **augmentation: float) -> CacheClips:
    data = Data(frames=96, size=36, margin=0.0)
    found = open_cache(write_cache(folder, recordings))
    return CacheClips(found, weight, data, Augmentation(**augmentation), [0])


def test_clips_are_adjacent_and_equal_the_recorded_frames(tmp_path: Path) -> None:
    found = clips(tmp_path, SmallRecording("a", "1", 72.0, seconds=(10.0,)))
    [recording] = found.recordings

    assert len(found) == 3
    made = sorted((found.clip(0, i) for i in range(3)), key=lambda clip: int(clip.name.split()[-1]))
    for number, clip in enumerate(made):
        inside = slice(96 * number, 96 * (number + 1))
        np.testing.assert_array_equal(clip.frames, recording.frames[inside])
        np.testing.assert_allclose(clip.ppg, standardised(recording.ppg[None, inside])[0], rtol=1e-5)
        assert clip.ppg.mean() == pytest.approx(0, abs=1e-5)
        assert clip.ppg.std() == pytest.approx(1, abs=1e-5)


def test_no_clip_crosses_a_gap_or_a_hole_in_the_reference(tmp_path: Path) -> None:
    found = clips(
        tmp_path,
        SmallRecording("gap", "1", seconds=(5.0, 4.0)),  # 150 and 120 frames: one clip each
        SmallRecording("hole", "2", seconds=(10.0,), reference_gap_s=(3.0, 6.0)),  # 90 frames, then 120: one clip
        SmallRecording("none", "3", reference_bpm=None),
    )

    assert len(found) == 3
    starts = sorted(found.clip(0, i).name for i in range(3))
    assert starts == ["small/gap from frame 0", "small/gap from frame 150", "small/hole from frame 180"]


def test_crops_are_cut_to_the_margin_and_resized(tmp_path: Path) -> None:
    folder = write_cache(tmp_path, [SmallRecording("a", "1")], size=64, margin=0.25)
    found = CacheClips(open_cache(folder), 1.0, Data(frames=96, size=36, margin=0.0), Augmentation(), [0])

    assert found.clip(0, 0).frames.shape == (96, 36, 36, 3)


def test_weight_sets_the_number_of_clips_and_no_clip_is_repeated_before_all_were_used(tmp_path: Path) -> None:
    found = clips(tmp_path, *(SmallRecording(name, name) for name in "abcd"), weight=0.5)  # 12 clips, 6 per epoch

    assert len(found) == 6
    names = Counter(found.clip(epoch, i).name for epoch in range(4) for i in range(6))
    assert set(names.values()) == {2}
    assert {found.clip(0, i).name for i in range(6)} != {found.clip(2, i).name for i in range(6)}


def test_clip_depends_only_on_epoch_and_index(tmp_path: Path) -> None:
    first = clips(tmp_path, SmallRecording("a", "1"), SmallRecording("b", "2", 95.0), speed=1.0, noise=3.0, flip=0.5)
    for _ in range(5):
        first.clip(0, 0)  # does not affect later clips
    second = clips(tmp_path, SmallRecording("a", "1"), SmallRecording("b", "2", 95.0), speed=1.0, noise=3.0, flip=0.5)

    np.testing.assert_array_equal(first.clip(3, 2).frames, second.clip(3, 2).frames)
    np.testing.assert_array_equal(first.clip(3, 2).ppg, second.clip(3, 2).ppg)
    assert not np.array_equal(first.clip(3, 2).frames, first.clip(4, 2).frames)


def test_order_differs_between_epochs_and_batches_are_complete(tmp_path: Path) -> None:
    source = clips(tmp_path, *(SmallRecording(name, name) for name in "abcd"))
    mixture = Mixture([source, source], seed=5)

    first, again, other = mixture.batches(0, 5), Mixture([source, source], seed=5).batches(0, 5), mixture.batches(1, 5)

    assert first == again
    assert [len(batch) for batch in first] == [5, 5, 5, 5]  # 24 clips
    assert {epoch for batch in other for epoch, _ in batch} == {1}
    assert [index for batch in first for _, index in batch] != [index for batch in other for _, index in batch]
    assert mixture.clip(0, 12).name == source.clip(0, 0).name


def test_recordings_without_a_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="none of 1 recordings has 96 frames"):
        clips(tmp_path, SmallRecording("a", "1", seconds=(3.0,)))
