"""Rasterisation and shading of a mesh: the inner loops of rendering, compiled by numba.

The face that is visible at the centre of each pixel is found with a depth buffer. The result is that of ray casting,
without an acceleration structure that would have to be rebuilt for every frame of a moving face.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facepulse._types import Floats32, Ints

Marks = NDArray[np.bool_]

# Order of the columns of the features of a vertex; the irradiance of each lamp follows.
PULSE, NORMAL_X, NORMAL_Y, NORMAL_Z, LAMPS = 0, 1, 2, 3, 4
SPECULAR_STEPS = 256  # of the table of the specular lobe over the cosine; linear interpolation errs by a thousandth


@njit(cache=True, nogil=True)
def transform(
    vectors: Floats32, head_weights: Floats32, head: Floats32, torso: Floats32, shift: Floats32, result: Floats32
) -> None:
    """Transform vectors by linear blend skinning between two matrices.

    Args:
        vectors: (V, 3).
        head_weights: (V,), weight of `head`; that of `torso` is the rest.
        head: (3, 3).
        torso: (3, 3).
        shift: (3,), added to all.
        result: (V, 3), to be filled.
    """
    for vertex in range(len(vectors)):
        x, y, z = vectors[vertex, 0], vectors[vertex, 1], vectors[vertex, 2]
        weight = head_weights[vertex]
        for axis in range(3):
            by_torso = torso[axis, 0] * x + torso[axis, 1] * y + torso[axis, 2] * z
            by_head = head[axis, 0] * x + head[axis, 1] * y + head[axis, 2] * z
            result[vertex, axis] = by_torso + weight * (by_head - by_torso) + shift[axis]


@njit(cache=True, nogil=True)
def rasterise(x: Floats32, y: Floats32, inverse_depth: Floats32, faces: Ints, visible: Ints, weights: Floats32) -> None:
    """Find the nearest face at the centre of each pixel; fastest if near faces come first.

    Args:
        x: (V,) in pixels from the left edge of the image.
        y: (V,) in pixels from the upper edge.
        inverse_depth: (V,) 1 / distance along the optical axis; 0 or less is behind the lens.
        faces: (F, 3).
        visible: (rows, columns), to be filled: index of the face, -1 for none.
        weights: (rows, columns, 2), to be filled: barycentric weights of the second and third corner.
    """
    rows, columns = visible.shape
    nearest = np.zeros((rows, columns), np.float32)
    one, half, zero = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    visible[:] = -1
    for face in range(len(faces)):
        a, b, c = np.uint32(faces[face, 0]), np.uint32(faces[face, 1]), np.uint32(faces[face, 2])
        # Coordinates relative to the first corner, with the centres of pixels at integers.
        ax, ay = x[a] - half, y[a] - half
        bx, by, cx, cy = x[b] - half - ax, y[b] - half - ay, x[c] - half - ax, y[c] - half - ay
        area = bx * cy - by * cx
        if abs(area) < np.float32(1e-9):
            continue
        left = max(int(np.ceil(ax + min(bx, cx, zero))), 0)
        right = min(int(np.floor(ax + max(bx, cx, zero))), columns - 1)
        top = max(int(np.ceil(ay + min(by, cy, zero))), 0)
        bottom = min(int(np.floor(ay + max(by, cy, zero))), rows - 1)
        if left > right or top > bottom:
            continue  # most faces contain the centre of no pixel
        na, nb, nc = inverse_depth[a], inverse_depth[b], inverse_depth[c]
        if min(na, nb, nc) <= 0:
            continue
        bound = max(na, nb, nc)
        scale = one / area
        b_across, b_down, c_across, c_down = cy * scale, -cx * scale, -by * scale, bx * scale
        for row in range(top, bottom + 1):
            down = np.float32(row) - ay
            for column in range(left, right + 1):
                if bound <= nearest[row, column]:
                    continue
                across = np.float32(column) - ax
                wb, wc = across * b_across + down * b_down, across * c_across + down * c_down
                wa = one - wb - wc
                if min(wa, wb, wc) < 0:
                    continue
                found = wa * na + wb * nb + wc * nc
                if found > nearest[row, column]:
                    nearest[row, column] = found
                    visible[row, column] = face
                    weights[row, column, 0] = wb * nb / found
                    weights[row, column, 1] = wc * nc / found


@njit(cache=True, nogil=True)
def interpolate(table: Floats32, steps: Floats32, result: Floats32) -> None:
    """Interpolate a table (D,) linearly at steps (V,) from 0 to below D - 1, into (V,)."""
    for vertex in range(len(steps)):
        step = int(steps[vertex])
        result[vertex] = table[step] + (steps[vertex] - np.float32(step)) * (table[step + 1] - table[step])


@njit(cache=True, nogil=True)
def mark_vertices(visible: Ints, faces: Ints, marked: Marks) -> None:
    """Mark the vertices of all visible faces, in (V,)."""
    marked[:] = False
    for row in range(visible.shape[0]):
        for column in range(visible.shape[1]):
            face = visible[row, column]
            if face >= 0:
                for corner in range(3):
                    marked[faces[face, corner]] = True


@njit(cache=True, nogil=True, inline="always")
def _texel(atlas: Floats32, top: int, left: int, channel: int, across: float, down: float) -> float:
    """Interpolate between four texels."""
    upper, lower = atlas[top, left, channel], atlas[top + 1, left, channel]
    upper += across * (atlas[top, left + 1, channel] - upper)
    lower += across * (atlas[top + 1, left + 1, channel] - lower)
    between: float = upper + down * (lower - upper)
    return between


# One function of more than 40 lines: a compiled inner loop over pixels and lamps, whose intermediate values would all
# have to be passed between functions.
@njit(cache=True, nogil=True)
def shade(
    visible: Ints,
    weights: Floats32,
    faces: Ints,
    uv: Floats32,
    features: Floats32,
    to_lens: Floats32,
    atlas: Floats32,
    lamps: Floats32,
    spectrum: Ints,
    whites: Floats32,
    surface: float,
    raw: Floats32,
) -> None:
    """Compute the raw colour of each pixel.

    Args:
        visible: (rows, columns), index of the face, -1 for none.
        weights: (rows, columns, 2), barycentric weights of its second and third corner.
        faces: (F, 3).
        uv: (F, 3, 2) coordinates in the atlas, 0 to 1.
        features: (V, LAMPS + S): blood volume, normal, and irradiance from each of S lamps.
        to_lens: (rows, columns, 3) unit vectors towards the lens.
        atlas: (H, W, 1 + 6 K): shine, and for each of K spectra the colour of the surface and its change with blood.
        lamps: (S, 6): unit vector towards each lamp, irradiance, exponent and strength of its specular lobe (0: none).
        spectrum: (S,) index of the spectrum of each lamp.
        whites: (K, 3) raw colour of white.
        surface: fraction of the light that the surface reflects diffusely.
        raw: (rows, columns, 3), to be filled; 0 without a face.
    """
    rows, columns = visible.shape
    height, width, _ = atlas.shape
    one, half, zero, tiny = np.float32(1.0), np.float32(0.5), np.float32(0.0), np.float32(1e-9)
    around = np.float32(surface)
    lobes = np.empty((len(lamps), SPECULAR_STEPS + 2), np.float32)  # table over the cosine, cheaper than powers
    for lamp in range(len(lamps)):
        for step in range(SPECULAR_STEPS + 2):
            lobes[lamp, step] = lamps[lamp, 5] * (np.float32(step) / np.float32(SPECULAR_STEPS)) ** lamps[lamp, 4]
    for row in range(rows):
        for column in range(columns):
            if visible[row, column] < 0:
                for channel in range(3):
                    raw[row, column, channel] = zero
                continue
            face = np.uint32(visible[row, column])
            wb, wc = weights[row, column, 0], weights[row, column, 1]
            wa = one - wb - wc
            a, b, c = np.uint32(faces[face, 0]), np.uint32(faces[face, 1]), np.uint32(faces[face, 2])
            u = (wa * uv[face, 0, 0] + wb * uv[face, 1, 0] + wc * uv[face, 2, 0]) * np.float32(width) - half
            v = (wa * uv[face, 0, 1] + wb * uv[face, 1, 1] + wc * uv[face, 2, 1]) * np.float32(height) - half
            u = min(max(u, zero), np.float32(width - 1.001))
            v = min(max(v, zero), np.float32(height - 1.001))
            left, top = int(u), int(v)
            du, dv = u - np.float32(left), v - np.float32(top)
            pulse = wa * features[a, PULSE] + wb * features[b, PULSE] + wc * features[c, PULSE]
            nx = wa * features[a, NORMAL_X] + wb * features[b, NORMAL_X] + wc * features[c, NORMAL_X]
            ny = wa * features[a, NORMAL_Y] + wb * features[b, NORMAL_Y] + wc * features[c, NORMAL_Y]
            nz = wa * features[a, NORMAL_Z] + wb * features[b, NORMAL_Z] + wc * features[c, NORMAL_Z]
            length = np.sqrt(nx * nx + ny * ny + nz * nz) + tiny
            ex, ey, ez = to_lens[row, column, 0], to_lens[row, column, 1], to_lens[row, column, 2]
            shine = _texel(atlas, top, left, 0, du, dv)
            red = green = blue = zero
            for kind in range(len(whites)):
                arriving = specular = zero
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
                            step = min(cosine, one) * np.float32(SPECULAR_STEPS)
                            below = int(step)
                            lobe, above = lobes[lamp, below], lobes[lamp, below + 1]
                            lobe += (step - np.float32(below)) * (above - lobe)
                            specular += min(light, lamps[lamp, 3]) * lobe
                glare = (specular + around * arriving) * shine
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
    """Compute unit normals (V, 3): the means of the normals of adjacent faces, weighted by area."""
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
