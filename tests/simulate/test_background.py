"""Backgrounds: reflectances, repeatable, shifted by fractions of a pixel, moving only where asked."""

import numpy as np
import pytest

from facepulse.simulate import background
from facepulse.simulate.background import Background


def room(seed: int = 0, width: int = 96, height: int = 72, moving: bool = False) -> Background:
    return Background(np.random.default_rng(seed), width, height, moving=moving)


@pytest.mark.parametrize("moving", [False, True])
def test_every_room_is_a_reflectance_and_no_room_is_flat(moving):
    for seed in range(30):
        scene = room(seed, moving=moving)
        for time_s in (0.0, 1.7, 33.0):
            image = scene(time_s, (2.3, -60))
            assert image.shape == (72, 96, 3)
            assert image.dtype == np.float32
            assert image.min() >= 0
            assert image.max() <= 1
        assert image.std() > 0.01


def test_the_same_seed_paints_the_same_room_at_any_time_asked_first():
    for moving in (False, True):
        one, other = room(5, moving=moving), room(5, moving=moving)
        early, late = one(0.4), one(9.1)
        np.testing.assert_array_equal(other(9.1), late)
        np.testing.assert_array_equal(other(0.4), early)
        assert not np.array_equal(room(6, moving=moving)(0.4), early)


def test_still_rooms_stand_still_and_moving_ones_move():
    for seed in range(20):
        still, moving = room(seed), room(seed, moving=True)
        np.testing.assert_array_equal(still(0.0), still(5.3))
        first = moving(0.0)
        assert max(np.abs(moving(t) - first).max() for t in np.arange(0.5, 8, 0.5)) > 0.02
        later, again = moving(3.0), moving(3.0 + 1 / 30)  # smoothly, but for a screen's cuts
        assert np.median(np.abs(later - again)) < 0.02


def kept(image: np.ndarray) -> np.ndarray:
    return image[15:-15, 15:-15]


@pytest.mark.parametrize("mover", [None, *background._MOVERS])
def test_the_camera_shifts_everything(monkeypatch, mover):
    monkeypatch.setattr(background, "_MOVERS", [mover])
    scene = room(3, moving=mover is not None)
    vertical = 0 if mover is background._Curtain else 4  # its folds reach from edge to edge
    rest, moved = scene(2.0), scene(2.0, (5.0, vertical))
    np.testing.assert_allclose(kept(np.roll(rest, (vertical, 5), axis=(0, 1))), kept(moved), atol=2e-3)
    half = scene(2.0, (0.5, 0.0))
    np.testing.assert_allclose(
        kept((rest + np.roll(rest, 1, axis=1)) / 2), kept(half), atol=0.03
    )  # edges blend a little otherwise


def test_a_shift_beyond_what_is_painted_still_gives_a_picture():
    assert np.isfinite(room(moving=True)(1.0, (500.0, -700.0))).all()


@pytest.mark.parametrize(("width", "height"), [(36, 36), (128, 128), (90, 120)])
def test_any_size(width, height):
    for seed in range(60):
        assert room(seed, width, height, moving=True)(0.0).shape == (height, width, 3)
