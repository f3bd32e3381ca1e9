"""How much light of each lamp reaches each place on a person, through the shadows that the person throws on themselves.

A lamp's light comes from some of 128 directions, and each vertex sees some of these. Both stay as they are while a
head turns, but for the lamps' places as the head sees them. As these move little from picture to picture, the light of
a lamp is always nearly a mix of few patterns: what each pattern gives is summed over the directions once, and mixed for
each picture.
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

# What blocks light is lit itself, and passes some of it on: about the reflectance of skin.
INTERREFLECTED = 0.3
DIRECTIONS = 128  # over the whole sphere, 18 degrees apart: what a lamp's softness has to cover (`light.Source`)
SMALLEST_SOFTNESS = 0.30  # radians: half the distance between `directions`, below which lamps would flicker
GRAZING = 0.02  # cosine up to which a surface gets no light that could be shadowed
CLEARANCE = np.float32(0.0015)  # metres above the surface at which rays begin
# Of a lamp's spread over the directions, what may be missing in a mix: a hundredth of what eight bits can show.
LEFT_OUT = 2e-5


def directions() -> Floats32:
    """Unit vectors spread evenly over the sphere, (DIRECTIONS, 3): a spiral (Fibonacci lattice)."""
    index = np.arange(DIRECTIONS) + 0.5
    height = 1 - 2 * index / DIRECTIONS
    angle = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1).astype(np.float32)


def lamp(towards: Floats32, direction: ArrayLike, softness: ArrayLike, level: ArrayLike) -> Floats32:
    """How lamps' light is spread over directions: (..., D), so that a surface that faces a lamp receives its `level`.

    Args:
        towards: unit vectors, (D, 3).
        direction: unit vector towards the lamp's middle, (..., 3).
        softness: angular radius in radians, (...).
        level: irradiance, (...).
    """
    cosine = np.asarray(direction, np.float32) @ towards.T
    width = np.maximum(softness, SMALLEST_SOFTNESS)[..., None]
    spread = np.exp((cosine - 1) * (1.5 / (1 - np.cos(width))).astype(np.float32))
    facing = np.maximum((spread * np.maximum(cosine, 0.0)).sum(axis=-1, keepdims=True), np.float32(1e-6))
    return np.asarray(np.asarray(level, np.float32)[..., None] * spread / facing, np.float32)


class Reach:
    """Which light reaches what of a mesh at rest.

    Args:
        vertices: float32 (V, 3).
        faces: int32 (F, 3).
    """

    def __init__(self, vertices: Floats32, faces: Ints) -> None:
        self._vertices, self._normals, self._towards = vertices, vertex_normals(vertices, faces), directions()
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, vertices, faces)

    def of(self, places: NDArray[np.intp]) -> Floats32:
        """Cosines at which light from each direction arrives at some vertices, (N, DIRECTIONS); less in a shadow."""
        normals = self._normals[places]
        cosines = np.maximum(normals @ self._towards.T, 0.0)
        row, direction = np.nonzero(cosines > GRAZING)
        origins = (self._vertices[places] + normals * CLEARANCE)[row]
        blocked = self._scene.run(origins, self._towards[direction], query="OCCLUDED") >= 0
        cosines[row[blocked], direction[blocked]] *= INTERREFLECTED
        return np.asarray(cosines, np.float32)


class Irradiance:
    """What a person gets of each lamp, however they turn.

    Args:
        vertices: float32 (V, 3) at rest.
        faces: int32 (F, 3).
        turning: float32 (V,), how far each vertex turns with the head.
        softness: of each of S lamps, radians.
    """

    def __init__(self, vertices: Floats32, faces: Ints, turning: Floats32, softness: Sequence[float]) -> None:
        self._shadows, self._turning, self._softness = Reach(vertices, faces), turning, np.array(softness)
        self._towards = directions()
        self._reach = np.zeros((len(vertices), DIRECTIONS), np.float32)
        self._known = np.zeros(len(vertices), bool)
        # Of each lamp: patterns over the directions, orthonormal (P, DIRECTIONS), and what each gives (V, P).
        self._patterns = [np.empty((0, DIRECTIONS), np.float32) for _ in softness]
        self._given = [np.empty((len(vertices), 0), np.float32) for _ in softness]

    def __call__(
        self,
        wanted: NDArray[np.bool_],
        turn: Floats,
        levels: Sequence[float],
        towards: Sequence[Floats],
        result: Floats32,
    ) -> None:
        """Irradiance by each lamp.

        Args:
            wanted: (V,), the vertices that are asked for.
            turn: (3, 3), of the head.
            levels: irradiance of a surface that faces each lamp.
            towards: unit vector in the world towards each lamp, (3,) each.
            result: (V, S), to be filled for those vertices.
        """
        self._look_at(np.flatnonzero(wanted & ~self._known))
        seen_from = np.stack([np.stack(towards) @ turn, np.stack(towards)], axis=1)  # by the head and by the torso
        spreads = lamp(self._towards, seen_from, self._softness[:, None], np.asarray(levels)[:, None])
        for number, spread in enumerate(spreads):
            mix = self._mix(number, spread)
            _mixed(self._given[number], mix, self._turning, wanted, result[:, number])

    def _look_at(self, places: NDArray[np.intp]) -> None:
        """Find out what reaches vertices that nobody has wanted so far."""
        if len(places) == 0:
            return
        self._reach[places] = self._shadows.of(places)
        self._known[places] = True
        for patterns, given in zip(self._patterns, self._given, strict=True):
            for column, pattern in enumerate(patterns):
                _gathered(self._reach, places, pattern, given, column)

    def _mix(self, number: int, spreads: Floats32) -> Floats32:
        """How much of each of a lamp's patterns two spreads hold, (2, P); what they hold besides is a new pattern."""
        patterns = self._patterns[number]
        mix = spreads @ patterns.T
        left_out = ((spreads - mix @ patterns) ** 2).sum(axis=1)
        if (left_out <= LEFT_OUT**2 * (spreads**2).sum(axis=1)).all():
            return np.asarray(mix, np.float32)
        rest = spreads[left_out.argmax()]
        for _ in range(2):  # the second time for what rounding has left
            rest = rest - (patterns @ rest) @ patterns
            rest /= np.sqrt((rest**2).sum())
        given = np.pad(self._given[number], ((0, 0), (0, 1)))
        _gathered(self._reach, np.flatnonzero(self._known), rest, given, len(patterns))
        self._patterns[number], self._given[number] = np.concatenate([patterns, rest[None]]), given
        return self._mix(number, spreads)


@njit(cache=True, nogil=True, fastmath={"reassoc"})  # so that the sum is one over eight lanes
def _gathered(reach: Floats32, places: NDArray[np.intp], pattern: Floats32, given: Floats32, column: int) -> None:
    """What a pattern gives to some vertices: the sum over the directions, into a column of (V, P)."""
    for place in places:
        total = np.float32(0.0)
        for direction in range(len(pattern)):
            total += reach[place, direction] * pattern[direction]
        given[place, column] = total


@njit(cache=True, nogil=True)
def _mixed(given: Floats32, mix: Floats32, turning: Floats32, wanted: NDArray[np.bool_], result: Floats32) -> None:
    """A mix (2, P), of the head's light and the torso's, of what patterns give (V, P), into (V,)."""
    for vertex in range(len(wanted)):
        if wanted[vertex]:
            head = torso = np.float32(0.0)
            for pattern in range(mix.shape[1]):
                head += given[vertex, pattern] * mix[0, pattern]
                torso += given[vertex, pattern] * mix[1, pattern]
            result[vertex] = torso + turning[vertex] * (head - torso)
