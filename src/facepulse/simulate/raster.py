"""Which face of a mesh each pixel sees, and what light it sends back: the inner loops of rendering, compiled by numba.

A pixel looks along one ray through its middle, and what the ray meets first is found with a depth buffer. That is what
casting the rays one by one would give; but no structure has to be built anew for every picture of a moving face.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facepulse._types import Floats32, Ints

Marks = NDArray[np.bool_]

# Order of the columns of a vertex's features; the irradiance of each lamp follows.
PULSE, NORMAL_X, NORMAL_Y, NORMAL_Z, LAMPS = 0, 1, 2, 3, 4
GLOSS = 256  # steps of a lamp's mirror image over the cosine, between which it is straight to a thousandth


@njit(cache=True, nogil=True)
def turned(
    vectors: Floats32, turning: Floats32, turn: Floats32, still: Floats32, shift: Floats32, result: Floats32
) -> None:
    """Turn vectors, each by its own share of a turn.

    Args:
        vectors: (V, 3).
        turning: (V,), 1 for `turn` and 0 for `still`; a mix between.
        turn: (3, 3).
        still: (3, 3).
        shift: (3,), added to all.
        result: (V, 3), to be filled.
    """
    for vertex in range(len(vectors)):
        x, y, z = vectors[vertex, 0], vectors[vertex, 1], vectors[vertex, 2]
        share = turning[vertex]
        for axis in range(3):
            resting = still[axis, 0] * x + still[axis, 1] * y + still[axis, 2] * z
            moved = turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z
            result[vertex, axis] = resting + share * (moved - resting) + shift[axis]


@njit(cache=True, nogil=True)
def rasterise(x: Floats32, y: Floats32, nearness: Floats32, faces: Ints, seen: Ints, weights: Floats32) -> None:
    """Find the nearest face at the middle of each pixel; fastest when near faces come first.

    Args:
        x: (V,) in pixels from the left edge of the picture.
        y: (V,) from its upper edge.
        nearness: (V,) 1 / distance along the optical axis; 0 or less is behind the lens.
        faces: (F, 3).
        seen: (rows, columns), to be filled: number of the face, -1 for none.
        weights: (rows, columns, 2), to be filled: weights of the second and third corner, in the face's own plane.
    """
    rows, columns = seen.shape
    depth = np.zeros((rows, columns), np.float32)
    one, half, nothing = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    seen[:] = -1
    for face in range(len(faces)):
        a, b, c = np.uint32(faces[face, 0]), np.uint32(faces[face, 1]), np.uint32(faces[face, 2])
        # From here on places are counted from the first corner, and pixels have their middles at whole numbers.
        ax, ay = x[a] - half, y[a] - half
        bx, by, cx, cy = x[b] - half - ax, y[b] - half - ay, x[c] - half - ax, y[c] - half - ay
        area = bx * cy - by * cx
        if abs(area) < np.float32(1e-9):
            continue
        left = max(int(np.ceil(ax + min(bx, cx, nothing))), 0)
        right = min(int(np.floor(ax + max(bx, cx, nothing))), columns - 1)
        top = max(int(np.ceil(ay + min(by, cy, nothing))), 0)
        bottom = min(int(np.floor(ay + max(by, cy, nothing))), rows - 1)
        if left > right or top > bottom:
            continue  # between the pixels, as most faces are
        na, nb, nc = nearness[a], nearness[b], nearness[c]
        if min(na, nb, nc) <= 0:
            continue
        nearest = max(na, nb, nc)
        scale = one / area
        b_across, b_down, c_across, c_down = cy * scale, -cx * scale, -by * scale, bx * scale
        for row in range(top, bottom + 1):
            down = np.float32(row) - ay
            for column in range(left, right + 1):
                if nearest <= depth[row, column]:
                    continue
                across = np.float32(column) - ax
                wb, wc = across * b_across + down * b_down, across * c_across + down * c_down
                wa = one - wb - wc
                if min(wa, wb, wc) < 0:
                    continue
                near = wa * na + wb * nb + wc * nc
                if near > depth[row, column]:
                    depth[row, column] = near
                    seen[row, column] = face
                    weights[row, column, 0] = wb * nb / near
                    weights[row, column, 1] = wc * nc / near


@njit(cache=True, nogil=True)
def delayed(wave: Floats32, steps: Floats32, result: Floats32) -> None:
    """Linear interpolation of a wave (D,) at steps (V,) from 0 to below D - 1, into (V,)."""
    for vertex in range(len(steps)):
        step = int(steps[vertex])
        result[vertex] = wave[step] + (steps[vertex] - np.float32(step)) * (wave[step + 1] - wave[step])


@njit(cache=True, nogil=True)
def corners(seen: Ints, faces: Ints, marked: Marks) -> None:
    """Mark the vertices of all faces that are seen, in (V,)."""
    marked[:] = False
    for row in range(seen.shape[0]):
        for column in range(seen.shape[1]):
            face = seen[row, column]
            if face >= 0:
                for corner in range(3):
                    marked[faces[face, corner]] = True


@njit(cache=True, nogil=True, inline="always")
def _texel(atlas: Floats32, top: int, left: int, channel: int, across: float, down: float) -> float:
    """Between four texels."""
    upper, lower = atlas[top, left, channel], atlas[top + 1, left, channel]
    upper += across * (atlas[top, left + 1, channel] - upper)
    lower += across * (atlas[top + 1, left + 1, channel] - lower)
    between: float = upper + down * (lower - upper)
    return between


@njit(cache=True, nogil=True)
def shade(
    seen: Ints,
    weights: Floats32,
    faces: Ints,
    uv: Floats32,
    features: Floats32,
    eyes: Floats32,
    atlas: Floats32,
    lamps: Floats32,
    spectrum: Ints,
    whites: Floats32,
    surface: float,
    raw: Floats32,
) -> None:
    """Light that each pixel sends back.

    Args:
        seen: (rows, columns), number of the face, -1 for none.
        weights: (rows, columns, 2) of its second and third corner.
        faces: (F, 3).
        uv: (F, 3, 2) places in the atlas, 0 to 1.
        features: (V, LAMPS + S): blood volume, normal, and irradiance from each of S lamps.
        eyes: (rows, columns, 3) unit vectors towards the lens.
        atlas: (H, W, 1 + 6 K): shine, and for each of K spectra the colour of the surface and its change with blood.
        lamps: (S, 6): unit vector towards each lamp, irradiance, exponent and strength of its mirror image (0: none).
        spectrum: (S,) which of the K each lamp has.
        whites: (K, 3) raw colour of white.
        surface: share of the light that the surface returns all around.
        raw: (rows, columns, 3), to be filled; 0 where there is no face.
    """
    rows, columns = seen.shape
    height, width, _ = atlas.shape
    one, half, nothing, tiny = np.float32(1.0), np.float32(0.5), np.float32(0.0), np.float32(1e-9)
    around = np.float32(surface)
    gloss = np.empty((len(lamps), GLOSS + 2), np.float32)  # the mirror image over the cosine, cheaper than powers
    for lamp in range(len(lamps)):
        for step in range(GLOSS + 2):
            gloss[lamp, step] = lamps[lamp, 5] * (np.float32(step) / np.float32(GLOSS)) ** lamps[lamp, 4]
    for row in range(rows):
        for column in range(columns):
            if seen[row, column] < 0:
                for channel in range(3):
                    raw[row, column, channel] = nothing
                continue
            face = np.uint32(seen[row, column])
            wb, wc = weights[row, column, 0], weights[row, column, 1]
            wa = one - wb - wc
            a, b, c = np.uint32(faces[face, 0]), np.uint32(faces[face, 1]), np.uint32(faces[face, 2])
            u = (wa * uv[face, 0, 0] + wb * uv[face, 1, 0] + wc * uv[face, 2, 0]) * np.float32(width) - half
            v = (wa * uv[face, 0, 1] + wb * uv[face, 1, 1] + wc * uv[face, 2, 1]) * np.float32(height) - half
            u = min(max(u, nothing), np.float32(width - 1.001))
            v = min(max(v, nothing), np.float32(height - 1.001))
            left, top = int(u), int(v)
            du, dv = u - np.float32(left), v - np.float32(top)
            pulse = wa * features[a, PULSE] + wb * features[b, PULSE] + wc * features[c, PULSE]
            nx = wa * features[a, NORMAL_X] + wb * features[b, NORMAL_X] + wc * features[c, NORMAL_X]
            ny = wa * features[a, NORMAL_Y] + wb * features[b, NORMAL_Y] + wc * features[c, NORMAL_Y]
            nz = wa * features[a, NORMAL_Z] + wb * features[b, NORMAL_Z] + wc * features[c, NORMAL_Z]
            length = np.sqrt(nx * nx + ny * ny + nz * nz) + tiny
            ex, ey, ez = eyes[row, column, 0], eyes[row, column, 1], eyes[row, column, 2]
            shine = _texel(atlas, top, left, 0, du, dv)
            red = green = blue = nothing
            for kind in range(len(whites)):
                arriving = mirrored = nothing
                for lamp in range(len(lamps)):
                    if spectrum[lamp] != kind:
                        continue
                    k = LAMPS + lamp
                    light = wa * features[a, k] + wb * features[b, k] + wc * features[c, k]
                    arriving += light
                    if lamps[lamp, 5] > 0:
                        hx, hy, hz = ex + lamps[lamp, 0], ey + lamps[lamp, 1], ez + lamps[lamp, 2]
                        cosine = hx * nx + hy * ny + hz * nz
                        if cosine > 0:
                            cosine /= (np.sqrt(hx * hx + hy * hy + hz * hz) + tiny) * length
                            place = min(cosine, one) * np.float32(GLOSS)
                            below = int(place)
                            dull, bright = gloss[lamp, below], gloss[lamp, below + 1]
                            dull += (place - np.float32(below)) * (bright - dull)
                            mirrored += min(light, lamps[lamp, 3]) * dull
                glare = (mirrored + around * arriving) * shine
                k = 1 + 6 * kind
                skin = _texel(atlas, top, left, k, du, dv) + pulse * _texel(atlas, top, left, k + 3, du, dv)
                red += arriving * skin + whites[kind, 0] * glare
                skin = _texel(atlas, top, left, k + 1, du, dv) + pulse * _texel(atlas, top, left, k + 4, du, dv)
                green += arriving * skin + whites[kind, 1] * glare
                skin = _texel(atlas, top, left, k + 2, du, dv) + pulse * _texel(atlas, top, left, k + 5, du, dv)
                blue += arriving * skin + whites[kind, 2] * glare
            raw[row, column, 0], raw[row, column, 1], raw[row, column, 2] = red, green, blue


@njit(cache=True, nogil=True)
def vertex_normals(vertices: Floats32, faces: Ints) -> Floats32:
    """Unit normals, each the mean of its faces' by area, (V, 3)."""
    normals = np.zeros_like(vertices)
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for vertex in (a, b, c):
            normals[vertex, 0] += nx
            normals[vertex, 1] += ny
            normals[vertex, 2] += nz
    for vertex in range(len(vertices)):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[vertex] /= length
    return normals
