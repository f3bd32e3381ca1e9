"""A dressed head: where it turns, what moves it, and where light reaches it."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.simulate.appearance import ATLAS_COLUMNS, ATLAS_ROWS, HAIR_STYLES, TILES
from facepulse.simulate.figure import DIRECTIONS, build_figure, directions
from simulated_people import PLAIN, needs_heads, person

pytestmark = needs_heads


def of_tile(figure, name):
    """Numbers of the vertices whose faces take their colour from a tile."""
    row, column, rows, columns = TILES[name]
    u, v = figure.uv[..., 0] * ATLAS_COLUMNS, figure.uv[..., 1] * ATLAS_ROWS
    inside = (u > column) & (u < column + columns) & (v > row) & (v < row + rows)
    return np.unique(figure.faces[inside.all(axis=1)])


@pytest.mark.parametrize("hair", HAIR_STYLES)
def test_all_that_is_worn_is_a_sound_mesh(hair):
    figure = person(look=replace(PLAIN, hair=hair, glasses=hair in ("curly", "long")))[2]
    count = len(figure.vertices)
    assert np.isfinite(figure.vertices).all()
    assert np.abs(figure.vertices).max() < 0.6
    assert (figure.faces.min(), figure.faces.max()) == (0, count - 1)
    assert len(np.unique(figure.faces)) == count, "no vertex is without a face"
    assert figure.uv.shape == (len(figure.faces), 3, 2)
    assert -0.02 < figure.uv.min() <= figure.uv.max() < 1.02
    assert figure.reach.shape == (count, DIRECTIONS)
    assert 0 <= figure.reach.min() <= figure.reach.max() <= 1 + 1e-6


def test_the_same_person_is_dressed_the_same():
    identity, mesh, figure, _ = person()
    again = build_figure(identity, mesh, PLAIN)
    np.testing.assert_array_equal(figure.vertices, again.vertices)
    np.testing.assert_array_equal(figure.reach, again.reach)


def test_glasses_and_hair_are_where_they_belong():
    bare, worn = person()[2], person(look=replace(PLAIN, glasses=True))[2]
    assert len(of_tile(bare, "glasses")) == 0
    glasses = worn.vertices[of_tile(worn, "glasses")]
    for eye in worn.eyes:
        around = glasses[np.abs(glasses[:, 0] - eye[0]) < 0.03]
        assert around[:, 2].max() > eye[2], "before the eyes"
        assert around[:, 1].min() < eye[1] < around[:, 1].max()
    long = person(look=replace(PLAIN, hair="long"))[2]
    assert long.vertices[of_tile(long, "hair"), 1].min() < -0.06, "down to the jaw"
    cap = person(look=replace(PLAIN, hair="cap"))[2]
    assert cap.vertices[of_tile(cap, "headgear"), 2].max() > cap.eyes[:, 2].max() + 0.04, "the brim is ahead"
    bald, curly = (person(look=replace(PLAIN, hair=hair))[2] for hair in ("bald", "curly"))
    top = bald.template[:, 1] > 8.45
    assert 0.015 < (curly.vertices - bald.vertices)[top, 1].mean() < 0.06


def test_the_head_turns_and_the_torso_does_not():
    figure = person()[2]
    y = figure.template[:, 1]
    head, torso = y > 6.6, y < 5.5
    assert head.sum() > 3000
    assert torso.sum() > 200
    assert (figure.turning[head] == 1).all()
    assert (figure.turning[torso] == 0).all()
    between = np.argsort(y)
    assert (np.diff(figure.turning[between]) >= 0).all()
    assert len(np.unique(figure.turning)) > 20, "the neck bends"


def test_facial_actions_only_move_the_face():
    figure = person()[2]
    moved = figure.action_vertices
    assert figure.actions.shape == (len(figure.action_names), len(moved), 3)
    assert np.isfinite(figure.actions).all()
    assert np.abs(figure.actions).max() < 0.05
    assert (figure.template[moved, 1] > 6.2).all(), "nothing below the chin"
    assert (figure.template[moved, 1] < 8.4).all()
    largest = np.linalg.norm(figure.actions, axis=2)
    jaw = figure.actions[figure.action_names.index("jawOpen")]
    assert figure.template[moved[np.argmax(np.linalg.norm(jaw, axis=1))], 1] < 6.8
    assert jaw[:, 1].min() < -0.01, "by a centimetre, downwards"
    blink = largest[figure.action_names.index("eyeBlinkLeft")]
    lid = figure.template[moved[blink > blink.max() / 2]]
    assert lid[lid[:, 2] > 1.1, 0].min() > 0.1, "the person's left is the picture's right"


def test_directions_cover_the_sphere_evenly():
    towards = directions().astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(towards.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(towards.T @ towards / DIRECTIONS, np.eye(3) / 3, atol=0.01)


def test_light_reaches_what_it_can_see():
    figure, towards = person(look=replace(PLAIN, hair="bald"))[2], directions()
    above, below, ahead = towards[:, 1] > 0.9, towards[:, 1] < -0.5, towards[:, 2] > 0.85
    crown = figure.template[:, 1] > 8.45
    assert crown.sum() > 10
    assert figure.reach[crown][:, above].min() > 0.6
    assert figure.reach[crown][:, below].max() < 0.1
    nose = np.argmax(figure.vertices[:, 2])
    assert figure.reach[nose][ahead].min() > 0.6
    assert figure.reach[nose][towards[:, 2] < -0.5].max() < 0.1


def test_what_lies_behind_something_is_in_its_shadow():
    figure, towards = person()[2], directions()
    ahead = towards[:, 2] > 0.85
    assert figure.reach[of_tile(figure, "teeth")][:, ahead].max() < 0.35, "the mouth is shut"
    x, y, z = figure.template.T
    left_of_nose = (x < -0.08) & (x > -0.2) & (np.abs(y - 7.1) < 0.1) & (z > 1.2)
    assert left_of_nose.sum() > 5
    right, left = ((sign * towards[:, 0] > 0.8) & (np.abs(towards[:, 1]) < 0.4) for sign in (1, -1))
    assert figure.reach[left_of_nose][:, left].mean() > 3 * figure.reach[left_of_nose][:, right].mean()
