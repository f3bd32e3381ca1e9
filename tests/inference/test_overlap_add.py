"""Overlap-add: a periodic signal has no seam, and the division of frames into blocks makes no difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.inference.overlap_add import OverlapAdd, overlap_add, standardised


def read(frames: np.ndarray) -> np.ndarray:
    """Stand-in for a network: the standardised mean of each frame of a window."""
    return standardised(frames.mean(axis=(2, 3, 4), dtype=np.float32))


def clip_of(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.uint8).reshape(1, -1, 1, 1, 1)


@settings(max_examples=60)
@given(
    pattern=st.lists(st.integers(0, 255), min_size=16, max_size=16).filter(lambda values: len(set(values)) > 1),
    length=st.integers(65, 400),
    window=st.sampled_from([32, 64]),
)
def test_periodic_signal_is_joined_without_a_seam(pattern: list[int], length: int, window: int) -> None:
    values = np.resize(pattern, length)
    found = overlap_add(read, clip_of(values), window)[0]
    assert found.dtype == np.float32
    assert found == pytest.approx((values - np.mean(pattern)) / np.std(pattern), abs=1e-4)


@settings(max_examples=100)
@given(
    blocks=st.lists(st.integers(0, 90), min_size=1, max_size=12).filter(lambda blocks: sum(blocks) > 0),
    window=st.sampled_from([8, 30, 64]),
)
def test_division_of_frames_into_blocks_makes_no_difference(blocks: list[int], window: int) -> None:
    clip = clip_of(np.random.default_rng(sum(blocks)).integers(0, 256, sum(blocks)))
    seen: list[int] = []

    def counted(frames: np.ndarray) -> np.ndarray:
        seen.append(frames.shape[1])
        return read(frames)

    joined = OverlapAdd(counted, window)
    for begin, length in zip(np.cumsum([0, *blocks]), blocks, strict=False):
        joined.push(clip[:, begin : begin + length])
    found = joined.waveforms()
    assert np.array_equal(found, overlap_add(read, clip, window))
    assert set(seen) == {min(window, sum(blocks))}
    starts = {*range(0, sum(blocks) - window, window // 2), max(sum(blocks) - window, 0)}
    assert len(seen) == len(starts), "windows overlap by half, and the last ends with the clip"


def test_at_most_one_and_a_half_windows_are_held() -> None:
    joined = OverlapAdd(read, 64)
    held = []
    for _ in range(300):
        joined.push(clip_of(np.arange(30)))
        assert joined._held is not None
        held.append(joined._held.shape[1])
    assert max(held) <= 96


def test_finish_can_be_called_before_the_last_frame() -> None:
    values = np.random.default_rng(0).integers(0, 256, 200)
    joined = OverlapAdd(read, 64)
    joined.push(clip_of(values[:150]))
    assert np.array_equal(joined.waveforms(), overlap_add(read, clip_of(values[:150]), 64))
    joined.push(clip_of(values[150:]))
    assert np.array_equal(joined.waveforms(), overlap_add(read, clip_of(values), 64))


def test_no_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        OverlapAdd(read, 64).waveforms()


@settings(max_examples=60)
@given(length=st.integers(1, 300), discarded=st.lists(st.integers(0, 299), min_size=1, max_size=3))
def test_discarded_samples_are_missing_and_the_rest_is_unchanged(length: int, discarded: list[int]) -> None:
    clip = clip_of(np.random.default_rng(length).integers(0, 256, length))
    joined = OverlapAdd(read, 64)
    joined.push(clip[:, : length // 2])
    gone = [min(before, length // 2) for before in discarded]
    for before in gone:
        joined.discard(before)
    joined.push(clip[:, length // 2 :])
    assert np.array_equal(joined.waveforms(), overlap_add(read, clip, 64)[:, max(gone) :])
