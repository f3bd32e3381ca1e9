"""Which face of a mesh each pixel sees, and what light it sends back: the inner loops of rendering, compiled by numba.

A pixel looks along one ray through its middle, and what the ray meets first is found with a depth buffer. That is what
casting the rays one by one would give; but no structure has to be built anew for every picture of a moving face.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Order of the columns of a vertex's features; the irradiance of each lamp follows.
PULSE, NORMAL_X, NORMAL_Y, NORMAL_Z, LAMPS = 0, 1, 2, 3, 4


@njit(cache=True, nogil=True)
def rasterise(x: Floats, y: Floats, nearness: Floats, faces: Ints, seen: Ints, weights: Floats) -> None:
    """Find the nearest face at the middle of each pixel.

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
    seen[:] = -1
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if nearness[a] <= 0 or nearness[b] <= 0 or nearness[c] <= 0:
            continue
        ax, ay, bx, by, cx, cy = x[a], y[a], x[b], y[b], x[c], y[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), columns - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), rows - 1)
        for row in range(top, bottom + 1):
            py = row + 0.5
            for column in range(left, right + 1):
                px = column + 0.5
                wb = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
                wc = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
                wa = 1.0 - wb - wc
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                near = wa * nearness[a] + wb * nearness[b] + wc * nearness[c]
                if near > depth[row, column]:
                    depth[row, column] = near
                    seen[row, column] = face
                    weights[row, column, 0] = wb * nearness[b] / near
                    weights[row, column, 1] = wc * nearness[c] / near


@njit(cache=True, nogil=True)
def shade(
    seen: Ints,
    weights: Floats,
    faces: Ints,
    uv: Floats,
    features: Floats,
    eyes: Floats,
    atlas: Floats,
    lamps: Floats,
    spectrum: Ints,
    whites: Floats,
    surface: float,
    raw: Floats,
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
    height, width, channels = atlas.shape
    kinds, count = len(whites), len(lamps)
    here = np.empty(LAMPS + count, np.float32)
    texel = np.empty(channels, np.float32)
    arriving = np.empty(kinds, np.float32)
    mirrored = np.empty(kinds, np.float32)
    for row in range(rows):
        for column in range(columns):
            face = seen[row, column]
            if face < 0:
                raw[row, column] = 0.0
                continue
            wb, wc = weights[row, column, 0], weights[row, column, 1]
            wa = np.float32(1.0) - wb - wc
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            for k in range(LAMPS + count):
                here[k] = wa * features[a, k] + wb * features[b, k] + wc * features[c, k]
            u = (wa * uv[face, 0, 0] + wb * uv[face, 1, 0] + wc * uv[face, 2, 0]) * width - np.float32(0.5)
            v = (wa * uv[face, 0, 1] + wb * uv[face, 1, 1] + wc * uv[face, 2, 1]) * height - np.float32(0.5)
            u = min(max(u, np.float32(0.0)), np.float32(width - 1.001))
            v = min(max(v, np.float32(0.0)), np.float32(height - 1.001))
            left, top = int(u), int(v)
            du, dv = u - np.float32(left), v - np.float32(top)
            w00, w01 = (1 - du) * (1 - dv), du * (1 - dv)
            w10, w11 = (1 - du) * dv, du * dv
            for k in range(channels):
                texel[k] = (
                    w00 * atlas[top, left, k]
                    + w01 * atlas[top, left + 1, k]
                    + w10 * atlas[top + 1, left, k]
                    + w11 * atlas[top + 1, left + 1, k]
                )
            nx, ny, nz = here[NORMAL_X], here[NORMAL_Y], here[NORMAL_Z]
            length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9)
            ex, ey, ez = eyes[row, column, 0], eyes[row, column, 1], eyes[row, column, 2]
            for kind in range(kinds):
                arriving[kind] = 0.0
                mirrored[kind] = 0.0
            for lamp in range(count):
                light = here[LAMPS + lamp]
                arriving[spectrum[lamp]] += light
                if lamps[lamp, 5] > 0:
                    hx, hy, hz = ex + lamps[lamp, 0], ey + lamps[lamp, 1], ez + lamps[lamp, 2]
                    norm = np.sqrt(hx * hx + hy * hy + hz * hz) + np.float32(1e-9)
                    cosine = (hx * nx + hy * ny + hz * nz) / (norm * length)
                    if cosine > 0:
                        mirrored[spectrum[lamp]] += (
                            min(light, lamps[lamp, 3]) * lamps[lamp, 5] * cosine ** lamps[lamp, 4]
                        )
            for channel in range(3):
                total = np.float32(0.0)
                for kind in range(kinds):
                    skin = texel[1 + 6 * kind + channel] + here[PULSE] * texel[4 + 6 * kind + channel]
                    total += arriving[kind] * skin
                    total += whites[kind, channel] * (mirrored[kind] + surface * arriving[kind]) * texel[0]
                raw[row, column, channel] = total


@njit(cache=True, nogil=True)
def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
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
