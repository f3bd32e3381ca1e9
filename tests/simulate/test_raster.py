"""Compiled loops of the renderer against slow reference implementations."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from facepulse.simulate.raster import LAMPS, NORMAL_X, PULSE, rasterise, shade, vertex_normals

ROWS, COLUMNS, FOCAL = 24, 32, 30.0
seeds = st.integers(0, 2**32 - 1)


def rasterised(points, faces):
    """Return the result of `rasterise` for points in metres, x right, y down, z away from the lens."""
    x = (points[:, 0] / points[:, 2] * FOCAL + COLUMNS / 2).astype(np.float32)
    y = (points[:, 1] / points[:, 2] * FOCAL + ROWS / 2).astype(np.float32)
    visible, weights = np.full((ROWS, COLUMNS), 99, np.int32), np.full((ROWS, COLUMNS, 2), np.nan, np.float32)
    rasterise(x, y, (1 / points[:, 2]).astype(np.float32), faces, visible, weights)
    return visible, weights


def cast(points, faces):
    """Intersect pixel rays with all faces (Moeller and Trumbore): distance and weights (rows, columns, F)."""
    row, column = np.mgrid[:ROWS, :COLUMNS] + 0.5
    ray = np.stack([(column - COLUMNS / 2) / FOCAL, (row - ROWS / 2) / FOCAL, np.ones_like(row)], axis=-1)[:, :, None]
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    across = np.cross(ray, c - a)
    scale = (across * (b - a)).sum(axis=-1)
    wb = -(across * a).sum(axis=-1) / scale
    along = np.cross(-a, b - a)
    wc = (ray * along).sum(axis=-1) / scale
    return (along * (c - a)).sum(axis=-1) / scale, wb, wc


@settings(max_examples=60)
@given(seed=seeds, count=st.integers(1, 12))
def test_rasterisation_equals_ray_casting(seed, count):
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1.2, -1.0, 1.0], [1.2, 1.0, 6.0], (3 * count, 3))
    points[:, :2] *= points[:, 2:] / 2
    faces = rng.permutation(3 * count).reshape(-1, 3).astype(np.int32)
    visible, weights = rasterised(points, faces)
    distance, wb, wc = cast(points, faces)
    margin = np.minimum(np.minimum(wb, wc), 1 - wb - wc)
    distance = np.where(margin > 0, distance, np.inf)
    first = np.sort(np.concatenate([distance, np.full((ROWS, COLUMNS, 1), np.inf)], axis=2), axis=2)[..., :2]
    # Single precision may give another result on edges and intersections of faces.
    with np.errstate(invalid="ignore"):
        distinct = (np.abs(margin) > 1e-3).all(axis=2) & ~(np.diff(first, axis=2)[..., 0] < 1e-3)
    assert distinct.mean() > 0.8
    expected = np.where(np.isfinite(first[..., 0]), distance.argmin(axis=2), -1)
    np.testing.assert_array_equal(visible[distinct], expected[distinct])
    hit = distinct & (expected >= 0)
    at = (*np.nonzero(hit), expected[hit])
    np.testing.assert_allclose(weights[hit], np.stack([wb[at], wc[at]], axis=1), atol=2e-3)


def test_weights_are_corrected_for_perspective():
    """A floor that recedes from the lens: the middle in the image is far from the middle of the floor."""
    points = np.array([[-1, 0.5, 1], [1, 0.5, 1], [0, 0.5, 9]])
    visible, weights = rasterised(points, np.array([[0, 1, 2]], np.int32))
    column = COLUMNS // 2
    rows = np.flatnonzero(visible[:, column] == 0)
    depth = 0.5 * FOCAL / (rows + 0.5 - ROWS / 2)
    np.testing.assert_allclose(weights[rows, column, 1], (depth - 1) / 8, atol=1e-3)


def test_faces_behind_the_lens_or_outside_the_image_are_invisible():
    ahead = np.array([[-1, -1, 2], [1, -1, 2], [0, 1, 2]], float)
    faces = np.array([[0, 1, 2]], np.int32)
    assert (rasterised(ahead, faces)[0] == 0).any()
    assert (rasterised(ahead * [1, 1, -1], faces)[0] == -1).all()
    assert (rasterised(ahead + np.array([50, 0, 0]), faces)[0] == -1).all()


def test_adjacent_faces_leave_no_gap():
    grid = np.arange(36).reshape(6, 6)
    a, b, c, d = (corner.ravel() for corner in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)
    x, y = np.meshgrid(np.linspace(-2, 2, 6), np.linspace(-2, 2, 6))
    assert (rasterised(np.stack([x.ravel(), y.ravel(), np.full(36, 2.0)], 1), faces)[0] >= 0).all()


def reference_shade(visible, weights, faces, uv, features, to_lens, atlas, lamps, spectrum, whites, surface):
    """Compute the same as `shade` from its documentation, one pixel and one lamp at a time."""
    raw = np.zeros((*visible.shape, 3))
    for pixel in zip(*np.nonzero(visible >= 0), strict=True):
        corners = np.array([1 - weights[pixel].sum(), *weights[pixel]], float)
        here = corners @ features[faces[visible[pixel]]]
        u, v = corners @ uv[visible[pixel]] * atlas.shape[1::-1] - 0.5
        texel = np.array(
            [map_coordinates(channel, [[v], [u]], order=1, mode="nearest")[0] for channel in np.moveaxis(atlas, 2, 0)]
        )
        normal = here[NORMAL_X : NORMAL_X + 3] / np.linalg.norm(here[NORMAL_X : NORMAL_X + 3])
        for lamp, light, kind in zip(lamps, here[LAMPS:], spectrum, strict=True):
            colour, change = texel[1 + 6 * kind : 4 + 6 * kind], texel[4 + 6 * kind : 7 + 6 * kind]
            half = to_lens[pixel] + lamp[:3]
            cosine = max(half @ normal / np.linalg.norm(half), 0.0)
            specular = min(light, lamp[3]) * lamp[5] * cosine ** lamp[4]
            raw[pixel] += light * (colour + here[PULSE] * change)
            raw[pixel] += texel[0] * whites[kind] * (specular + surface * light)
    return raw


@settings(max_examples=20)
@given(seed=seeds, lamps=st.integers(1, 4), kinds=st.integers(1, 3))
def test_shading_equals_the_reference(seed, lamps, kinds):
    rng = np.random.default_rng(seed)

    def unit(*shape):
        vectors = rng.normal(size=(*shape, 3))
        return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)

    visible = rng.integers(-1, 4, (3, 5)).astype(np.int32)
    weights = rng.dirichlet((1, 1, 1), (3, 5))[..., 1:].astype(np.float32)
    faces = rng.integers(0, 6, (4, 3)).astype(np.int32)
    uv = rng.uniform(-0.1, 1.1, (4, 3, 2)).astype(np.float32)
    features = np.concatenate([rng.normal(size=(6, 1)), unit(6), rng.uniform(0, 1, (6, lamps))], 1).astype(np.float32)
    atlas = rng.uniform(0, 1, (7, 9, 1 + 6 * kinds)).astype(np.float32)
    lights = np.concatenate([unit(lamps), rng.uniform([0, 1, 0], [1, 20, 0.3], (lamps, 3))], 1).astype(np.float32)
    lights[rng.random(lamps) < 0.3, 5] = 0.0
    arguments = (
        visible,
        weights,
        faces,
        uv,
        features,
        unit(3, 5),
        atlas,
        lights,
        rng.integers(0, kinds, lamps).astype(np.int32),
        rng.uniform(0.5, 1.5, (kinds, 3)).astype(np.float32),
        0.02,
    )
    raw = np.full((3, 5, 3), np.nan, np.float32)
    shade(*arguments, raw)
    np.testing.assert_allclose(raw, reference_shade(*arguments), rtol=2e-3, atol=2e-3)


@settings(max_examples=20)
@given(seed=seeds)
def test_normals_are_area_weighted_means(seed):
    rng = np.random.default_rng(seed)
    vertices, faces = rng.normal(size=(9, 3)).astype(np.float32), rng.integers(0, 8, (12, 3)).astype(np.int32)
    expected = np.zeros((9, 3))
    for a, b, c in faces:
        for corner in (a, b, c):
            expected[corner] += np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    defined = lengths[:, 0] > 1e-2
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals[defined], (expected / np.maximum(lengths, 1e-9))[defined], atol=1e-3)
    assert (normals[8] == 0).all(), "a vertex without a face has no normal"


def test_normals_of_a_box_point_outward():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    normals = vertex_normals(corners, faces)
    assert ((normals * corners).sum(axis=1) > 1.5).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert np.abs(normals.sum(axis=0)).max() < 1e-6
