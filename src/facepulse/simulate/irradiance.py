"""Irradiance of each vertex of a person by each lamp, with self-shadowing.

The light of a lamp is a distribution over 128 directions, and each vertex is visible from some of these. Visibility is
constant while a head turns; only the directions of the lamps relative to the head change. They change little from frame
to frame, so that the distribution of a lamp is a linear combination of few basis patterns: the irradiance by each
pattern is summed over the directions once, and combined linearly for each frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numba import njit
from numpy.typing import ArrayLike, NDArray

from facepulse._types import Floats, Floats32, Ints
from facepulse.simulate.raster import vertex_normals

# Fraction of blocked light that arrives by interreflection from the blocking surface: about the reflectance of skin.
INTERREFLECTED = 0.3
DIRECTIONS = 128  # over the whole sphere, 18 degrees apart
SMALLEST_SOFTNESS = 0.30  # radians: half the distance between `directions`, below which lamps would flicker
MINIMUM_COSINE = 0.02  # of the incident light, below which shadows are not computed
RAY_OFFSET = np.float32(0.0015)  # metres above the surface at which rays begin
# Relative residual of a distribution in the basis of a lamp: a hundredth of the resolution of 8 bits.
TOLERANCE = 2e-5


def directions() -> Floats32:
    """Unit vectors evenly distributed over the sphere, (DIRECTIONS, 3): a Fibonacci lattice."""
    index = np.arange(DIRECTIONS) + 0.5
    height = 1 - 2 * index / DIRECTIONS
    angle = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1).astype(np.float32)


def lamp_distribution(towards: Floats32, direction: ArrayLike, softness: ArrayLike, level: ArrayLike) -> Floats32:
    """Distribute the light of lamps over directions, (..., D): a surface that faces a lamp receives its `level`.

    Args:
        towards: unit vectors, (D, 3).
        direction: unit vector towards the centre of the lamp, (..., 3).
        softness: angular radius in radians, (...).
        level: irradiance, (...).
    """
    cosine = np.asarray(direction, np.float32) @ towards.T
    width = np.maximum(softness, SMALLEST_SOFTNESS)[..., None]
    spread = np.exp((cosine - 1) * (1.5 / (1 - np.cos(width))).astype(np.float32))
    facing = np.maximum((spread * np.maximum(cosine, 0.0)).sum(axis=-1, keepdims=True), np.float32(1e-6))
    return np.asarray(np.asarray(level, np.float32)[..., None] * spread / facing, np.float32)


class Visibility:
    """Visibility of the directions of light from the vertices of a mesh at rest.

    Args:
        vertices: float32 (V, 3).
        faces: int32 (F, 3).
    """

    def __init__(self, vertices: Floats32, faces: Ints) -> None:
        self._vertices, self._normals, self._towards = vertices, vertex_normals(vertices, faces), directions()
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, vertices, faces)

    def cosines(self, indices: NDArray[np.intp]) -> Floats32:
        """Cosine of the light from each direction at some vertices, (N, DIRECTIONS), reduced in shadows."""
        normals = self._normals[indices]
        cosines = np.maximum(normals @ self._towards.T, 0.0)
        row, direction = np.nonzero(cosines > MINIMUM_COSINE)
        origins = (self._vertices[indices] + normals * RAY_OFFSET)[row]
        blocked = self._scene.run(origins, self._towards[direction], query="OCCLUDED") >= 0
        cosines[row[blocked], direction[blocked]] *= INTERREFLECTED
        return np.asarray(cosines, np.float32)


class Irradiance:
    """Irradiance of a person by each lamp at any rotation of the head.

    Args:
        vertices: float32 (V, 3) at rest.
        faces: int32 (F, 3).
        head_weights: float32 (V,), skinning weight of the head.
        softness: angular radius of each of S lamps, radians.
    """

    def __init__(self, vertices: Floats32, faces: Ints, head_weights: Floats32, softness: Sequence[float]) -> None:
        self._visibility, self._head_weights = Visibility(vertices, faces), head_weights
        self._softness, self._towards = np.array(softness), directions()
        self._cosines = np.zeros((len(vertices), DIRECTIONS), np.float32)
        self._known = np.zeros(len(vertices), bool)
        # For each lamp: an orthonormal basis of patterns (P, DIRECTIONS), and the irradiance by each pattern (V, P).
        self._patterns = [np.empty((0, DIRECTIONS), np.float32) for _ in softness]
        self._responses = [np.empty((len(vertices), 0), np.float32) for _ in softness]

    def __call__(
        self,
        mask: NDArray[np.bool_],
        rotation: Floats,
        levels: Sequence[float],
        towards: Sequence[Floats],
        result: Floats32,
    ) -> None:
        """Compute the irradiance by each lamp.

        Args:
            mask: (V,), the vertices for which it is computed.
            rotation: (3, 3), of the head.
            levels: irradiance of a surface that faces each lamp.
            towards: unit vector in the world towards each lamp, (3,) each.
            result: (V, S), to be filled for these vertices.
        """
        self._add_vertices(np.flatnonzero(mask & ~self._known))
        relative = np.stack([np.stack(towards) @ rotation, np.stack(towards)], axis=1)  # to the head and the torso
        lamps = lamp_distribution(self._towards, relative, self._softness[:, None], np.asarray(levels)[:, None])
        for index, lamp in enumerate(lamps):
            coefficients = self._coefficients(index, lamp)
            _combine(self._responses[index], coefficients, self._head_weights, mask, result[:, index])

    def _add_vertices(self, indices: NDArray[np.intp]) -> None:
        """Compute visibility and responses of vertices that occur for the first time."""
        if len(indices) == 0:
            return
        self._cosines[indices] = self._visibility.cosines(indices)
        self._known[indices] = True
        for patterns, responses in zip(self._patterns, self._responses, strict=True):
            for column, pattern in enumerate(patterns):
                _add_response(self._cosines, indices, pattern, responses, column)

    def _coefficients(self, index: int, lamp: Floats32) -> Floats32:
        """Coefficients (2, P) of two distributions of a lamp in its basis, which is extended for a large residual."""
        patterns = self._patterns[index]
        coefficients = lamp @ patterns.T
        residual = ((lamp - coefficients @ patterns) ** 2).sum(axis=1)
        if (residual <= TOLERANCE**2 * (lamp**2).sum(axis=1)).all():
            return np.asarray(coefficients, np.float32)
        pattern = lamp[residual.argmax()]
        for _ in range(2):  # Gram-Schmidt; the second time against rounding errors
            pattern = pattern - (patterns @ pattern) @ patterns
            pattern /= np.sqrt((pattern**2).sum())
        responses = np.pad(self._responses[index], ((0, 0), (0, 1)))
        _add_response(self._cosines, np.flatnonzero(self._known), pattern, responses, len(patterns))
        self._patterns[index], self._responses[index] = np.concatenate([patterns, pattern[None]]), responses
        return self._coefficients(index, lamp)


@njit(cache=True, nogil=True, fastmath={"reassoc"})  # lets the sum be vectorised
def _add_response(
    cosines: Floats32, indices: NDArray[np.intp], pattern: Floats32, responses: Floats32, column: int
) -> None:
    """Sum a pattern over the directions for some vertices, into a column of (V, P)."""
    for vertex in indices:
        total = np.float32(0.0)
        for direction in range(len(pattern)):
            total += cosines[vertex, direction] * pattern[direction]
        responses[vertex, column] = total


@njit(cache=True, nogil=True)
def _combine(
    responses: Floats32, coefficients: Floats32, head_weights: Floats32, mask: NDArray[np.bool_], result: Floats32
) -> None:
    """Combine responses (V, P) with the coefficients (2, P) of head and torso, into (V,)."""
    for vertex in range(len(mask)):
        if mask[vertex]:
            head = torso = np.float32(0.0)
            for pattern in range(coefficients.shape[1]):
                head += responses[vertex, pattern] * coefficients[0, pattern]
                torso += responses[vertex, pattern] * coefficients[1, pattern]
            result[vertex] = torso + head_weights[vertex] * (head - torso)
