"""Texture atlas of a person, and positions on the head of average shape.

Features are located on the head of average shape (`head.average_head`), whose coordinates every vertex of a head keeps:
x to the right of the image, y up, z forward, in decimetres. The eyes are at x +-0.3, y 7.47, z 1.24, the nose at y
7.07, the mouth at 6.74, the chin at 6.3 and the crown at 8.55.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy import ndimage

from facepulse._types import Floats32
from facepulse.simulate.assets import PARTS, head_assets
from facepulse.simulate.head import Identity, average_head

# The atlas has ATLAS_ROWS by ATLAS_COLUMNS texels: the island of the head on the left, and one tile for each other
# material, (row, column, rows, columns).
ATLAS_ROWS, ATLAS_COLUMNS, ISLAND_COLUMNS = 1024, 768, 512
TILES = {
    "eye": (0, 512, 256, 256),
    "teeth": (256, 512, 64, 256),
    "tongue": (320, 512, 64, 256),
    "hair": (384, 512, 256, 256),
    "torso": (640, 512, 256, 256),
    "headgear": (896, 512, 64, 256),
    "glasses": (960, 512, 64, 256),
}

EYE_RADIUS, IRIS_RADIUS = 0.145, 0.059  # dm; an iris is 11.8 mm across (Hashemi 2015)


@dataclass(frozen=True)
class Paint:
    """Texture atlas, texel by texel.

    Attributes:
        melanin: float32 (rows, columns), volume fraction in the epidermis.
        blood: float32 (rows, columns), mean blood content of the dermis, 1 is normal.
        pulsatility: float32 (rows, columns), strength of the pulse, about 1 on cheeks and forehead.
        cover: float32 (rows, columns), 0 for bare skin, 1 if it is covered completely.
        reflectance: float32 (rows, columns, 3), linear sRGB of the cover.
        shine: float32 (rows, columns), strength of the specular reflection, 1 for normal skin.
    """

    melanin: Floats32
    blood: Floats32
    pulsatility: Floats32
    cover: Floats32
    reflectance: Floats32
    shine: Floats32


def smooth_step(x: Floats32, low: float, high: float) -> Floats32:
    """Smooth step: 0 below `low`, 1 above `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


@lru_cache(maxsize=4)
def island_positions(rows: int, columns: int) -> Floats32:
    """Position of each texel of the island on the average head, (rows, columns, 3); gaps take the nearest one."""
    assets = head_assets()
    inside = ((assets.uv > -0.02) & (assets.uv < 1.02)).all(axis=(1, 2)) & (assets.parts == PARTS.index("skin"))
    corners = np.concatenate([assets.uv[inside], np.zeros((inside.sum(), 3, 1), np.float32)], axis=2)
    flat = np.ascontiguousarray(corners.reshape(-1, 3))
    scene = EmbreeScene()
    _mesh = TriangleMesh(scene, flat, np.arange(len(flat), dtype=np.int32).reshape(-1, 3))
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    origins = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3).astype(np.float32)
    hit = scene.run(origins, np.tile(np.array([0, 0, -1], np.float32), (len(origins), 1)), output=1)
    triangle = np.maximum(hit["primID"], 0)
    u, v = hit["u"][:, None], hit["v"][:, None]
    vertices = average_head()[assets.faces[inside][triangle]]
    positions = ((1 - u - v) * vertices[:, 0] + u * vertices[:, 1] + v * vertices[:, 2]).reshape(rows, columns, 3)
    missed = (hit["primID"] < 0).reshape(rows, columns)
    nearest = ndimage.distance_transform_edt(missed, return_distances=False, return_indices=True)
    return np.asarray(positions[tuple(nearest)], np.float32)


def azimuth(position: Floats32) -> Floats32:
    """Angle around the head in radians: 0 in front, pi at the back, equal on both sides."""
    return np.asarray(np.abs(np.arctan2(position[..., 0], position[..., 2] - 0.35)), np.float32)


# Height of the hairline at some angles around the head: forehead, temple, before the ear, behind it, nape.
_HAIRLINE_RAD = np.radians([0, 25, 48, 62, 78, 92, 105, 130, 180])
_HAIRLINE_Y = np.array([8.20, 8.20, 8.06, 7.80, 7.36, 7.40, 7.02, 6.72, 6.62])


def hair_cover(position: Floats32, raised: float = 0.0) -> Floats32:
    """Fraction of the skin covered by hair at a position, 0 to 1; `raised` lifts the line over the forehead (dm)."""
    angle = azimuth(position)
    line = np.interp(angle, _HAIRLINE_RAD, _HAIRLINE_Y) + raised * np.clip(1.2 - angle, 0.0, 1.0)
    return smooth_step(np.asarray(position[..., 1] - line, np.float32), -0.05, 0.05)


# Extent of the front of the torso in its tile: left, right, bottom, top in decimetres.
_TORSO = (-3.0, 3.0, 3.0, 6.6)


def torso_uv(position: Floats32) -> Floats32:
    """Map positions to the tile of the torso, (..., 2), 0 to 1, v downwards."""
    left, right, bottom, top = _TORSO
    across = (position[..., 0] - left) / (right - left)
    return np.clip(np.stack([across, (top - position[..., 1]) / (top - bottom)], axis=-1), 0.0, 1.0).astype(np.float32)


def shirt_cover(uv: Floats32, identity: Identity) -> Floats32:
    """Fraction covered by the shirt at `torso_uv`, 0 to 1: everything below a round or pointed neckline."""
    rng = identity.rng(4)
    depth, width, power = float(rng.uniform(0.0, 0.45)), float(rng.uniform(0.6, 0.95)), float(rng.uniform(1.0, 3.0))
    left, right, bottom, top = _TORSO
    x, y = left + uv[..., 0] * (right - left), top - uv[..., 1] * (top - bottom)
    neckline = 5.7 - depth + (depth + 0.35) * np.clip(np.abs(x) / width, 0, 1) ** power
    return smooth_step(np.asarray(neckline - y, np.float32), -0.02, 0.02)
