"""Sub-pixel crops, and a uniform clock that depends neither on chunking nor on the rate of the camera."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.faces.crops import MAX_TIME_GAP_S, ClipBuilder, FaceClip, crop

FPS = 30.0
SIZE = 8


def box(x: float, y: float, width: float, height: float) -> Any:
    return SimpleNamespace(x=x, y=y, width=width, height=height)


def frame(image: np.ndarray, time: float) -> Any:
    return SimpleNamespace(image=image, time=time, key=True)


def flat_frames(times: Sequence[float], levels: Sequence[float]) -> list[Any]:
    """Frames of one colour each, plus a ramp of 0, 1, 2, ..., which averages rounding out."""
    ramp = np.arange(SIZE)[None, :, None]
    return [
        frame(np.broadcast_to(np.rint(level + ramp), (SIZE, SIZE, 3)).astype(np.uint8), time)
        for time, level in zip(times, levels, strict=True)
    ]


def build(frames: list[Any], splits: Sequence[int] = (), fps: float = FPS) -> list[FaceClip]:
    builder = ClipBuilder(SIZE, 0.0, fps)
    clips: list[FaceClip] = []
    for start, end in zip([0, *splits], [*splits, len(frames)], strict=True):
        clips += builder.push(frames[start:end], [box(0, 0, SIZE, SIZE)] * (end - start))
    return clips + builder.finish()


def joined(clips: list[FaceClip]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Times and frames of each segment."""
    return {
        segment: (
            np.concatenate([clip.times for clip in clips if clip.segment == segment]),
            np.concatenate([clip.frames for clip in clips if clip.segment == segment]),
        )
        for segment in sorted({clip.segment for clip in clips})
    }


def smooth_image(seed: int = 0, height: int = 300, width: int = 400) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.rint(128 + 100 * smooth / np.abs(smooth).max()).astype(np.uint8)


# --- FaceClip


def test_times_follow_the_clock() -> None:
    clip = FaceClip(np.zeros((4, SIZE, SIZE, 3), np.uint8), 2.0, 25.0, 0)
    assert clip.times == pytest.approx([2.0, 2.04, 2.08, 2.12])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((4, 8, 8, 3), np.float32)}, "frames must be uint8"),
        ({"frames": np.zeros((4, 8, 9, 3), np.uint8)}, "frames must be uint8"),
        ({"frames": np.zeros((0, 8, 8, 3), np.uint8)}, "frames must be uint8"),
        ({"frames": np.zeros((8, 8, 3), np.uint8)}, "frames must be uint8"),
        ({"fps": 0.0}, "fps must be"),
        ({"start_s": float("nan")}, "start_s must be"),
        ({"segment": -1}, "segment must"),
    ],
)
def test_invalid_clip_is_refused(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"frames": np.zeros((4, 8, 8, 3), np.uint8), "start_s": 0.0, "fps": 30.0, "segment": 0}
    with pytest.raises(ValueError, match=message):
        FaceClip(**fields | changes)


# --- crop


def test_box_of_the_size_of_the_crop_on_whole_pixels_is_copied() -> None:
    image = smooth_image()
    np.testing.assert_array_equal(crop(image, box(30, 20, 72, 72), 72, 0.0), image[20:92, 30:102])


def test_integer_factor_averages_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    expected = image[10:154, 50:194].reshape(72, 2, 72, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(crop(image, box(50, 10, 144, 144), 72, 0.0), expected, atol=1e-3)


@pytest.mark.parametrize("corner", [(40, 20), (41, 23), (47.3, 20.6)])
def test_averaging_a_large_face_in_two_steps_gives_nearly_the_same_crop(corner: tuple[float, float]) -> None:
    image = smooth_image(height=500, width=500)
    x, y = corner
    exact = cv2.warpAffine(
        image.astype(np.float32),
        np.array([[0.5, 0, x - 0.25], [0, 0.5, y - 0.25]]),
        (864, 864),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    exact = cv2.resize(exact, (72, 72), interpolation=cv2.INTER_AREA)
    blur = np.abs(crop(image, box(x, y, 432, 432), 72, 0.0) - exact)
    assert blur.mean() < 0.02 * np.ptp(exact)
    assert blur.max() < 0.06 * np.ptp(exact)


def test_margin_widens_each_side_by_a_fraction_of_the_box() -> None:
    image = smooth_image()
    np.testing.assert_array_equal(
        crop(image, box(100, 100, 80, 60), 72, 0.25), crop(image, box(80, 85, 120, 90), 72, 0)
    )


@pytest.mark.parametrize("width", [40.0, 72.0, 131.7, 144.0, 200.3, 230.0, 351.2, 440.0])
def test_drifting_box_moves_the_crop_smoothly(width: float) -> None:
    """With whole-pixel boxes and 8-bit interpolation the mean would jump by the amplitude of a pulse, 0.1 to 0.3."""
    image = smooth_image(height=600, width=600)
    means = [crop(image, box(100 + x, 80 + x, width, width), 72, 0).mean() for x in np.arange(0, 5, 0.1)]
    assert np.ptp(means) > 0.005
    assert np.abs(np.diff(means, 2)).max() < 0.01


def test_shrinking_does_not_alias() -> None:
    """A checkerboard of single pixels becomes grey, wherever the box begins."""
    checker = (np.indices((300, 300)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = np.repeat(checker[..., None], 3, axis=2)
    for x in (10.0, 10.3, 10.5):
        small = crop(image, box(x, x, 205.0, 205.0), 40, 0)
        assert np.abs(small - 127.5).max() < 15


def test_edges_are_repeated_outside_the_image() -> None:
    image = smooth_image(height=100, width=100)
    padded = cv2.copyMakeBorder(image, 50, 50, 50, 50, cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(
        crop(image, box(-20.3, 60.7, 72, 72), 72, 0), crop(padded, box(29.7, 110.7, 72, 72), 72, 0), atol=1e-3
    )


# --- clock


def test_frames_on_ticks_are_used_unchanged() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, SIZE, SIZE, 3), dtype=np.uint8)
    clips = build([frame(image, 1.7 + index / FPS) for index, image in enumerate(images)])
    times, frames = joined(clips)[0]
    np.testing.assert_array_equal(frames, images)
    np.testing.assert_allclose(times, 1.7 + np.arange(40) / FPS, atol=1e-12)


def test_values_are_rounded_not_truncated() -> None:
    clips = build(flat_frames([0.0, 0.1], [100, 103]))
    _, frames = joined(clips)[0]
    np.testing.assert_array_equal(frames[:, 0, 0, 0], [100, 101, 102, 103])
    clips = build(flat_frames([0.0, 2 / FPS * 4 / 3], [100, 104]))
    _, frames = joined(clips)[0]
    assert frames[1, 0, 0, 0] == 102  # 101.5 of 100..104, to the even neighbour


@pytest.mark.parametrize("source_fps", [8.0, 10.0, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 240.0])
def test_signal_keeps_its_timing_at_every_frame_rate(source_fps: float) -> None:
    """A slow sine is neither delayed nor changed by more than interpolation."""
    times = np.arange(0, 6, 1 / source_fps)
    sine = 100 + 60 * np.sin(2 * np.pi * 0.5 * times)
    ticks, frames = joined(build(flat_frames(times, sine)))[0]
    got = frames.mean(axis=(1, 2, 3)) - 3.5
    expected = np.interp(ticks, times, sine)
    assert np.abs(got - expected)[2:-2].max() < 1.5


def test_frames_of_a_fast_source_are_averaged_against_aliasing() -> None:
    """Mains light flickers at 100 Hz at 240 fps, which every eighth frame alone would alias to 10 Hz."""
    times = np.arange(0, 4, 1 / 240)
    _, frames = joined(build(flat_frames(times, 100 + 40 * np.sin(2 * np.pi * 100 * times))))[0]
    assert np.std(frames.mean(axis=(1, 2, 3))[2:-2]) < 1.0


def test_gap_of_seven_tenths_of_a_second_is_interpolated_linearly() -> None:
    times = np.concatenate([np.arange(0, 1, 1 / FPS), np.arange(1.7, 3, 1 / FPS)])
    segments = joined(build(flat_frames(times, 50 + 40 * times)))
    assert list(segments) == [0]
    ticks, frames = segments[0]
    np.testing.assert_allclose(np.diff(ticks), 1 / FPS)
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)) - 3.5, 50 + 40 * ticks, atol=1.01)


def test_gap_longer_than_one_second_starts_a_new_segment_on_its_own_clock() -> None:
    times = [0.0, 0.1, 0.2, 0.2 + MAX_TIME_GAP_S + 0.013, 1.3]
    segments = joined(build(flat_frames(times, [50, 50, 50, 90, 90])))
    assert list(segments) == [0, 1]
    assert segments[0][0] == pytest.approx(np.arange(7) / FPS)
    assert segments[1][0][0] == pytest.approx(times[3])
    assert set(segments[0][1][:, 0, 0, 0]) == {50}
    assert set(segments[1][1][:, 0, 0, 0]) == {90}


def test_single_frame_is_a_segment() -> None:
    clips = build(flat_frames([4.2], [100]))
    assert [(clip.start_s, len(clip.frames), clip.segment) for clip in clips] == [(4.2, 1, 0)]


def test_no_frames_give_no_clips() -> None:
    builder = ClipBuilder(SIZE, 0.0, FPS)
    assert builder.push([], []) == []
    assert builder.finish() == []


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data(), source_fps=st.sampled_from([8.0, 24.0, 29.97, 30.0, 60.0, 240.0]), seed=st.integers(0, 99))
def test_clips_do_not_depend_on_chunking(data: st.DataObject, source_fps: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = (1 + rng.uniform(-0.3, 0.3, 90)) / source_fps
    steps[rng.integers(0, 90, 3)] += rng.uniform(0, 2, 3)
    images = rng.integers(0, 256, (90, SIZE, SIZE, 3), dtype=np.uint8)
    frames = [frame(image, time) for image, time in zip(images, np.cumsum(steps), strict=True)]
    splits = sorted(data.draw(st.lists(st.integers(0, 90), max_size=12)))
    whole, chunked = joined(build(frames)), joined(build(frames, splits))
    assert whole.keys() == chunked.keys()
    for segment in whole:
        np.testing.assert_allclose(chunked[segment][0], whole[segment][0], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(chunked[segment][1], whole[segment][1])
        np.testing.assert_allclose(np.diff(whole[segment][0]), 1 / FPS)


def test_few_frames_are_held_however_long_the_video() -> None:
    builder = ClipBuilder(SIZE, 0.0, FPS)
    held = []
    for chunk in np.split(np.arange(600), 40):
        builder.push(flat_frames(chunk / 60, [100] * 15), [box(0, 0, SIZE, SIZE)] * 15)
        held.append(len(builder._crops))
    assert max(held) <= 6


def test_invalid_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="2 frames and 1 boxes"):
        ClipBuilder(SIZE, 0.0, FPS).push(flat_frames([0, 1], [1, 2]), [box(0, 0, 8, 8)])
    with pytest.raises(ValueError, match="times must increase"):
        ClipBuilder(SIZE, 0.0, FPS).push(flat_frames([0, 0], [1, 2]), [box(0, 0, 8, 8)] * 2)
    with pytest.raises(ValueError, match="size must"):
        ClipBuilder(0, 0.0, FPS)
    with pytest.raises(ValueError, match="margin must"):
        ClipBuilder(SIZE, -0.5, FPS)
    with pytest.raises(ValueError, match="fps must"):
        ClipBuilder(SIZE, 0.0, 0.0)
