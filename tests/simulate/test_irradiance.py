"""Irradiance by lamps: shadows, and equality of the combination of patterns with the sum over all directions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.simulate.irradiance import DIRECTIONS, Irradiance, Visibility, directions, lamp_distribution
from facepulse.simulate.render import rotation_matrix
from simulated_people import PLAIN, needs_heads, of_tile, person

SOFTNESS = (0.2, 0.7, np.pi / 2)
LEVELS = (0.7, 0.2, 0.4)


def lumps(seed):
    """Return a closed and uneven surface around the origin: vertices, faces and weights of the head."""
    rng = np.random.default_rng(seed)
    angle, height = np.meshgrid(np.arange(16) / 16 * 2 * np.pi, np.linspace(-0.99, 0.99, 9))
    ring = np.sqrt(1 - height**2) * rng.uniform(0.4, 1.0, angle.shape)
    vertices = 0.1 * np.stack([ring * np.sin(angle), height, ring * np.cos(angle)], -1).reshape(-1, 3)
    grid = np.arange(9 * 16).reshape(9, 16)
    a, b, c, d = grid[:-1], np.roll(grid, -1, 1)[:-1], grid[1:], np.roll(grid, -1, 1)[1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return vertices.astype(np.float32), faces.astype(np.int32), rng.uniform(0, 1, 9 * 16).astype(np.float32)


def towards(rng):
    vectors = rng.normal(size=(len(SOFTNESS), 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def summed(vertices, faces, head_weights, turn, lamps):
    """Return the irradiance by its definition: summed over all directions, for head and torso each."""
    cosines, around = Visibility(vertices, faces).cosines(np.arange(len(vertices))), directions()
    head, torso = (
        cosines @ lamp_distribution(around, relative, np.array(SOFTNESS), LEVELS).T
        for relative in (lamps @ turn, lamps)
    )
    return torso + head_weights[:, None] * (head - torso)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), angle=st.floats(0, 1.0))
def test_combined_patterns_equal_the_sum_over_all_directions(seed, angle):
    rng = np.random.default_rng(seed)
    vertices, faces, head_weights = lumps(seed)
    irradiance = Irradiance(vertices, faces, head_weights, SOFTNESS)
    lamps = towards(rng)
    for time in range(12):
        turn = rotation_matrix(angle * rng.uniform(-1, 1, 3))
        if time == 6:
            lamps = towards(rng)
        mask = rng.random(len(vertices)) < 0.3  # some for the first time, some again
        found = np.full((len(vertices), len(SOFTNESS)), np.nan, np.float32)
        irradiance(mask, turn, LEVELS, list(lamps), found)
        expected = summed(vertices, faces, head_weights, turn, lamps)
        np.testing.assert_allclose(found[mask], expected[mask], atol=1e-4)
        assert np.isnan(found[~mask]).all()


def test_lamp_of_level_zero_gives_no_light():
    vertices, faces, head_weights = lumps(1)
    irradiance = Irradiance(vertices, faces, head_weights, (0.5,))
    mask, turn, ahead = np.ones(len(vertices), bool), np.eye(3), [np.array([0.0, 0.0, 1.0])]
    dark, bright = np.empty((2, len(vertices), 1), np.float32)
    irradiance(mask, turn, [0.0], ahead, dark)
    irradiance(mask, turn, [1.0], ahead, bright)
    assert dark.max() == 0
    assert bright.max() > 0.5


def test_directions_cover_the_sphere_evenly():
    towards = directions().astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(towards.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(towards.T @ towards / DIRECTIONS, np.eye(3) / 3, atol=0.01)


@settings(max_examples=40)
@given(softness=st.floats(0, np.pi), level=st.floats(0, 3), seed=st.integers(0, 2**32 - 1))
def test_surface_that_faces_a_lamp_receives_its_level(softness, level, seed):
    towards, direction = directions(), np.random.default_rng(seed).normal(size=3)
    direction /= np.linalg.norm(direction)
    light = lamp_distribution(towards, direction, softness, level)
    assert (light >= 0).all()
    received = [light @ np.maximum(towards @ normal.astype(np.float32), 0) for normal in (direction, -direction)]
    assert received[0] == pytest.approx(level, rel=1e-4, abs=1e-6)
    assert received[1] <= received[0] + 1e-6
    if softness < 0.8 and level > 1e-3:
        assert received[1] < 0.05 * received[0]


# --- shadows


def cosines_of(figure, vertices):
    return Visibility(figure.vertices, figure.faces).cosines(np.arange(len(figure.vertices))[vertices])


@needs_heads
@pytest.mark.parametrize("hair", ["bald", "long", "cap"])
def test_cosines_are_between_zero_and_one(hair):
    figure = person(look=replace(PLAIN, hair=hair))[2]
    cosines = cosines_of(figure, slice(None))
    assert cosines.shape == (len(figure.vertices), DIRECTIONS)
    assert 0 <= cosines.min() <= cosines.max() <= 1 + 1e-6
    np.testing.assert_array_equal(cosines[::7], cosines_of(figure, slice(None, None, 7)))


@needs_heads
def test_surfaces_are_lit_from_the_directions_that_they_face():
    figure, towards = person(look=replace(PLAIN, hair="bald"))[2], directions()
    above, below, ahead = towards[:, 1] > 0.9, towards[:, 1] < -0.5, towards[:, 2] > 0.85
    crown = figure.template[:, 1] > 8.45
    assert crown.sum() > 10
    assert cosines_of(figure, crown)[:, above].min() > 0.6
    assert cosines_of(figure, crown)[:, below].max() < 0.1
    nose = cosines_of(figure, [np.argmax(figure.vertices[:, 2])])[0]
    assert nose[ahead].min() > 0.6
    assert nose[towards[:, 2] < -0.5].max() < 0.1


@needs_heads
def test_hidden_surfaces_are_in_shadow():
    figure, towards = person()[2], directions()
    ahead = towards[:, 2] > 0.85
    assert cosines_of(figure, of_tile(figure, "teeth"))[:, ahead].max() < 0.35, "the mouth is closed"
    x, y, z = figure.template.T
    left_of_nose = (x < -0.08) & (x > -0.2) & (np.abs(y - 7.1) < 0.1) & (z > 1.2)
    assert left_of_nose.sum() > 5
    right, left = ((sign * towards[:, 0] > 0.8) & (np.abs(towards[:, 1]) < 0.4) for sign in (1, -1))
    cosines = cosines_of(figure, left_of_nose)
    assert cosines[:, left].mean() > 3 * cosines[:, right].mean()
