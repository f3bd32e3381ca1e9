"""What a camera sees of a person: projection, light, and blood.

For every pixel the face of the mesh is found that it looks at. What the surface sends back is, for each light by
itself, the light that reaches it times what the skin there returns (`skin.SkinColours`), which goes down as the blood
in it goes up; and what its surface mirrors, in which there is no pulse. Light is linear and in the camera's own raw
channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepulse._types import Floats, Floats32
from facepulse.simulate.appearance import Paint
from facepulse.simulate.figure import Figure
from facepulse.simulate.irradiance import SMALLEST_SOFTNESS, Irradiance
from facepulse.simulate.light import Lighting
from facepulse.simulate.raster import LAMPS, NORMAL_X, PULSE, corners, delayed, rasterise, shade, turned, vertex_normals
from facepulse.simulate.skin import SPECTRA, Sensor, SkinColours

# What the surface of skin returns at once, without a pulse: 4 to 7 % by Fresnel for an index of 1.42 to 1.55 (Anderson
# & Parrish 1981; Jacques 2013). Part of it comes back in all directions, for skin is rough; part in a broad lobe.
ALL_AROUND = 0.02
SPECULAR, ROUGH_EXPONENT = 0.025, 14.0  # Weyrich 2006
MIRRORED_SOFTNESS = 1.2  # radians: softer lamps have no mirror image

# Arrival of the pulse at the parts of a face: 0 at the carotid's side, some tens of milliseconds later at the forehead
# and the middle of the face (Kamshilin 2013; Moco 2016 found up to about 40 ms across a face).
DELAYS = 12  # steps of the table over which the wave is interpolated


@dataclass(frozen=True)
class View:
    """Which part of a camera's picture is rendered, and how finely.

    Attributes:
        width: of the whole picture in pixels.
        height: of the whole picture in pixels.
        focal: length in pixels.
        distance: metres from the lens to the head's rest place, straight ahead of the lens but for `offset`.
        offset: (x, y) metres by which the rest place lies right of and above the optical axis.
        window: (left, top, width, height) in pixels of the picture; all of it by default.
        shape: (rows, columns) rendered of the window.
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
        """Pixels of the camera to one rendered pixel."""
        return self.window[2] * self.window[3] / (self.shape[0] * self.shape[1])

    def eyes(self) -> Floats32:
        """Unit vectors from each pixel's ray back towards the lens, (rows, columns, 3)."""
        left, top, width, height = self.window
        rows, columns = self.shape
        x = (left + (np.arange(columns) + 0.5) * width / columns - self.width / 2) / self.focal
        y = (self.height / 2 - top - (np.arange(rows) + 0.5) * height / rows) / self.focal
        across, up = np.meshgrid(x, y)
        towards = np.stack([-across, -up, np.ones_like(across)], axis=-1)
        return np.asarray(towards / np.linalg.norm(towards, axis=-1, keepdims=True), np.float32)

    def project(self, points: Floats) -> Floats:
        """From metres relative to the lens to rendered pixels, (N, 2) x and y."""
        projected = points @ self.matrix().T
        return np.asarray(projected[:, :2] / np.maximum(projected[:, 2:], 1e-3))

    def matrix(self) -> Floats:
        """From metres relative to the lens to rendered pixels times the distance, and the distance: (3, 3)."""
        left, top, width, height = self.window
        across, down = self.shape[1] / width, self.shape[0] / height
        middle_x, middle_y = (self.width / 2 - left) * across, (self.height / 2 - top) * down
        return np.array([[self.focal * across, 0.0, -middle_x], [0.0, -self.focal * down, -middle_y], [0.0, 0.0, -1.0]])


@dataclass(frozen=True)
class Pose:
    """Where head and face are at one time.

    Attributes:
        rotation: yaw, pitch, roll in radians.
        position: metres from the rest place.
        expression: weight of each of the figure's facial actions, (A,).
        shake: yaw, pitch, roll of the camera in radians.
    """

    rotation: Floats
    position: Floats
    expression: Floats32
    shake: Floats


def rotation_matrix(angles: Floats) -> Floats:
    """Yaw about y (to the right of the picture), then pitch about x (upwards), then roll about z: (3, 3)."""
    yaw, pitch, roll = angles
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, -pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


class Renderer:
    """Renders one person under one lighting for one camera.

    Args:
        figure: the person's mesh.
        paint: their atlas.
        lighting: the lamps.
        sensor: of the camera.
        view: what is rendered.
    """

    def __init__(self, figure: Figure, paint: Paint, lighting: Lighting, sensor: Sensor, view: View) -> None:
        self.figure, self.view, self.lighting = figure, view, lighting
        self._eyes = view.eyes()
        self._irradiance = Irradiance(
            figure.vertices, figure.faces, figure.head_weights, [source.softness for source in lighting.sources]
        )
        # The nearest faces first, as they lie at rest: what is behind them is then passed over quickly.
        order = np.argsort(-figure.vertices[figure.faces, 2].sum(axis=1), kind="stable")
        self._faces, self._uv = figure.faces[order], figure.uv[order]
        arrival_s = pulse_arrival(figure.template)
        self.delays_s = np.linspace(0.0, float(arrival_s.max()) + 1e-6, DELAYS)
        self._delay_steps = (arrival_s / self.delays_s[-1] * (DELAYS - 1)).astype(np.float32)
        spectra = sorted({source.spectrum for source in lighting.sources})
        self._spectrum = np.array([spectra.index(source.spectrum) for source in lighting.sources], np.int32)
        # What covers the skin has a colour of its own, which no light but white needs to know more about.
        solid = np.maximum(paint.reflectance @ np.linalg.inv(sensor.to_srgb).T.astype(np.float32), 0.0)
        cover = paint.cover[..., None]
        channels, whites = [paint.shine], []
        for name in spectra:
            colours = SkinColours(SPECTRA[name], sensor)
            white = np.asarray(colours.white, np.float32)
            blood = colours.pulse(paint.melanin, paint.blood) * paint.pulsatility[..., None]  # 0 where covered
            skin = (1 - cover) * colours.colour(paint.melanin, paint.blood) + cover * solid * white
            channels += [skin, blood]
            whites.append(white)
        self._atlas = np.ascontiguousarray(np.dstack(channels), np.float32)
        self._whites = np.stack(whites)
        self._seen = np.empty(view.shape, np.int32)
        self._weights = np.empty((*view.shape, 2), np.float32)
        self._marked = np.empty(len(figure.vertices), np.bool_)
        self._points = np.empty_like(figure.vertices)
        self._features = np.empty((len(figure.vertices), LAMPS + len(lighting.sources)), np.float32)
        self._expression = np.full(len(figure.action_names), np.nan, np.float32)

    @property
    def whites(self) -> Floats32:
        """Raw colour of a white diffuser under each source alone at level 1, (S, 3); the main one's first."""
        return self._whites[self._spectrum]

    def render(
        self, pose: Pose, levels: Sequence[float], towards: Sequence[Floats], volume: Floats
    ) -> tuple[Floats32, NDArray[np.uint8]]:
        """One picture.

        Args:
            pose: of head and face.
            levels: irradiance of each source.
            towards: unit vector in the world towards each source, (3,) each.
            volume: of the blood at each of `delays_s` ago, (DELAYS,).

        Returns:
            raw float32 (rows, columns, 3), 0 where nobody is; and where somebody is, uint8 (rows, columns), 0 or 1.
        """
        figure, view = self.figure, self.view
        self._express(pose.expression)
        turn, shake = rotation_matrix(pose.rotation), rotation_matrix(pose.shake)
        pivot = figure.pivot.astype(np.float64)
        # From the figure to the lens: p -> shake (turn (p - pivot) + centre), the torso without the turn.
        centre = pivot + np.array([*view.offset, -view.distance]) + pose.position
        points, features, project = self._points, self._features, view.matrix()
        head, torso, shift = ((project @ part).astype(np.float32) for part in (shake @ turn, shake, shake @ centre))
        turned(self._vertices, figure.head_weights, head, torso, shift, points)
        nearness = np.float32(1) / points[:, 2]
        x, y = (np.asarray(points[:, axis] * nearness) for axis in (0, 1))
        rasterise(x, y, nearness, self._faces, self._seen, self._weights)
        corners(self._seen, self._faces, self._marked)

        delayed(np.asarray(volume, np.float32), self._delay_steps, features[:, PULSE])
        head, torso = (shake @ turn).astype(np.float32), shake.astype(np.float32)
        turned(self._normals, figure.head_weights, head, torso, np.zeros(3, np.float32), features[:, NORMAL_X:LAMPS])
        self._irradiance(self._marked, turn, levels, towards, features[:, LAMPS:])
        raw = np.empty((*view.shape, 3), np.float32)
        shade(
            self._seen,
            self._weights,
            self._faces,
            self._uv,
            features,
            self._eyes,
            self._atlas,
            self._lamps(shake, levels, towards),
            self._spectrum,
            self._whites,
            ALL_AROUND,
            raw,
        )
        return raw, (self._seen >= 0).view(np.uint8)

    def _express(self, weights: Floats32) -> None:
        """Move the vertices of the face, unless they are where they should be."""
        if np.array_equal(weights, self._expression):
            return
        figure = self.figure
        self._expression = weights
        active = np.flatnonzero(weights)
        self._vertices = figure.vertices - figure.pivot
        # Not a product of matrices: for that, numpy would start threads, which go on to take a core from others.
        self._vertices[figure.action_vertices] += np.einsum("a,avk->vk", weights[active], figure.actions[active])
        self._normals = vertex_normals(self._vertices, figure.faces)

    def _lamps(self, shake: Floats, levels: Sequence[float], towards: Sequence[Floats]) -> Floats32:
        """Direction, irradiance and mirror image of each source, (S, 6), as `raster.shade` takes them."""
        lamps = np.zeros((len(levels), 6), np.float32)
        for row, source, direction, level in zip(lamps, self.lighting.sources, towards, levels, strict=True):
            softness = max(source.softness, SMALLEST_SOFTNESS)
            exponent = ROUGH_EXPONENT / (1 + 6 * softness**2)
            row[:3], row[3], row[4] = shake @ direction, level, exponent
            row[5] = (exponent + 8) / 8 * SPECULAR if softness < MIRRORED_SOFTNESS else 0.0
        return lamps


def pulse_arrival(template: Floats32) -> Floats:
    """Delay of the pulse at places on the average head, seconds: later towards the middle of the face and upwards."""
    x, y = np.abs(template[:, 0]), template[:, 1]
    return np.asarray(0.012 + 0.018 * np.clip((y - 6.4) / 1.8, 0, 1) + 0.012 * np.clip(1 - x / 0.8, 0, 1), np.float64)
