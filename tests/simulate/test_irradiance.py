"""Which light reaches what of a person, and that mixing it from patterns is as good as summing it up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.simulate.irradiance import DIRECTIONS, Irradiance, Reach, directions, lamp
from facepulse.simulate.render import rotation_matrix
from simulated_people import PLAIN, needs_heads, of_tile, person

SOFTNESS = (0.2, 0.7, np.pi / 2)
LEVELS = (0.7, 0.2, 0.4)


def lumps(seed):
    """A closed and uneven surface around the origin: vertices and faces."""
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


def summed(vertices, faces, turning, turn, lamps):
    """Irradiance as its definition has it: over all directions, for head and torso each."""
    reach, around = Reach(vertices, faces).of(np.arange(len(vertices))), directions()
    head, torso = (
        np.stack([reach @ lamp(around, one, *spec) for one, *spec in zip(seen, SOFTNESS, LEVELS, strict=True)], 1)
        for seen in (lamps @ turn, lamps)
    )
    return torso + turning[:, None] * (head - torso)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), reach=st.floats(0, 1.0))
def test_mixed_light_is_the_sum_over_all_directions(seed, reach):
    rng = np.random.default_rng(seed)
    vertices, faces, turning = lumps(seed)
    irradiance = Irradiance(vertices, faces, turning, SOFTNESS)
    lamps = towards(rng)
    for time in range(12):
        turn = rotation_matrix(reach * rng.uniform(-1, 1, 3))
        if time == 6:
            lamps = towards(rng)
        wanted = rng.random(len(vertices)) < 0.3  # some for the first time, some again
        found = np.full((len(vertices), len(SOFTNESS)), np.nan, np.float32)
        irradiance(wanted, turn, LEVELS, list(lamps), found)
        expected = summed(vertices, faces, turning, turn, lamps)
        np.testing.assert_allclose(found[wanted], expected[wanted], atol=1e-4)
        assert np.isnan(found[~wanted]).all()


def test_a_lamp_that_is_off_gives_nothing_and_on_again_what_it_gave():
    vertices, faces, turning = lumps(1)
    irradiance = Irradiance(vertices, faces, turning, (0.5,))
    wanted, turn, ahead = np.ones(len(vertices), bool), np.eye(3), [np.array([0.0, 0.0, 1.0])]
    dark, bright = np.empty((2, len(vertices), 1), np.float32)
    irradiance(wanted, turn, [0.0], ahead, dark)
    irradiance(wanted, turn, [1.0], ahead, bright)
    assert dark.max() == 0
    assert bright.max() > 0.5


def test_directions_cover_the_sphere_evenly():
    towards = directions().astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(towards.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(towards.T @ towards / DIRECTIONS, np.eye(3) / 3, atol=0.01)


@settings(max_examples=40, deadline=None)
@given(softness=st.floats(0, np.pi), level=st.floats(0, 3), seed=st.integers(0, 2**32 - 1))
def test_a_surface_that_faces_a_lamp_receives_its_level(softness, level, seed):
    towards, direction = directions(), np.random.default_rng(seed).normal(size=3)
    direction /= np.linalg.norm(direction)
    spread = lamp(towards, direction, softness, level)
    assert (spread >= 0).all()
    received = [spread @ np.maximum(towards @ normal.astype(np.float32), 0) for normal in (direction, -direction)]
    assert received[0] == pytest.approx(level, rel=1e-4, abs=1e-6)
    assert received[1] <= received[0] + 1e-6
    if softness < 0.8 and level > 1e-3:
        assert received[1] < 0.05 * received[0]


# --- shadows


def reach_of(figure, places):
    return Reach(figure.vertices, figure.faces).of(np.arange(len(figure.vertices))[places])


@needs_heads
@pytest.mark.parametrize("hair", ["bald", "long", "cap"])
def test_nothing_gets_more_light_than_falls_on_it(hair):
    figure = person(look=replace(PLAIN, hair=hair))[2]
    reach = reach_of(figure, slice(None))
    assert reach.shape == (len(figure.vertices), DIRECTIONS)
    assert 0 <= reach.min() <= reach.max() <= 1 + 1e-6
    np.testing.assert_array_equal(reach[::7], reach_of(figure, slice(None, None, 7)))


@needs_heads
def test_light_reaches_what_it_can_see():
    figure, towards = person(look=replace(PLAIN, hair="bald"))[2], directions()
    above, below, ahead = towards[:, 1] > 0.9, towards[:, 1] < -0.5, towards[:, 2] > 0.85
    crown = figure.template[:, 1] > 8.45
    assert crown.sum() > 10
    assert reach_of(figure, crown)[:, above].min() > 0.6
    assert reach_of(figure, crown)[:, below].max() < 0.1
    nose = reach_of(figure, [np.argmax(figure.vertices[:, 2])])[0]
    assert nose[ahead].min() > 0.6
    assert nose[towards[:, 2] < -0.5].max() < 0.1


@needs_heads
def test_what_lies_behind_something_is_in_its_shadow():
    figure, towards = person()[2], directions()
    ahead = towards[:, 2] > 0.85
    assert reach_of(figure, of_tile(figure, "teeth"))[:, ahead].max() < 0.35, "the mouth is shut"
    x, y, z = figure.template.T
    left_of_nose = (x < -0.08) & (x > -0.2) & (np.abs(y - 7.1) < 0.1) & (z > 1.2)
    assert left_of_nose.sum() > 5
    right, left = ((sign * towards[:, 0] > 0.8) & (np.abs(towards[:, 1]) < 0.4) for sign in (1, -1))
    reach = reach_of(figure, left_of_nose)
    assert reach[:, left].mean() > 3 * reach[:, right].mean()
