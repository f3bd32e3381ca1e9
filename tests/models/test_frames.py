"""Normalisation, resizing and checks of frames."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facepulse.models.frames import (  # noqa: E402
    check_frames,
    normalised_difference,
    resize,
    standardise,
    standardise_together,
    standardised_difference,
)


@pytest.fixture
def frames():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 8, 32, 33), dtype=torch.uint8, generator=generator)


def test_standardise_is_zero_mean_and_unit_variance_in_each_clip_and_colour(frames):
    standardised = standardise(frames)
    assert standardised.dtype == torch.float32
    for clip, expected in zip(standardised.double().numpy(), frames.double().numpy(), strict=True):
        for colour in range(3):
            deviation = np.sqrt(expected[colour].var() + 1)
            np.testing.assert_allclose(
                clip[colour], (expected[colour] - expected[colour].mean()) / deviation, atol=1e-5
            )


def test_standardise_together_is_zero_mean_and_unit_variance_in_each_clip(frames):
    for clip, expected in zip(standardise_together(frames).numpy(), frames.double().numpy(), strict=True):
        deviation = np.sqrt(expected.var() + 1)
        np.testing.assert_allclose(clip, (expected - expected.mean()) / deviation, atol=1e-5)


def test_standardised_difference_keeps_the_length_and_ends_with_zero(frames):
    values = standardise_together(frames)
    difference = standardised_difference(frames)
    assert difference.shape == frames.shape
    assert (difference[:, :, -1] == 0).all()
    for t in range(frames.shape[2] - 1):
        torch.testing.assert_close(difference[:, :, t], values[:, :, t + 1] - values[:, :, t], rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(32, 33), (40, 90), (72, 36), (36, 72), (37, 35)])
def test_resize_is_bilinear(height, width):
    frames = torch.randint(0, 256, (2, 3, 5, height, width), dtype=torch.uint8)
    expected = torch.nn.functional.interpolate(frames.float().flatten(1, 2), (36, 36), mode="bilinear")
    torch.testing.assert_close(resize(frames, 36), expected.unflatten(1, (3, 5)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("captured", [False, True])
def test_frames_of_the_right_size_are_not_changed(frames, captured, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: captured)
    square = frames[..., :32]
    assert torch.equal(resize(square, 32), square.float())


def test_standardise_removes_exposure_and_white_balance():
    frames = 20 + 100 * torch.rand(1, 3, 8, 32, 32)
    gain = torch.tensor([1.5, 1.0, 0.7]).reshape(1, 3, 1, 1, 1)
    torch.testing.assert_close(standardise(frames * gain + 10), standardise(frames), atol=2e-3, rtol=0)


def test_normalised_difference_equals_the_toolbox(frames):
    for clip, result in zip(frames.double().numpy(), normalised_difference(frames).numpy(), strict=True):
        expected = np.zeros_like(clip)
        for t in range(clip.shape[1] - 1):
            expected[:, t] = (clip[:, t + 1] - clip[:, t]) / (clip[:, t + 1] + clip[:, t] + 1e-7)
        expected[:, :-1] /= expected[:, :-1].std()
        np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(
    "normalise", [standardise, standardise_together, standardised_difference, normalised_difference]
)
@pytest.mark.parametrize("level", [0, 127, 255])
def test_constant_clip_gives_zeros(normalise, level):
    frames = torch.full((1, 3, 8, 32, 32), level, dtype=torch.uint8)
    assert (normalise(frames) == 0).all()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(3, 8, 32, 32), r"frames must have five axes .* not 4: shape \(3, 8, 32, 32\)"),
        (torch.zeros(1, 8, 32, 32, 3), r"frames must have 3 colour channels on axis 1, not 8"),
        (torch.zeros(1, 1, 8, 32, 32), r"frames must have 3 colour channels on axis 1, not 1"),
        (torch.zeros(1, 3, 0, 32, 32), "frames must hold a multiple of 4 frames, at least 4, not T = 0"),
        (torch.zeros(1, 3, 3, 32, 32), "at least 4, not T = 3"),
        (torch.zeros(1, 3, 10, 32, 32), "multiple of 4 frames, .* not T = 10"),
        (torch.zeros(1, 3, 8, 31, 40), "frames must be at least 32x32 pixels, not 31x40"),
        (torch.full((1, 3, 8, 32, 32), float("nan")), "frames must be finite numbers in 0..255, but hold NaN"),
        (torch.full((1, 3, 8, 32, 32), float("inf")), "frames must lie in 0..255, .* span inf to inf"),
        (torch.linspace(-1, 1, 3 * 8 * 32 * 32).reshape(1, 3, 8, 32, 32), "0..255, .* but span -1 to 1"),
        (torch.full((1, 3, 8, 32, 32), 256, dtype=torch.int16), "span 256 to 256"),
        (torch.zeros(1, 3, 8, 32, 32, dtype=torch.complex64), "real numbers in 0..255, not torch.complex64"),
    ],
)
def test_invalid_frames_are_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        check_frames(frames, multiple=4)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64, torch.bool])
def test_frames_of_any_dtype_are_accepted(dtype):
    check_frames(torch.ones(1, 3, 4, 32, 32).to(dtype), multiple=4)
