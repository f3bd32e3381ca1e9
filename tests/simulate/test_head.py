"""Identities are reproducible and distinct, and head meshes have human dimensions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from facepulse.simulate.assets import PARTS
from facepulse.simulate.head import SPLITS, average_head, draw_identity, head_mesh
from simulated_people import needs_heads

pytestmark = needs_heads

TYPES = (1, 2, 3, 4, 5, 6)
numbers, splits = st.integers(0, 10**9), st.sampled_from(SPLITS)


def face(mesh):
    """Return a mask of the vertices of the skin at the front of the head."""
    skin = np.isin(np.arange(len(mesh.vertices)), mesh.faces[mesh.parts == PARTS.index("skin")])
    x, y, z = mesh.template.T
    return skin & (z > 0.7) & (y > 6.3) & (y < 8.2) & (np.abs(x) < 0.8)


def height(mesh):
    """Return the height from chin to crown in metres."""
    x, y, z = mesh.template.T
    chin = (np.abs(x) < 0.15) & (y > 6.2) & (y < 6.6) & (z > 1.0)
    return mesh.vertices[:, 1].max() - mesh.vertices[chin, 1].min()


@settings(max_examples=25)
@given(split=splits, number=numbers)
def test_number_determines_the_person(split, number):
    once, again = draw_identity(split, number, TYPES), draw_identity(split, number, TYPES)
    assert once == again
    np.testing.assert_array_equal(once.rng(7).random(3), again.rng(7).random(3))
    assert 18 <= once.years <= 75
    assert sum(once.ancestry) == pytest.approx(1)
    assert all(0 <= weight <= 1 for weight in (*once.traits.values(), once.muscle, once.weight))
    assert once.fitzpatrick in TYPES


@settings(max_examples=25)
@given(number=numbers, other=numbers)
def test_people_of_different_splits_and_numbers_differ(number, other):
    people = [draw_identity(split, n, (3,)) for split in SPLITS for n in {number, other}]
    traits = np.array([[person.traits.get(name, 0.0) for name in people[0].traits] for person in people])
    distance = np.abs(traits[:, None] - traits).max(axis=2) + np.eye(len(people))
    assert distance.min() > 0.05
    assert len({person.years for person in people}) == len({person.rng(1).random() for person in people}) == len(people)


def test_meshes_of_people_differ_by_more_than_a_millimetre():
    meshes = [head_mesh(draw_identity(split, number, (3,))) for split in SPLITS for number in (1, 2)]
    np.testing.assert_array_equal(meshes[0].vertices, head_mesh(draw_identity("train", 1, (3,))).vertices)
    shapes = np.array([mesh.vertices[face(mesh)] for mesh in meshes])
    distance = np.linalg.norm(shapes[:, None] - shapes, axis=-1).mean(axis=-1)
    assert distance[np.triu_indices(len(meshes), 1)].min() > 1e-3


@settings(max_examples=12)
@given(split=splits, number=numbers)
def test_heads_have_human_size_and_symmetry(split, number):
    mesh = head_mesh(draw_identity(split, number, TYPES))
    assert np.isfinite(mesh.vertices).all()
    assert 0.18 < height(mesh) < 0.29
    right, left = mesh.eyes
    assert 0.050 < left[0] - right[0] < 0.075, "between pupils: 54 to 74 mm (Dodgson 2004)"
    assert right[0] < 0 < left[0], "the right eye of the person is on the left of the image"
    assert abs(mesh.eyes.mean(axis=0)[0]) < 0.003
    assert np.abs(mesh.eyes[:, 1]).max() < 0.003
    assert 0.04 < mesh.eyes[:, 2].mean() < 0.11
    assert mesh.pivot[1] < -0.03

    front = face(mesh)
    template, vertices = mesh.template[front], mesh.vertices[front]
    mirrored = cKDTree(template).query(template * [-1, 1, 1])[1]
    asymmetry = np.linalg.norm(vertices[mirrored] * [-1, 1, 1] - vertices, axis=1)
    assert 1e-5 < np.median(asymmetry) < 2.5e-3, "nearly but not exactly symmetric"
    assert asymmetry.max() < 0.012


@pytest.mark.slow
def test_mean_height_of_heads_is_human():
    heights = np.array([height(head_mesh(draw_identity("train", number, TYPES))) for number in range(40)])
    assert heights.mean() == pytest.approx(0.225, abs=0.01)
    assert ((heights > 0.19) & (heights < 0.29)).mean() > 0.95


def test_landmarks_of_the_average_head_are_those_of_the_atlas():
    head = average_head()
    nose = head[np.argmax(np.where(head[:, 1] < 7.4, head[:, 2], 0.0))]
    np.testing.assert_allclose(nose, [0.0, 7.1, 1.65], atol=0.06)
    assert head[:, 1].max() == pytest.approx(8.55, abs=0.06)


def test_age_weight_and_gender_change_the_shape():
    mesh = head_mesh(identity := draw_identity("train", 3, (2,)))
    front = face(mesh)
    for change in ({"years": 75.0}, {"weight": 1.0}, {"gender": "male" if identity.gender == "female" else "female"}):
        other = head_mesh(type(identity)(**{**vars(identity), **change}))
        assert np.linalg.norm((other.vertices - mesh.vertices)[front], axis=1).max() > 1e-3, change


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be one of train, validation, test"):
        draw_identity("holdout", 1, (2,))
