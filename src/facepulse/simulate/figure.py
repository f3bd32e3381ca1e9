"""Mesh of a dressed person: head, hair, glasses, neck and clothes.

The head turns about its pivot, the torso is translated with it, and the neck bends between them. Facial actions move
some vertices of the head.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats32, Ints
from facepulse.simulate.assets import METRES, PARTS
from facepulse.simulate.atlas import (
    ATLAS_COLUMNS,
    ATLAS_ROWS,
    EYE_RADIUS,
    ISLAND_COLUMNS,
    TILES,
    hair_cover,
    shirt_cover,
    torso_uv,
)
from facepulse.simulate.head import HeadMesh, Identity
from facepulse.simulate.look import Look
from facepulse.simulate.raster import vertex_normals

MINIMUM_OFFSET = 5e-5  # metres: a facial action does not move vertices with smaller offsets
CLOTH_THICKNESS = 0.010  # metres between the skin and the outside of a shirt
NECK_Y = (5.6, 6.5)  # lower and upper end of the neck on the average head (dm)

# Thickness in metres of each hair style: (top, sides).
HAIR_THICKNESS = {
    "bald": (0.0, 0.0),
    "short": (0.010, 0.004),
    "full": (0.024, 0.012),
    "curly": (0.035, 0.030),
    "long": (0.016, 0.012),
    "fringe": (0.020, 0.012),
    "cap": (0.012, 0.006),
}


@dataclass(frozen=True)
class Figure:
    """Mesh of a dressed person at rest.

    Attributes:
        vertices: float32 (V, 3) metres, origin inside the head.
        faces: int32 (F, 3).
        uv: float32 (F, 3, 2) in the atlas of `atlas.Paint`, v downwards.
        head_weights: float32 (V,), skinning weight of the head: 1 on the head, 0 on the torso, between on the neck.
        action_vertices: int (M,), the vertices that facial actions move.
        actions: float32 (A, M, 3) metres, offset of these vertices at each facial action in full.
        action_names: names of the facial actions.
        template: float32 (V, 3), position on the average head, decimetres.
        pivot: float32 (3,), centre of rotation of the head.
    """

    vertices: Floats32
    faces: Ints
    uv: Floats32
    head_weights: Floats32
    action_vertices: NDArray[np.int64]
    actions: Floats32
    action_names: tuple[str, ...]
    template: Floats32
    pivot: Floats32


class _Mesh(NamedTuple):
    """Part of a figure, with the same arrays as `Figure`."""

    vertices: Floats32
    template: Floats32
    faces: Ints
    uv: Floats32


@dataclass
class _Parts:
    """Meshes to be concatenated."""

    vertices: list[Floats32] = field(default_factory=list)
    template: list[Floats32] = field(default_factory=list)
    faces: list[Ints] = field(default_factory=list)
    uv: list[Floats32] = field(default_factory=list)
    count: int = 0

    def add(self, vertices: Floats32, template: Floats32, faces: Ints, uv: Floats32) -> NDArray[np.int64]:
        """Add a mesh without the vertices that no face uses; return the old indices of the others, in new order."""
        used, compact = np.unique(faces, return_inverse=True)
        self.vertices.append(np.asarray(vertices[used], np.float32))
        self.template.append(np.asarray(template[used], np.float32))
        self.faces.append((compact.reshape(faces.shape) + self.count).astype(np.int32))
        self.uv.append(np.asarray(uv, np.float32))
        self.count += len(used)
        return used.astype(np.int64)


def build_figure(identity: Identity, mesh: HeadMesh, look: Look) -> Figure:
    """Build the mesh of a person from their head: with hair, clothes, a cap and glasses."""
    rng = identity.rng(3)
    parts = _Parts()
    uv, body = _atlas_uv(mesh)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    hair = normals * _hair_thickness(mesh.template, look, rng)[:, None]
    kept = parts.add(mesh.vertices + hair, mesh.template, mesh.faces[~body], uv[~body])
    clothes = CLOTH_THICKNESS * shirt_cover(torso_uv(mesh.template), identity)
    parts.add(mesh.vertices + normals * clothes[:, None], mesh.template, mesh.faces[body], uv[body])
    if look.hair == "long":
        parts.add(*_long_hair(mesh, rng))
    if look.hair == "cap":
        parts.add(*_brim(mesh))
    if look.glasses:
        for part in _glasses(mesh, rng):
            parts.add(*part)

    # The first part is the head, which facial actions move.
    moved = np.flatnonzero((np.abs(mesh.actions).max(axis=(0, 2)) > MINIMUM_OFFSET)[kept])
    template = np.concatenate(parts.template)
    return Figure(
        vertices=np.concatenate(parts.vertices),
        faces=np.concatenate(parts.faces),
        uv=np.concatenate(parts.uv),
        head_weights=np.clip((template[:, 1] - NECK_Y[0]) / (NECK_Y[1] - NECK_Y[0]), 0.0, 1.0),
        action_vertices=moved,
        actions=np.ascontiguousarray(mesh.actions[:, kept[moved]]),
        action_names=mesh.action_names,
        template=template,
        pivot=mesh.pivot,
    )


def _atlas_uv(mesh: HeadMesh) -> tuple[Floats32, NDArray[np.bool_]]:
    """Atlas coordinates of all faces of a head, and a mask of those that belong to the torso."""
    uv = np.array(mesh.uv)
    skin = mesh.parts == PARTS.index("skin")
    island = skin & ((mesh.uv > -0.02) & (mesh.uv < 1.02)).all(axis=(1, 2))
    uv[island] *= (ISLAND_COLUMNS / ATLAS_COLUMNS, 1.0)
    corners = mesh.template[mesh.faces]
    eye = mesh.parts == PARTS.index("eye")
    uv[eye] = _eye_uv(corners[eye])
    for name in ("teeth", "tongue"):
        inside = mesh.parts == PARTS.index(name)
        uv[inside] = _in_tile(name, corners[inside][..., :2])
    # Nostrils, eye sockets and the inside of the mouth have islands of their own; all other islands are of the torso.
    cavities = skin & ~island & ((mesh.uv[..., 0].mean(axis=1) > 0) | (corners[..., 1].mean(axis=1) > 7.0))
    uv[cavities] = _in_tile("tongue", corners[cavities][..., :2])
    body = skin & ~island & ~cavities
    uv[body] = _in_tile("torso", torso_uv(corners[body]))
    return uv, body


def _in_tile(name: str, uv: Floats32) -> Floats32:
    """Atlas coordinates of coordinates within a tile; those outside 0..1 are mirrored, which avoids seams."""
    row, column, rows, columns = TILES[name]
    folded = np.abs((uv + 1.0) % 2.0 - 1.0)
    inside = 0.04 + 0.92 * folded
    return np.asarray((inside * (columns, rows) + (column, row)) / (ATLAS_COLUMNS, ATLAS_ROWS), np.float32)


def _eye_uv(corners: Floats32) -> Floats32:
    """Atlas coordinates of the eyes: the iris points forward at rest and is fixed to the eyeball."""
    middle = np.where(corners[..., :1].mean(axis=1, keepdims=True) > 0, 1.0, -1.0)
    centres = {side: corners[(middle[:, 0, 0] == side)].reshape(-1, 3)[:, :2] for side in (-1.0, 1.0)}
    uv = np.zeros((*corners.shape[:2], 2), np.float32)
    for side, places in centres.items():
        centre = (places.min(axis=0) + places.max(axis=0)) / 2
        eye = middle[:, 0, 0] == side
        uv[eye] = (corners[eye][..., :2] - centre) / EYE_RADIUS / 2.2 + 0.5
    uv[..., 1] = 1 - uv[..., 1]
    return _in_tile("eye", np.clip(uv, 0.0, 1.0))


def _hair_thickness(template: Floats32, look: Look, rng: np.random.Generator) -> Floats32:
    """Height of the hair above the scalp, metres at each vertex."""
    top, sides = HAIR_THICKNESS[look.hair]
    height = np.clip((template[:, 1] - 7.4) / 0.9, 0.0, 1.0)
    thickness = (sides + (top - sides) * height) * hair_cover(
        template - np.array([0, 0.12, 0], np.float32), -0.3 if look.covers_forehead else 0.0
    )
    # Locks: a smooth random field over the scalp.
    wave_vectors = rng.normal(0.0, 9.0 if look.hair == "curly" else 5.0, (3, 24))
    noise = np.cos(template @ wave_vectors + rng.uniform(0, 2 * np.pi, 24)).sum(axis=1) / np.sqrt(12)
    locks = np.exp((0.16 if look.hair == "curly" else 0.12) * noise)
    ears = (np.abs(template[:, 0]) > 0.72) & (template[:, 1] < 7.65)
    return np.asarray(thickness * locks * ~ears, np.float32)


def _grid_faces(rows: int, columns: int) -> Ints:
    """Triangles of a grid of vertices, row by row."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]).astype(
        np.int32
    )


def _surface(grid: Floats32, mesh: HeadMesh, tile: str) -> _Mesh:
    """Surface through a grid of positions on the average head, fitted to this head and textured with a whole tile."""
    rows, columns = grid.shape[:2]
    faces = _grid_faces(rows, columns)
    across, down = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    uv = _in_tile(tile, np.stack([across, down], -1).reshape(-1, 2).astype(np.float32))[faces]
    template = grid.reshape(-1, 3).astype(np.float32)
    return _Mesh(_fit(template, mesh), template, faces, uv)


def _fit(template: Floats32, mesh: HeadMesh) -> Floats32:
    """Map positions on the average head to this one: scaled to the breadth, depth and height of its skull."""
    skull = (mesh.template[:, 1] > 7.3) & (np.abs(mesh.template[:, 0]) < 0.8)
    own, average = mesh.vertices[skull], mesh.template[skull] * METRES
    scale = np.ptp(own, axis=0) / np.ptp(average, axis=0)
    shift = (own.max(axis=0) + own.min(axis=0)) / 2 - scale * (average.max(axis=0) + average.min(axis=0)) / 2
    return np.asarray(template * METRES * scale + shift, np.float32)


def _long_hair(mesh: HeadMesh, rng: np.random.Generator) -> _Mesh:
    """Long hair: a surface around the sides and the back, down to the jaw or the shoulders."""
    end = float(rng.uniform(5.5, 6.5))
    opening = float(rng.uniform(np.radians(62), np.radians(84)))
    azimuth = np.linspace(opening, 2 * np.pi - opening, 40)
    height = np.linspace(8.35, end, 18)
    angle, y = np.meshgrid(azimuth, height)
    fall = np.clip((8.35 - y) / 0.9, 0.0, 1.0) ** 0.5
    ripple = 0.02 * np.sin(angle * rng.integers(7, 14) + 3 * y) + 0.012 * rng.standard_normal(angle.shape)
    breadth = 0.30 + 0.66 * fall + 0.05 * np.clip(7.2 - y, 0, 1) + ripple
    depth = 0.45 + 0.72 * fall + ripple
    grid = np.stack([breadth * np.sin(angle), y, 0.12 + depth * np.cos(angle)], -1)
    return _surface(grid.astype(np.float32), mesh, "hair")


def _brim(mesh: HeadMesh) -> _Mesh:
    """Brim of a cap: a bent crescent over the forehead."""
    angle, out = np.meshgrid(np.radians(np.linspace(-52, 52, 25)), np.linspace(0.0, 1.0, 6))
    length = 0.62 * np.cos(angle * 1.45) * out
    # The brim starts inside the cap, which avoids a gap.
    x, z = 0.76 * np.sin(angle) * (1 + 0.15 * out), 0.12 + 1.02 * np.cos(angle) + length
    y = 8.03 - 0.20 * np.sin(angle) ** 2 - 0.16 * out
    return _surface(np.stack([x, y, z], -1).astype(np.float32), mesh, "headgear")


def _glasses(mesh: HeadMesh, rng: np.random.Generator) -> list[_Mesh]:
    """Glasses: two rims, a bridge and two temples."""
    width, height = float(rng.uniform(0.22, 0.27)), float(rng.uniform(0.15, 0.23))
    squareness, thick = float(rng.uniform(2.0, 4.5)), float(rng.uniform(0.010, 0.022))
    front = float(mesh.template[np.abs(mesh.template[:, 1] - 7.45) < 0.05][:, 2].max()) + 0.06
    paths = []
    turn = np.linspace(0, 2 * np.pi, 33)
    for side in (-1.0, 1.0):
        c, s = np.cos(turn), np.sin(turn)
        bend = 1 / (np.abs(c) ** squareness + np.abs(s) ** squareness) ** (1 / squareness)
        x = side * 0.325 + width * c * bend
        rim = np.stack([x, 7.45 + height * s * bend, front - 0.10 * np.abs(x)], 1)
        outer = side * (0.325 + width)
        temple = np.linspace([outer, 7.50, front - 0.10 * abs(outer)], [side * 0.80, 7.52, 0.0], 8)
        paths += [rim, temple]
    paths.append(np.linspace([-0.325 + width, 7.48, front], [0.325 - width, 7.48, front], 4))
    return [_tube(path.astype(np.float32), thick, mesh) for path in paths]


def _tube(path: Floats32, radius: float, mesh: HeadMesh) -> _Mesh:
    """Tube with five sides along a path on the average head."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, np.where(np.abs(along[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(along, across)
    turn = np.linspace(0, 2 * np.pi, 6)
    ring = path[:, None] + radius * (np.cos(turn)[:, None] * across[:, None] + np.sin(turn)[:, None] * up[:, None])
    return _surface(ring.astype(np.float32), mesh, "glasses")
