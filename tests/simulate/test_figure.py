"""Mesh of a dressed person: hair, glasses, skinning weights and facial actions."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.simulate.figure import HAIR_THICKNESS, build_figure
from simulated_people import PLAIN, needs_heads, of_tile, person

pytestmark = needs_heads


@pytest.mark.parametrize("hair", HAIR_THICKNESS)
def test_mesh_is_valid_for_every_hair_style(hair):
    figure = person(look=replace(PLAIN, hair=hair, glasses=hair in ("curly", "long")))[2]
    count = len(figure.vertices)
    assert np.isfinite(figure.vertices).all()
    assert np.abs(figure.vertices).max() < 0.6
    assert (figure.faces.min(), figure.faces.max()) == (0, count - 1)
    assert len(np.unique(figure.faces)) == count, "every vertex belongs to a face"
    assert figure.uv.shape == (len(figure.faces), 3, 2)
    assert -0.02 < figure.uv.min() <= figure.uv.max() < 1.02


def test_figure_is_deterministic():
    identity, mesh, figure, _ = person()
    again = build_figure(identity, mesh, PLAIN)
    np.testing.assert_array_equal(figure.vertices, again.vertices)
    np.testing.assert_array_equal(figure.faces, again.faces)


def test_positions_of_glasses_long_hair_cap_and_curls():
    without, figure = person()[2], person(look=replace(PLAIN, glasses=True))[2]
    assert len(of_tile(without, "glasses")) == 0
    glasses = figure.vertices[of_tile(figure, "glasses")]
    eyes = person()[1].eyes
    for eye in eyes:
        around = glasses[np.abs(glasses[:, 0] - eye[0]) < 0.03]
        assert around[:, 2].max() > eye[2], "in front of the eyes"
        assert around[:, 1].min() < eye[1] < around[:, 1].max()
    long = person(look=replace(PLAIN, hair="long"))[2]
    assert long.vertices[of_tile(long, "hair"), 1].min() < -0.06, "down to the jaw"
    cap = person(look=replace(PLAIN, hair="cap"))[2]
    assert cap.vertices[of_tile(cap, "headgear"), 2].max() > eyes[:, 2].max() + 0.04, "the brim is in front of the face"
    bald, curly = (person(look=replace(PLAIN, hair=hair))[2] for hair in ("bald", "curly"))
    top = bald.template[:, 1] > 8.45
    assert 0.015 < (curly.vertices - bald.vertices)[top, 1].mean() < 0.06


def test_skinning_weight_is_one_on_the_head_and_zero_on_the_torso():
    figure = person()[2]
    y = figure.template[:, 1]
    head, torso = y > 6.6, y < 5.5
    assert head.sum() > 3000
    assert torso.sum() > 200
    assert (figure.head_weights[head] == 1).all()
    assert (figure.head_weights[torso] == 0).all()
    assert (np.diff(figure.head_weights[np.argsort(y)]) >= 0).all()
    assert len(np.unique(figure.head_weights)) > 20, "the neck bends"


def test_facial_actions_move_only_the_face():
    figure = person()[2]
    moved = figure.action_vertices
    assert figure.actions.shape == (len(figure.action_names), len(moved), 3)
    assert np.isfinite(figure.actions).all()
    assert np.abs(figure.actions).max() < 0.05
    assert (figure.template[moved, 1] > 6.2).all(), "no vertex below the chin"
    assert (figure.template[moved, 1] < 8.4).all()
    largest = np.linalg.norm(figure.actions, axis=2)
    jaw = figure.actions[figure.action_names.index("jawOpen")]
    assert figure.template[moved[np.argmax(np.linalg.norm(jaw, axis=1))], 1] < 6.8
    assert jaw[:, 1].min() < -0.01, "down by a centimetre"
    blink = largest[figure.action_names.index("eyeBlinkLeft")]
    lid = figure.template[moved[blink > blink.max() / 2]]
    assert lid[lid[:, 2] > 1.1, 0].min() > 0.1, "the left eye is on the right of the image"
