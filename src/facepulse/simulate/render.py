"""Rendering of a person: projection, light and blood volume.

The visible face of the mesh is found for every pixel. Its colour is, for each light, the irradiance times the diffuse
colour of the skin (`skin.SkinColours`), which falls as blood volume rises, plus specular reflection without a pulse.
All values are linear, in the raw channels of the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32
from facepulse.simulate.atlas import Paint
from facepulse.simulate.figure import Figure
from facepulse.simulate.irradiance import SMALLEST_SOFTNESS, Irradiance
from facepulse.simulate.light import Lighting
from facepulse.simulate.raster import (
    LAMPS,
    NORMAL_X,
    PULSE,
    interpolate,
    mark_vertices,
    rasterise,
    shade,
    transform,
    vertex_normals,
)
from facepulse.simulate.skin import SPECTRA, Sensor, SkinColours

# Reflection at the surface of skin, without a pulse: 4 to 7 % by Fresnel for an index of 1.42 to 1.55 (Anderson &
# Parrish 1981; Jacques 2013). Skin is rough: one part is reflected in all directions, the other in a broad lobe.
ALL_AROUND = 0.02
SPECULAR, ROUGH_EXPONENT = 0.025, 14.0  # Weyrich 2006
SPECULAR_SOFTNESS = 1.2  # radians: softer lamps have no specular lobe

DELAYS = 12  # entries of the table of delays by which blood volume is interpolated


@dataclass(frozen=True)
class View:
    """Camera geometry, and the rendered part of the frame with its resolution.

    Attributes:
        width: of the whole frame in pixels.
        height: of the whole frame in pixels.
        focal: focal length in pixels.
        distance: metres from the lens to the rest position of the head along the optical axis.
        offset: (x, y) metres by which the rest position is right of and above the optical axis.
        window: rendered part of the frame, (left, top, width, height) in pixels.
        shape: (rows, columns) of the rendered image.
    """

    width: int
    height: int
    focal: float
    distance: float
    offset: tuple[float, float]
    window: tuple[float, float, float, float]
    shape: tuple[int, int]

    @property
    def binning(self) -> float:
        """Number of camera pixels per rendered pixel."""
        return self.window[2] * self.window[3] / (self.shape[0] * self.shape[1])

    def to_lens(self) -> Floats32:
        """Return the unit vector towards the lens along the ray of each pixel, (rows, columns, 3)."""
        left, top, width, height = self.window
        rows, columns = self.shape
        x = (left + (np.arange(columns) + 0.5) * width / columns - self.width / 2) / self.focal
        y = (self.height / 2 - top - (np.arange(rows) + 0.5) * height / rows) / self.focal
        across, up = np.meshgrid(x, y)
        towards = np.stack([-across, -up, np.ones_like(across)], axis=-1)
        return np.asarray(towards / np.linalg.norm(towards, axis=-1, keepdims=True), np.float32)

    def project(self, points: Floats) -> Floats:
        """Project points in metres relative to the lens to rendered pixels, (N, 2) x and y."""
        projected = points @ self.matrix().T
        return np.asarray(projected[:, :2] / np.maximum(projected[:, 2:], 1e-3))

    def matrix(self) -> Floats:
        """Return the projection matrix (3, 3): metres relative to the lens to pixels times depth, and depth."""
        left, top, width, height = self.window
        across, down = self.shape[1] / width, self.shape[0] / height
        middle_x, middle_y = (self.width / 2 - left) * across, (self.height / 2 - top) * down
        return np.array([[self.focal * across, 0.0, -middle_x], [0.0, -self.focal * down, -middle_y], [0.0, 0.0, -1.0]])


@dataclass(frozen=True)
class Pose:
    """Pose of the head, expression of the face and rotation of the camera at one time.

    Attributes:
        rotation: yaw, pitch, roll in radians.
        position: metres from the rest position.
        expression: weight of each facial action of the figure, (A,).
        shake: yaw, pitch, roll of the camera in radians.
    """

    rotation: Floats
    position: Floats
    expression: Floats32
    shake: Floats


def rotation_matrix(angles: Floats) -> Floats:
    """Compute the matrix (3, 3) of yaw about y (to the right of the image), pitch about x (up) and roll about z."""
    yaw, pitch, roll = angles
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, -pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


class Renderer:
    """Renderer of one person in one lighting for one camera.

    Args:
        figure: mesh of the person.
        paint: texture atlas of the person.
        lighting: the light sources.
        sensor: of the camera.
        view: camera geometry and resolution.
    """

    def __init__(self, figure: Figure, paint: Paint, lighting: Lighting, sensor: Sensor, view: View) -> None:
        self.figure, self.view, self.lighting = figure, view, lighting
        self._to_lens = view.to_lens()
        self._irradiance = Irradiance(
            figure.vertices, figure.faces, figure.head_weights, [source.softness for source in lighting.sources]
        )
        # The faces that are nearest at rest come first, so that hidden faces are skipped quickly.
        order = np.argsort(-figure.vertices[figure.faces, 2].sum(axis=1), kind="stable")
        self._faces, self._uv = figure.faces[order], figure.uv[order]
        arrival_s = pulse_arrival(figure.template)
        self.delays_s = np.linspace(0.0, float(arrival_s.max()) + 1e-6, DELAYS)
        self._delay_steps = (arrival_s / self.delays_s[-1] * (DELAYS - 1)).astype(np.float32)
        spectra = sorted({source.spectrum for source in lighting.sources})
        self._spectrum = np.array([spectra.index(source.spectrum) for source in lighting.sources], np.int32)
        # The cover of the skin has an RGB reflectance: its colour under a light is that times the colour of white.
        solid = np.maximum(paint.reflectance @ np.linalg.inv(sensor.to_srgb).T.astype(np.float32), 0.0)
        cover = paint.cover[..., None]
        channels, whites = [paint.shine], []
        for name in spectra:
            colours = SkinColours(SPECTRA[name], sensor)
            white = np.asarray(colours.white, np.float32)
            blood = colours.pulse(paint.melanin, paint.blood) * paint.pulsatility[..., None]  # 0 if covered
            skin = (1 - cover) * colours.colour(paint.melanin, paint.blood) + cover * solid * white
            channels += [skin, blood]
            whites.append(white)
        self._atlas = np.ascontiguousarray(np.dstack(channels), np.float32)
        self._whites = np.stack(whites)
        self._visible = np.empty(view.shape, np.int32)
        self._weights = np.empty((*view.shape, 2), np.float32)
        self._marked = np.empty(len(figure.vertices), np.bool_)
        self._points = np.empty_like(figure.vertices)
        self._features = np.empty((len(figure.vertices), LAMPS + len(lighting.sources)), np.float32)
        self._expression = np.full(len(figure.action_names), np.nan, np.float32)

    @property
    def whites(self) -> Floats32:
        """Raw colour of a white diffuser under each source alone at level 1, (S, 3)."""
        return self._whites[self._spectrum]

    def render(
        self, pose: Pose, levels: Sequence[float], towards: Sequence[Floats], volume: Floats
    ) -> tuple[Floats32, NDArray[np.uint8]]:
        """Render one frame.

        Args:
            pose: of head, face and camera.
            levels: irradiance of each source.
            towards: unit vector in the world towards each source, (3,) each.
            volume: blood volume delayed by each of `delays_s`, (DELAYS,).

        Returns:
            The raw image, float32 (rows, columns, 3), 0 outside the person, and the mask of the person, uint8 (rows,
            columns), 0 or 1.
        """
        figure, view = self.figure, self.view
        self._express(pose.expression)
        turn, shake = rotation_matrix(pose.rotation), rotation_matrix(pose.shake)
        pivot = figure.pivot.astype(np.float64)
        # From the figure to the lens: p -> shake (turn (p - pivot) + centre), without `turn` for the torso.
        centre = pivot + np.array([*view.offset, -view.distance]) + pose.position
        points, features, project = self._points, self._features, view.matrix()
        head, torso, shift = ((project @ term).astype(np.float32) for term in (shake @ turn, shake, shake @ centre))
        transform(self._vertices, figure.head_weights, head, torso, shift, points)
        inverse_depth = np.float32(1) / points[:, 2]
        x, y = (np.asarray(points[:, axis] * inverse_depth) for axis in (0, 1))
        rasterise(x, y, inverse_depth, self._faces, self._visible, self._weights)
        mark_vertices(self._visible, self._faces, self._marked)

        interpolate(np.asarray(volume, np.float32), self._delay_steps, features[:, PULSE])
        head, torso = (shake @ turn).astype(np.float32), shake.astype(np.float32)
        transform(self._normals, figure.head_weights, head, torso, np.zeros(3, np.float32), features[:, NORMAL_X:LAMPS])
        self._irradiance(self._marked, turn, levels, towards, features[:, LAMPS:])
        raw = np.empty((*view.shape, 3), np.float32)
        shade(
            self._visible,
            self._weights,
            self._faces,
            self._uv,
            features,
            self._to_lens,
            self._atlas,
            self._lamps(shake, levels, towards),
            self._spectrum,
            self._whites,
            ALL_AROUND,
            raw,
        )
        return raw, (self._visible >= 0).view(np.uint8)

    def _express(self, weights: Floats32) -> None:
        """Move the vertices of the face to an expression, unless they have it already."""
        if np.array_equal(weights, self._expression):
            return
        figure = self.figure
        self._expression = weights
        active = np.flatnonzero(weights)
        self._vertices = figure.vertices - figure.pivot
        # Not a matrix product, for which numpy would start threads that keep a core busy.
        self._vertices[figure.action_vertices] += np.einsum("a,avk->vk", weights[active], figure.actions[active])
        self._normals = vertex_normals(self._vertices, figure.faces)

    def _lamps(self, shake: Floats, levels: Sequence[float], towards: Sequence[Floats]) -> Floats32:
        """Direction, irradiance and specular lobe of each source, (S, 6), the argument of `raster.shade`."""
        lamps = np.zeros((len(levels), 6), np.float32)
        for row, source, direction, level in zip(lamps, self.lighting.sources, towards, levels, strict=True):
            softness = max(source.softness, SMALLEST_SOFTNESS)
            exponent = ROUGH_EXPONENT / (1 + 6 * softness**2)
            row[:3], row[3], row[4] = shake @ direction, level, exponent
            row[5] = (exponent + 8) / 8 * SPECULAR if softness < SPECULAR_SOFTNESS else 0.0
        return lamps


def pulse_arrival(template: Floats32) -> Floats:
    """Return the delay of the pulse in seconds at positions on the average head, (V, 3) decimetres.

    It rises towards the centre line of the face and upwards: up to about 40 ms across a face (Kamshilin 2013; Moco
    2016).
    """
    x, y = np.abs(template[:, 0]), template[:, 1]
    return np.asarray(0.012 + 0.018 * np.clip((y - 6.4) / 1.8, 0, 1) + 0.012 * np.clip(1 - x / 0.8, 0, 1), np.float64)
