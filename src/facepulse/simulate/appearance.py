"""What a person is painted with: skin texture, lips, brows, beard, hair, eyes and clothes.

Everything is painted on, and built around, the head of average shape (`head.average_head`), whose coordinates every
vertex keeps: x to the right of the picture, y up, z forward, in decimetres; the eyes lie at x +-0.3, y 7.47, z 1.24,
the nose at y 7.07, the mouth at 6.74, the chin at 6.3 and the crown at 8.55. What is painted is not colour but what
makes it: melanin and blood for the skin, and a reflectance for everything else. Colours follow for each light
(`skin.SkinColours`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy import ndimage

from facepulse._types import Floats32
from facepulse.simulate.assets import PARTS, head_assets
from facepulse.simulate.head import Identity, average_head
from facepulse.simulate.look import Look
from facepulse.simulate.skin import MELANIN

# The picture that everything is painted on: the head's island on the left, and one tile for each other material, as
# (row, column, rows, columns) of a picture of ATLAS_ROWS by ATLAS_COLUMNS.
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

# Of the pulse in the whole face: median over people, relative to `SkinColours.pulse`, and spread of its logarithm.
PERFUSION, PERFUSION_SPREAD = 1.45, 0.33

EYE_RADIUS, IRIS_RADIUS = 0.145, 0.059  # dm; an iris is 11.8 mm across (Hashemi 2015)


@dataclass(frozen=True)
class Paint:
    """The atlas, texel by texel.

    Attributes:
        melanin: float32 (rows, columns), volume fraction in the epidermis.
        blood: float32, mean blood of the dermis, 1 is usual.
        pulsatility: float32, how strongly the skin pulsates, about 1 on cheeks and forehead.
        cover: float32, 0 where skin shows, 1 where something else does.
        reflectance: float32 (rows, columns, 3), linear sRGB of what covers.
        shine: float32, strength of the surface's mirror-like reflection, 1 for usual skin.
    """

    melanin: Floats32
    blood: Floats32
    pulsatility: Floats32
    cover: Floats32
    reflectance: Floats32
    shine: Floats32


def _smooth(x: Floats32, low: float, high: float) -> Floats32:
    """0 below `low`, 1 above `high`, without a corner in between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def _noise(rng: np.random.Generator, rows: int, columns: int, grain: float) -> Floats32:
    """Smooth random field of unit spread; `grain` is its scale in texels."""
    coarse = max(int(rows / grain), 2), max(int(columns / grain), 2)
    field = rng.standard_normal(coarse).astype(np.float32)
    wide = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide / max(float(wide.std()), 1e-6), np.float32)


@lru_cache(maxsize=4)
def island_positions(rows: int, columns: int) -> Floats32:
    """Where on the average head each texel of the island lies, (rows, columns, 3); texels between are the nearest's."""
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
    at = average_head()[assets.faces[inside][triangle]]
    positions = ((1 - u - v) * at[:, 0] + u * at[:, 1] + v * at[:, 2]).reshape(rows, columns, 3)
    missed = (hit["primID"] < 0).reshape(rows, columns)
    nearest = ndimage.distance_transform_edt(missed, return_distances=False, return_indices=True)
    return np.asarray(positions[tuple(nearest)], np.float32)


def _azimuth(position: Floats32) -> Floats32:
    """Angle around the head in radians: 0 in front, pi at the back, the same on both sides."""
    return np.asarray(np.abs(np.arctan2(position[..., 0], position[..., 2] - 0.35)), np.float32)


# Height of the hairline at some angles around the head: forehead, temple, before the ear, behind it, nape.
_HAIRLINE_RAD = np.radians([0, 25, 48, 62, 78, 92, 105, 130, 180])
_HAIRLINE_Y = np.array([8.20, 8.20, 8.06, 7.80, 7.36, 7.40, 7.02, 6.72, 6.62])


def scalp(position: Floats32, raised: float = 0.0) -> Floats32:
    """How much of the skin at a place is covered by hair, 0 to 1; `raised` lifts the line over the forehead (dm)."""
    azimuth = _azimuth(position)
    line = np.interp(azimuth, _HAIRLINE_RAD, _HAIRLINE_Y) + raised * np.clip(1.2 - azimuth, 0.0, 1.0)
    return _smooth(np.asarray(position[..., 1] - line, np.float32), -0.05, 0.05)


def paint(identity: Identity, look: Look, scale: float = 1.0) -> Paint:
    """Paint a person.

    Args:
        identity: who.
        look: what they wear.
        scale: of the atlas; a half suits faces of up to a hundred pixels.
    """
    rng = identity.rng(2)
    rows, island = round(ATLAS_ROWS * scale), round(ISLAND_COLUMNS * scale)
    place = island_positions(rows, island)
    masks = cv2.resize(head_assets().masks, (island, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lips, ears, eyelids = (cv2.GaussianBlur(masks[..., index], (0, 0), 2.0 * scale) for index in range(3))
    x, y, z = np.abs(place[..., 0]), place[..., 1], place[..., 2]
    side = place[..., 0]

    def around(cx: float, cy: float, width: float, height: float) -> Floats32:
        """A bump on both sides of the face, 1 at its middle."""
        bump = np.exp(-0.5 * (((x - cx) / width) ** 2 + ((y - cy) / height) ** 2)) * _smooth(z, 0.3, 0.8)
        return np.asarray(bump, np.float32)

    # Skin: pores and blotches in both chromophores; cheeks, nose, ears and lips full of blood; darker around the eyes.
    low, high = MELANIN[identity.fitzpatrick]
    tone = low * (high / low) ** float(rng.uniform(0.1, 0.9))
    blotch, fine, pores = (_noise(rng, rows, island, grain * scale) for grain in (60, 14, 2.6))
    melanin = tone * np.exp(0.06 * blotch + 0.05 * fine + 0.04 * pores)
    melanin *= 1.0 + rng.uniform(0.05, 0.3) * around(0.3, 7.42, 0.22, 0.12)
    spots = _noise(rng, rows, island, 5 * scale) > rng.uniform(2.3, 3.6)
    melanin *= 1.0 + rng.uniform(0.2, 0.9) * cv2.GaussianBlur(spots.astype(np.float32), (0, 0), 1.2 * scale)
    flush = rng.uniform(0.1, 0.5)
    blood = 0.9 + 0.10 * _noise(rng, rows, island, 40 * scale) + 0.06 * _noise(rng, rows, island, 4 * scale)
    blood += flush * (around(0.42, 7.05, 0.22, 0.22) + around(0.0, 7.15, 0.14, 0.14)) + 0.5 * ears
    blood += 0.25 * eyelids + rng.uniform(1.6, 2.4) * lips
    blood = np.clip(blood, 0.35, 4.0)
    melanin *= 1.0 - 0.45 * lips * (identity.fitzpatrick < 5)
    # Perfusion: strongest on forehead, cheeks and nose, weak on the neck (Kamshilin 2011; Verkruysse 2008).
    pulsatility = 0.55 + 0.45 * around(0.0, 7.95, 0.6, 0.3) + 0.55 * around(0.4, 7.05, 0.25, 0.28)
    pulsatility += 0.2 * around(0.0, 7.15, 0.15, 0.2) - 0.25 * _smooth(-y, -6.5, -6.2)
    pulsatility *= np.exp(0.22 * _noise(rng, rows, island, 70 * scale))
    pulsatility *= 1.0 - 0.5 * lips
    # The mean over a face: `SkinColours.pulse` is that of usual skin, 0.9 % of green peak to peak where it is light;
    # faces show 0.5 to 2 % (Verkruysse 2008; Moco 2018), people differing by more than the places on one of them.
    front = _smooth(z, 0.7, 0.9) * _smooth(y, 6.4, 6.5)
    pulsatility *= PERFUSION * np.exp(PERFUSION_SPREAD * rng.normal()) * front.sum() / (pulsatility * front).sum()
    shine = 1.0 + 0.4 * around(0.0, 7.9, 0.4, 0.25) + 0.6 * around(0.0, 7.15, 0.1, 0.25) + 0.3 * lips
    shine *= np.exp(0.12 * _noise(rng, rows, island, 3 * scale))

    cover = np.zeros((rows, island), np.float32)
    reflectance = np.zeros((rows, island, 3), np.float32)

    def lay(mask: Floats32, colour: Floats32 | tuple[float, ...]) -> None:
        """Lay something over the skin and what is there already."""
        nonlocal reflectance, cover
        total = cover + mask - cover * mask
        share = np.divide(mask, total, out=np.zeros_like(mask), where=total > 1e-6)[..., None]
        reflectance = (1 - share) * reflectance + share * np.asarray(colour, np.float32)
        cover = total

    if look.makeup:
        base = _skin_like(identity)
        lay(0.35 * _smooth(z, 0.5, 0.8) * (1 - lips) * np.float32(1.0), base)
        lay(np.asarray(0.75 * lips, np.float32), (float(rng.uniform(0.25, 0.5)), 0.03, 0.06))
    hair_colour = _hair_colour(identity, rng)
    strands = np.exp(0.35 * _noise(rng, rows, island, 2.2 * scale))[..., None] * hair_colour
    lash = np.zeros((rows, island), np.float32)
    for eye_x in (-0.3, 0.3):
        distance = np.sqrt((side - eye_x) ** 2 + (y - 7.47) ** 2 + (z - 1.24) ** 2)
        lash += _smooth(-distance, -0.185, -0.165) * (0.15 + 0.85 * _smooth(y, 7.45, 7.50)) * _smooth(z, 1.30, 1.36)
    lay(np.clip(lash * (0.9 if look.makeup else 0.55), 0, 1), hair_colour * 0.5)
    thickness = float(rng.uniform(0.035, 0.06)) * (1.0 if identity.gender == "male" else 0.75)
    arch = 7.665 + 0.05 * np.cos((x - 0.34) * 5.0) + float(rng.normal(0.0, 0.012))
    along = _smooth(x, 0.10, 0.17) * _smooth(-x, -0.58, -0.46)
    brow = np.exp(-0.5 * ((y - arch) / (thickness * (1.15 - 0.8 * np.clip(x - 0.3, 0, 1)))) ** 2) * along
    hairs = np.clip(0.9 + 0.12 * _noise(rng, rows, island, 3 * scale), 0, 1)
    lay(np.asarray(rng.uniform(0.75, 0.95) * brow * hairs * _smooth(z, 0.5, 0.7), np.float32), hair_colour)
    if look.beard > 0:
        cheek_line = 6.86 + 0.5 * np.clip(x - 0.22, 0, 1) ** 1.2
        region = _smooth(np.asarray(cheek_line - y, np.float32), -0.05, 0.1) * _smooth(y, 6.25, 6.45)
        moustache = _smooth(-x, -0.30, -0.2) * _smooth(y, 6.84, 6.88) * _smooth(-y, -7.0, -6.96)
        region = np.maximum(region, moustache) * (1 - np.clip(1.5 * lips, 0, 1)) * _smooth(z, 0.15, 0.4)
        hairs = np.clip(0.8 + 0.3 * _noise(rng, rows, island, 2.0 * scale), 0, 1)
        lay(np.asarray(np.clip(look.beard * region * hairs, 0, 1), np.float32), strands)
    recession = 0.12 * float(rng.random()) if identity.gender == "male" else 0.0
    if look.hair != "bald":
        lowered = -rng.uniform(0.25, 0.42) if look.covers_forehead else recession
        lay(0.985 * scalp(place, float(lowered)), strands)
    else:
        lay(0.3 * scalp(place, 0.1), strands)
    cloth, headgear = _cloth_colour(rng), _cloth_colour(rng)
    if look.hair == "cap":
        lay(
            _smooth(y - np.interp(_azimuth(place), [0, 1.4, 3.2], [8.0, 7.85, 7.5]).astype(np.float32), 0.0, 0.04),
            headgear,
        )

    atlas = Paint(
        melanin=np.full((rows, round(ATLAS_COLUMNS * scale)), tone, np.float32),
        blood=np.ones((rows, round(ATLAS_COLUMNS * scale)), np.float32),
        pulsatility=np.zeros((rows, round(ATLAS_COLUMNS * scale)), np.float32),
        cover=np.ones((rows, round(ATLAS_COLUMNS * scale)), np.float32),
        reflectance=np.zeros((rows, round(ATLAS_COLUMNS * scale), 3), np.float32),
        shine=np.full((rows, round(ATLAS_COLUMNS * scale)), 0.5, np.float32),
    )
    atlas.melanin[:, :island] = melanin
    atlas.blood[:, :island] = blood
    atlas.pulsatility[:, :island] = np.clip(pulsatility, 0.05, 4.0)
    atlas.cover[:, :island] = cover
    atlas.reflectance[:, :island] = reflectance
    atlas.shine[:, :island] = np.clip(shine, 0.0, 4.0) * (1 - cover) + 0.25 * cover
    _paint_tiles(identity, atlas, scale, rng, hair_colour, cloth, headgear)
    return replace(atlas, pulsatility=atlas.pulsatility * (1 - atlas.cover))


# The torso's tile shows its front: left, right, bottom, top in decimetres.
_TORSO = (-3.0, 3.0, 3.0, 6.6)


def torso_place(position: Floats32) -> Floats32:
    """Where in the torso's tile a place lies, (..., 2), 0 to 1, downwards."""
    left, right, bottom, top = _TORSO
    across = (position[..., 0] - left) / (right - left)
    return np.clip(np.stack([across, (top - position[..., 1]) / (top - bottom)], axis=-1), 0.0, 1.0).astype(np.float32)


def clothing(place: Floats32, identity: Identity) -> Floats32:
    """How much of the torso is under the shirt at places in its tile, 0 to 1: all below a round or pointed neckline."""
    rng = identity.rng(4)
    depth, width, power = float(rng.uniform(0.0, 0.45)), float(rng.uniform(0.6, 0.95)), float(rng.uniform(1.0, 3.0))
    left, right, bottom, top = _TORSO
    x, y = left + place[..., 0] * (right - left), top - place[..., 1] * (top - bottom)
    neckline = 5.7 - depth + (depth + 0.35) * np.clip(np.abs(x) / width, 0, 1) ** power
    return _smooth(np.asarray(neckline - y, np.float32), -0.02, 0.02)


def _paint_tiles(
    identity: Identity,
    atlas: Paint,
    scale: float,
    rng: np.random.Generator,
    hair: Floats32,
    cloth: Floats32,
    headgear: Floats32,
) -> None:
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
    inside, pupil = _smooth(-radius, -1.05, -0.95)[..., None], _smooth(-radius, -0.45, -0.38)[..., None]
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
    atlas.cover[here] = clothing(unfolded.astype(np.float32), identity)
    atlas.pulsatility[here] = 0.35
    texture("headgear", headgear, 0.05, 6)
    texture("glasses", np.full(3, float(rng.uniform(0.01, 0.06)), np.float32), 0.02, 6)
    atlas.shine[tile("glasses")] = 3.0


def _skin_like(identity: Identity) -> tuple[float, float, float]:
    """A foundation's colour: that of the skin it is made for, in linear light."""
    lightness = {1: 0.50, 2: 0.45, 3: 0.38, 4: 0.28, 5: 0.17, 6: 0.08}[identity.fitzpatrick]
    return lightness, 0.62 * lightness, 0.45 * lightness


def _hair_colour(identity: Identity, rng: np.random.Generator) -> Floats32:
    """Hair from black to blond, grey with age; linear reflectance."""
    blond = float(rng.random()) * identity.ancestry[2] * (identity.fitzpatrick <= 3)
    colour = (1 - blond) * np.array([0.012, 0.009, 0.008]) + blond * np.array([0.16, 0.09, 0.04])
    grey = float(np.clip((identity.years - 40) / 35 + rng.normal(0, 0.15), 0, 0.9)) if identity.years > 38 else 0.0
    return np.asarray((1 - grey) * colour + grey * 0.22, np.float32)


def _iris_colour(hair: Floats32, rng: np.random.Generator) -> tuple[float, float, float]:
    light = hair[0] > 0.03 and rng.random() < 0.7
    return (0.07, 0.12, 0.17) if light else (0.05, 0.025, 0.012)


def _cloth_colour(rng: np.random.Generator) -> Floats32:
    """A shirt: any hue, more or less saturated, dark to light."""
    hue, saturation, value = rng.uniform(0, 179), rng.beta(1.2, 2.0) * 255, rng.uniform(30, 235)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    colour = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32) / 255
    return np.asarray(0.02 + 0.8 * colour**2.2, np.float32)
