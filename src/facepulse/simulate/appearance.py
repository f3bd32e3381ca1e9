"""Appearance of a person, painted on the atlas: skin, lips, brows, beard, hair, eyes and clothes.

The atlas contains melanin and blood of the skin and the reflectance of everything else; colours follow from the
spectrum of each light (`skin.SkinColours`). Positions are in decimetres on the head of average shape (see `atlas`).
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from facepulse._types import Floats32
from facepulse.simulate.assets import head_assets
from facepulse.simulate.atlas import (
    ATLAS_COLUMNS,
    ATLAS_ROWS,
    EYE_RADIUS,
    IRIS_RADIUS,
    ISLAND_COLUMNS,
    TILES,
    Paint,
    azimuth,
    hair_cover,
    island_positions,
    shirt_cover,
    smooth_step,
)
from facepulse.simulate.head import Identity
from facepulse.simulate.look import Look
from facepulse.simulate.skin import MELANIN

# Mean strength of the pulse in a face relative to `SkinColours.pulse`: median over people, and spread in ln units.
PERFUSION, PERFUSION_SPREAD = 1.45, 0.33


def _noise(rng: np.random.Generator, rows: int, columns: int, grain: float) -> Floats32:
    """Draw a smooth random field of unit standard deviation; `grain` is its scale in texels."""
    coarse = max(int(rows / grain), 2), max(int(columns / grain), 2)
    field = rng.standard_normal(coarse).astype(np.float32)
    wide = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide / max(float(wide.std()), 1e-6), np.float32)


class _Island:
    """Geometry of the island of the head, and the random fields painted on it.

    Args:
        rng: source of all randomness.
        scale: of the atlas.
    """

    def __init__(self, rng: np.random.Generator, scale: float) -> None:
        self.rng, self.scale = rng, scale
        self.shape = self.rows, self.columns = round(ATLAS_ROWS * scale), round(ISLAND_COLUMNS * scale)
        self.position = island_positions(self.rows, self.columns)
        masks = cv2.resize(head_assets().masks, (self.columns, self.rows), interpolation=cv2.INTER_AREA)
        self.lips, self.ears, self.eyelids = (
            cv2.GaussianBlur(masks[..., index].astype(np.float32) / 255, (0, 0), 2.0 * scale) for index in range(3)
        )
        self.x, self.y, self.z = np.abs(self.position[..., 0]), self.position[..., 1], self.position[..., 2]

    def noise(self, grain: float) -> Floats32:
        """Draw a smooth random field of unit standard deviation; `grain` is its scale in texels of the full atlas."""
        return _noise(self.rng, *self.shape, grain * self.scale)

    def bump(self, x: float, y: float, width: float, height: float) -> Floats32:
        """Return a Gaussian on both sides of the face, 1 at its centre."""
        distance = ((self.x - x) / width) ** 2 + ((self.y - y) / height) ** 2
        return np.asarray(np.exp(-0.5 * distance) * smooth_step(self.z, 0.3, 0.8), np.float32)


class _Cover:
    """Everything that covers the skin of the island, one layer over the other.

    Attributes:
        cover: float32 (rows, columns), 0 to 1.
        reflectance: float32 (rows, columns, 3).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.cover, self.reflectance = np.zeros(shape, np.float32), np.zeros((*shape, 3), np.float32)

    def add(self, mask: Floats32, colour: Floats32 | tuple[float, ...]) -> None:
        """Add a layer over the skin and the layers so far."""
        total = self.cover + mask - self.cover * mask
        share = np.divide(mask, total, out=np.zeros_like(mask), where=total > 1e-6)[..., None]
        self.reflectance = (1 - share) * self.reflectance + share * np.asarray(colour, np.float32)
        self.cover = total


def paint(identity: Identity, look: Look, scale: float = 1.0) -> Paint:
    """Paint the atlas of a person.

    Args:
        identity: the person.
        look: hair, beard, glasses and make-up of the person.
        scale: of the atlas; one half is sufficient for faces of up to a hundred pixels.
    """
    rng = identity.rng(2)
    island = _Island(rng, scale)
    low, high = MELANIN[identity.fitzpatrick]
    tone = low * (high / low) ** float(rng.uniform(0.1, 0.9))
    melanin, blood = _melanin(island, identity, tone), _blood(island)
    pulsatility, shine = _pulsatility(island), _shine(island)

    layers = _Cover(island.shape)
    if look.makeup:
        _add_makeup(layers, island, identity)
    hair_colour = _hair_colour(identity, rng)
    strands = np.exp(0.35 * island.noise(2.2))[..., None] * hair_colour
    _add_lashes(layers, island, look, hair_colour)
    _add_brows(layers, island, identity, hair_colour)
    if look.beard > 0:
        _add_beard(layers, island, look, strands)
    _add_hair(layers, island, identity, look, strands)
    cloth, headgear = _cloth_colour(rng), _cloth_colour(rng)
    if look.hair == "cap":
        rim = np.interp(azimuth(island.position), [0, 1.4, 3.2], [8.0, 7.85, 7.5]).astype(np.float32)
        layers.add(smooth_step(island.y - rim, 0.0, 0.04), headgear)

    def extended(texture: Floats32, default: float) -> Floats32:
        """Extend a texture of the island to the whole atlas."""
        whole = np.full((island.rows, round(ATLAS_COLUMNS * scale), *texture.shape[2:]), default, np.float32)
        whole[:, : island.columns] = texture
        return whole

    atlas = Paint(
        melanin=extended(melanin, tone),
        blood=extended(blood, 1.0),
        pulsatility=extended(np.clip(pulsatility, 0.05, 4.0), 0.0),
        cover=extended(layers.cover, 1.0),
        reflectance=extended(layers.reflectance, 0.0),
        shine=extended(np.clip(shine, 0.0, 4.0) * (1 - layers.cover) + 0.25 * layers.cover, 0.5),
    )
    _paint_tiles(identity, atlas, scale, rng, hair_colour, cloth, headgear)
    return replace(atlas, pulsatility=atlas.pulsatility * (1 - atlas.cover))


def _melanin(island: _Island, identity: Identity, tone: float) -> Floats32:
    """Melanin of the skin: blotches, pores and spots; darker around the eyes, lighter on lips of light skin."""
    rng = island.rng
    blotch, fine, pores = (island.noise(grain) for grain in (60, 14, 2.6))
    melanin = tone * np.exp(0.06 * blotch + 0.05 * fine + 0.04 * pores)
    melanin *= 1.0 + rng.uniform(0.05, 0.3) * island.bump(0.3, 7.42, 0.22, 0.12)
    spots = island.noise(5) > rng.uniform(2.3, 3.6)
    melanin *= 1.0 + rng.uniform(0.2, 0.9) * cv2.GaussianBlur(spots.astype(np.float32), (0, 0), 1.2 * island.scale)
    melanin *= 1.0 - 0.45 * island.lips * (identity.fitzpatrick < 5)
    return np.asarray(melanin, np.float32)


def _blood(island: _Island) -> Floats32:
    """Mean blood content of the skin: most in cheeks, nose, ears and lips."""
    flush = island.rng.uniform(0.1, 0.5)
    blood = 0.9 + 0.10 * island.noise(40) + 0.06 * island.noise(4)
    blood += flush * (island.bump(0.42, 7.05, 0.22, 0.22) + island.bump(0.0, 7.15, 0.14, 0.14)) + 0.5 * island.ears
    blood += 0.25 * island.eyelids + island.rng.uniform(1.6, 2.4) * island.lips
    return np.asarray(np.clip(blood, 0.35, 4.0), np.float32)


def _pulsatility(island: _Island) -> Floats32:
    """Strength of the pulse: highest on forehead, cheeks and nose, low on the neck (Kamshilin 2011; Verkruysse 2008).

    `SkinColours.pulse` is that of average skin, 0.9 % of green peak to peak if it is light. Faces have 0.5 to 2 %
    (Verkruysse 2008; Moco 2018), and the mean over a face varies more between people than within a face.
    """
    pulsatility = 0.55 + 0.45 * island.bump(0.0, 7.95, 0.6, 0.3) + 0.55 * island.bump(0.4, 7.05, 0.25, 0.28)
    pulsatility += 0.2 * island.bump(0.0, 7.15, 0.15, 0.2) - 0.25 * smooth_step(-island.y, -6.5, -6.2)
    pulsatility *= np.exp(0.22 * island.noise(70))
    pulsatility *= 1.0 - 0.5 * island.lips
    front = smooth_step(island.z, 0.7, 0.9) * smooth_step(island.y, 6.4, 6.5)
    spread = np.exp(PERFUSION_SPREAD * island.rng.normal())
    pulsatility *= PERFUSION * spread * front.sum() / (pulsatility * front).sum()
    return np.asarray(pulsatility, np.float32)


def _shine(island: _Island) -> Floats32:
    """Strength of specular reflection: highest on forehead, nose and lips."""
    shine = 1.0 + 0.4 * island.bump(0.0, 7.9, 0.4, 0.25) + 0.6 * island.bump(0.0, 7.15, 0.1, 0.25) + 0.3 * island.lips
    return np.asarray(shine * np.exp(0.12 * island.noise(3)), np.float32)


def _add_makeup(layers: _Cover, island: _Island, identity: Identity) -> None:
    layers.add(0.35 * smooth_step(island.z, 0.5, 0.8) * (1 - island.lips), _foundation_colour(identity))
    lipstick = float(island.rng.uniform(0.25, 0.5)), 0.03, 0.06
    layers.add(np.asarray(0.75 * island.lips, np.float32), lipstick)


def _add_lashes(layers: _Cover, island: _Island, look: Look, hair_colour: Floats32) -> None:
    side, y, z = np.moveaxis(island.position, -1, 0)
    lashes = np.zeros(island.shape, np.float32)
    for eye_x in (-0.3, 0.3):
        distance = np.sqrt((side - eye_x) ** 2 + (y - 7.47) ** 2 + (z - 1.24) ** 2)
        lashes += (
            smooth_step(-distance, -0.185, -0.165)
            * (0.15 + 0.85 * smooth_step(y, 7.45, 7.50))
            * smooth_step(z, 1.30, 1.36)
        )
    layers.add(np.clip(lashes * (0.9 if look.makeup else 0.55), 0, 1), hair_colour * 0.5)


def _add_brows(layers: _Cover, island: _Island, identity: Identity, hair_colour: Floats32) -> None:
    rng, x = island.rng, island.x
    thickness = float(rng.uniform(0.035, 0.06)) * (1.0 if identity.gender == "male" else 0.75)
    arch = 7.665 + 0.05 * np.cos((x - 0.34) * 5.0) + float(rng.normal(0.0, 0.012))
    along = smooth_step(x, 0.10, 0.17) * smooth_step(-x, -0.58, -0.46)
    brow = np.exp(-0.5 * ((island.y - arch) / (thickness * (1.15 - 0.8 * np.clip(x - 0.3, 0, 1)))) ** 2) * along
    hairs = np.clip(0.9 + 0.12 * island.noise(3), 0, 1)
    mask = rng.uniform(0.75, 0.95) * brow * hairs * smooth_step(island.z, 0.5, 0.7)
    layers.add(np.asarray(mask, np.float32), hair_colour)


def _add_beard(layers: _Cover, island: _Island, look: Look, strands: Floats32) -> None:
    x, y = island.x, island.y
    cheek_line = 6.86 + 0.5 * np.clip(x - 0.22, 0, 1) ** 1.2
    region = smooth_step(np.asarray(cheek_line - y, np.float32), -0.05, 0.1) * smooth_step(y, 6.25, 6.45)
    moustache = smooth_step(-x, -0.30, -0.2) * smooth_step(y, 6.84, 6.88) * smooth_step(-y, -7.0, -6.96)
    region = np.maximum(region, moustache) * (1 - np.clip(1.5 * island.lips, 0, 1)) * smooth_step(island.z, 0.15, 0.4)
    hairs = np.clip(0.8 + 0.3 * island.noise(2.0), 0, 1)
    layers.add(np.asarray(np.clip(look.beard * region * hairs, 0, 1), np.float32), strands)


def _add_hair(layers: _Cover, island: _Island, identity: Identity, look: Look, strands: Floats32) -> None:
    recession = 0.12 * float(island.rng.random()) if identity.gender == "male" else 0.0
    if look.hair == "bald":
        layers.add(0.3 * hair_cover(island.position, 0.1), strands)
    else:
        raised = -island.rng.uniform(0.25, 0.42) if look.covers_forehead else recession
        layers.add(0.985 * hair_cover(island.position, float(raised)), strands)


def _paint_tiles(
    identity: Identity,
    atlas: Paint,
    scale: float,
    rng: np.random.Generator,
    hair: Floats32,
    cloth: Floats32,
    headgear: Floats32,
) -> None:
    """Paint all tiles but the island of the head."""

    def tile(name: str) -> tuple[slice, slice]:
        row, column, rows, columns = (round(number * scale) for number in TILES[name])
        return slice(row, row + rows), slice(column, column + columns)

    def texture(name: str, colour: Floats32, contrast: float, grain: float) -> None:
        here = tile(name)
        rows, columns = atlas.cover[here].shape
        atlas.reflectance[here] = (
            colour * np.exp(contrast * _noise(rng, rows, columns, max(grain * scale, 1.0)))[..., None]
        )

    here = tile("eye")
    size = atlas.cover[here].shape[0]
    grid = (np.arange(size) + 0.5) / size * 2 - 1
    radius = np.hypot(*np.meshgrid(grid, grid)).astype(np.float32) * EYE_RADIUS / IRIS_RADIUS
    iris = np.array(_iris_colour(hair, rng), np.float32) * (
        0.7 + 0.5 * _noise(rng, size, size, 5 * scale)[..., None] ** 2 / 3
    )
    white = np.array([0.60, 0.56, 0.53], np.float32)
    inside, pupil = smooth_step(-radius, -1.05, -0.95)[..., None], smooth_step(-radius, -0.45, -0.38)[..., None]
    atlas.reflectance[here] = ((1 - inside) * white + inside * iris) * (1 - 0.97 * pupil)
    atlas.shine[here] = 1.0
    texture("teeth", np.array([0.5, 0.45, 0.36], np.float32), 0.1, 16)
    texture("tongue", np.array([0.25, 0.07, 0.07], np.float32), 0.1, 16)
    texture("hair", hair, 0.5, 2.5)
    here = tile("torso")
    texture("torso", cloth, float(rng.uniform(0.02, 0.15)), float(rng.uniform(3, 30)))
    size = atlas.cover[here].shape[0]
    across, down = np.meshgrid(*2 * [(np.arange(size) + 0.5) / size])
    unfolded = (np.stack([across, down], axis=-1) - 0.04) / 0.92
    atlas.cover[here] = shirt_cover(unfolded.astype(np.float32), identity)
    atlas.pulsatility[here] = 0.35
    texture("headgear", headgear, 0.05, 6)
    texture("glasses", np.full(3, float(rng.uniform(0.01, 0.06)), np.float32), 0.02, 6)
    atlas.shine[tile("glasses")] = 3.0


def _foundation_colour(identity: Identity) -> tuple[float, float, float]:
    """Colour of the foundation for a skin type, linear."""
    lightness = {1: 0.50, 2: 0.45, 3: 0.38, 4: 0.28, 5: 0.17, 6: 0.08}[identity.fitzpatrick]
    return lightness, 0.62 * lightness, 0.45 * lightness


def _hair_colour(identity: Identity, rng: np.random.Generator) -> Floats32:
    """Draw the linear reflectance of hair: black to blond, grey with age."""
    blond = float(rng.random()) * identity.ancestry[2] * (identity.fitzpatrick <= 3)
    colour = (1 - blond) * np.array([0.012, 0.009, 0.008]) + blond * np.array([0.16, 0.09, 0.04])
    grey = float(np.clip((identity.years - 40) / 35 + rng.normal(0, 0.15), 0, 0.9)) if identity.years > 38 else 0.0
    return np.asarray((1 - grey) * colour + grey * 0.22, np.float32)


def _iris_colour(hair: Floats32, rng: np.random.Generator) -> tuple[float, float, float]:
    light = hair[0] > 0.03 and rng.random() < 0.7
    return (0.07, 0.12, 0.17) if light else (0.05, 0.025, 0.012)


def _cloth_colour(rng: np.random.Generator) -> Floats32:
    """Draw the linear reflectance of a cloth: any hue, saturation and lightness."""
    hue, saturation, value = rng.uniform(0, 179), rng.beta(1.2, 2.0) * 255, rng.uniform(30, 235)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    colour = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32) / 255
    return np.asarray(0.02 + 0.8 * colour**2.2, np.float32)
