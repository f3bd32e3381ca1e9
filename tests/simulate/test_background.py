"""Backgrounds: reflectances, repeatable, shifted by fractions of a pixel, moving only on request."""

import numpy as np
import pytest

from facepulse.simulate import background
from facepulse.simulate.background import Background


def room(seed: int = 0, width: int = 96, height: int = 72, moving: bool = False) -> Background:
    return Background(np.random.default_rng(seed), width, height, moving=moving)


@pytest.mark.parametrize("moving", [False, True])
def test_rooms_are_reflectances_with_contrast(moving):
    for seed in range(30):
        scene = room(seed, moving=moving)
        for time_s in (0.0, 1.7, 33.0):
            image = scene(time_s, (2.3, -60))
            assert image.shape == (72, 96, 3)
            assert image.dtype == np.float32
            assert image.min() >= 0
            assert image.max() <= 1
        assert image.std() > 0.01


def test_same_seed_gives_the_same_room_in_any_order_of_times():
    for moving in (False, True):
        one, other = room(5, moving=moving), room(5, moving=moving)
        early, late = one(0.4), one(9.1)
        np.testing.assert_array_equal(other(9.1), late)
        np.testing.assert_array_equal(other(0.4), early)
        assert not np.array_equal(room(6, moving=moving)(0.4), early)


def test_only_moving_rooms_change_over_time():
    for seed in range(20):
        still, moving = room(seed), room(seed, moving=True)
        np.testing.assert_array_equal(still(0.0), still(5.3))
        first = moving(0.0)
        assert max(np.abs(moving(t) - first).max() for t in np.arange(0.5, 8, 0.5)) > 0.02
        later, again = moving(3.0), moving(3.0 + 1 / 30)  # smoothly, except for the cuts of a screen
        assert np.median(np.abs(later - again)) < 0.02


def inner(image: np.ndarray) -> np.ndarray:
    return image[15:-15, 15:-15]


@pytest.mark.parametrize("mover", [None, *background._MOVERS])
def test_camera_shift_moves_the_whole_room(monkeypatch, mover):
    monkeypatch.setattr(background, "_MOVERS", [mover])
    scene = room(3, moving=mover is not None)
    vertical = 0 if mover is background._Curtain else 4  # its folds reach from edge to edge
    rest, moved = scene(2.0), scene(2.0, (5.0, vertical))
    np.testing.assert_allclose(inner(np.roll(rest, (vertical, 5), axis=(0, 1))), inner(moved), atol=2e-3)
    half = scene(2.0, (0.5, 0.0))
    np.testing.assert_allclose(
        inner((rest + np.roll(rest, 1, axis=1)) / 2), inner(half), atol=0.03
    )  # edges are blended slightly differently


def test_shift_beyond_the_painted_area_gives_finite_values():
    assert np.isfinite(room(moving=True)(1.0, (500.0, -700.0))).all()


@pytest.mark.parametrize(("width", "height"), [(36, 36), (128, 128), (90, 120)])
def test_rooms_of_any_size_are_painted(width, height):
    for seed in range(60):
        assert room(seed, width, height, moving=True)(0.0).shape == (height, width, 3)
