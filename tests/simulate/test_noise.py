"""Noise from a field: statistics of an averaged mosaic, without fixed pattern or repetition."""

import cv2
import numpy as np
import pytest

from facepulse.simulate.noise import NoiseField


def binned_mosaic(side: int, rng) -> np.ndarray:
    """White noise on an RGGB mosaic, demosaicked bilinearly by OpenCV, averaged over side x side pixels."""
    mosaic = np.rint(32768 + 4000 * rng.standard_normal((960, 960))).astype(np.uint16)
    image = (cv2.demosaicing(mosaic, cv2.COLOR_BayerRGGB2RGB)[48:-48, 48:-48] - 32768.0) / 4000
    height = len(image) // side
    return image[: height * side, : height * side].reshape(height, side, height, side, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("side", [2, 3, 4])
def test_binned_noise_has_the_variance_and_the_correlation_of_an_averaged_mosaic(side):
    rng = np.random.default_rng(0)
    expected = binned_mosaic(side, rng)
    made, _ = NoiseField(rng, 1, binning=side**2).crop(0, 512, 512)
    for channel in range(3):
        a, b = expected[..., channel], made[..., channel]
        assert b.var() == pytest.approx(a.var(), rel=0.12)
        for step in (1, 2):
            expected_correlation = (a[:, step:] * a[:, :-step]).mean() / a.var()
            assert (b[:, step:] * b[:, :-step]).mean() / b.var() == pytest.approx(expected_correlation, abs=0.06)
            assert (b[step:] * b[:-step]).mean() / b.var() == pytest.approx(expected_correlation, abs=0.06)


def test_magnified_noise_is_coarser_and_heavy_binning_leaves_little():
    coarse, fine, finer = (
        NoiseField(np.random.default_rng(0), 1, binning).crop(0, 256, 256)[0] for binning in (0.25, 100, 400)
    )
    assert (coarse[:, 1:] * coarse[:, :-1]).mean() / coarse.var() > 0.7
    samples = np.array([4, 2, 4]) / 100  # of each colour in a pixel
    assert (fine.var(axis=(0, 1)) < samples).all()
    assert (fine.var(axis=(0, 1)) > 0.6 * samples).all()
    assert finer.std() == pytest.approx(fine.std() / 2, rel=0.05)


@pytest.mark.parametrize("binning", [None, 9.0])
def test_frames_are_independent_and_pixels_have_no_fixed_mean(binning):
    frames = 400
    noise = NoiseField(np.random.default_rng(1), frames, binning)
    video = np.stack([crop * sign for crop, sign in (noise.crop(t, 64, 64) for t in range(frames))])
    assert video.mean(axis=0).std() == pytest.approx(video.std() / np.sqrt(frames), rel=0.15)
    means = video.reshape(frames, 64, 64, -1)[:, 16:48, 16:48].mean(axis=(1, 2))
    assert np.abs((means[1:] * means[:-1]).mean(axis=0) / (means**2).mean(axis=0)).max() < 4 / np.sqrt(frames)
    if binning is None:  # a mean over 32 x 32 pixels is as steady as independent noise makes it
        assert means.std() == pytest.approx(1 / 32, rel=0.25)


def test_crops_that_share_most_of_the_field_have_independent_means():
    noise = NoiseField(np.random.default_rng(4), 300, None)
    means = np.array([crop.mean() * sign for crop, sign in (noise.crop(t, 320, 320) for t in range(300))])
    assert means.std() == pytest.approx(1 / 320, rel=0.35)
    assert abs((means[1:] * means[:-1]).mean() / (means**2).mean()) < 4 / np.sqrt(300)


def test_crop_depends_on_the_index_alone():
    one, other = (NoiseField(np.random.default_rng(2), 5, 4.0) for _ in range(2))
    forwards = [one.crop(t, 20, 30)[0].copy() for t in range(5)]
    for t in reversed(range(5)):
        np.testing.assert_array_equal(other.crop(t, 20, 30)[0], forwards[t])
    assert not np.array_equal(forwards[0], forwards[1])
