"""Texture atlas: cover by hair, melanin, blood and strength of the pulse."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from colour_science import SENSORS
from facepulse.simulate.appearance import paint
from facepulse.simulate.assets import head_assets
from facepulse.simulate.atlas import TILES
from facepulse.simulate.figure import HAIR_THICKNESS
from facepulse.simulate.head import draw_identity
from facepulse.simulate.skin import MELANIN, SPECTRA, SkinColours
from simulated_people import PLAIN, SCALE, at, needs_heads, person, surface

pytestmark = needs_heads

FITZPATRICK = tuple(MELANIN)


def island(texture):
    """Return the island of the head of a texture."""
    return texture[:, : surface().shape[1]]


def lips():
    rows, columns = surface().shape[:2]
    return cv2.resize(head_assets().masks, (columns, rows), interpolation=cv2.INTER_AREA)[..., 0] > 200


def whole_face():
    x, y, z = np.moveaxis(surface(), -1, 0)
    return (z > 0.7) & (y > 6.4) & (y < 8.2) & (np.abs(x) < 0.8)


def painted(number=1, fitzpatrick=2, **look):
    return paint(draw_identity("train", number, (fitzpatrick,)), replace(PLAIN, **look), SCALE)


@pytest.mark.parametrize("hair", HAIR_THICKNESS)
def test_fringe_and_cap_cover_the_forehead(hair):
    cover, covered = island(painted(hair=hair).cover), float(replace(PLAIN, hair=hair).covers_forehead)
    assert cover[at(0.0, 8.05)].mean() == pytest.approx(covered, abs=0.05)
    assert cover[at(0.4, 7.05)].mean() < 0.05, "no style covers the cheeks"


@pytest.mark.parametrize("fitzpatrick", FITZPATRICK)
def test_melanin_is_in_the_range_of_the_skin_type(fitzpatrick):
    low, high = MELANIN[fitzpatrick]
    cheeks = [island(painted(number, fitzpatrick).melanin)[at(0.4, 7.05)].mean() for number in range(1, 6)]
    assert low < np.mean(cheeks) < high
    assert 0.9 * low < min(cheeks)
    assert max(cheeks) < 1.1 * high
    assert np.ptp(cheeks) > 0.1 * (high - low), "people of a type differ"


@pytest.mark.parametrize("fitzpatrick", FITZPATRICK)
def test_lips_are_redder_than_cheeks(fitzpatrick):
    sensor, atlas = SENSORS["dslr"], painted(2, fitzpatrick)
    colours = SkinColours(SPECTRA["daylight"], sensor)
    srgb = colours.colour(island(atlas.melanin), island(atlas.blood)) / colours.white @ sensor.to_srgb.T
    lip, cheek = (srgb[mask].mean(axis=0) for mask in (lips(), at(0.4, 7.05)))
    assert lip[0] / lip[1] > 1.05 * cheek[0] / cheek[1]
    assert (cheek > 0).all()
    assert cheek[0] > cheek[1] > cheek[2]


def test_covered_skin_does_not_pulsate():
    identity = draw_identity("train", 4, (2,))
    for look in (replace(PLAIN, hair="cap", beard=0.9), replace(PLAIN, hair="long", makeup=True)):
        atlas = paint(identity, look, SCALE)
        assert atlas.pulsatility[atlas.cover == 1].max() == 0
        assert atlas.pulsatility[atlas.cover > 0.98].max() < 0.05
        assert island(atlas.pulsatility)[at(0.4, 7.05)].min() > 0.1
        for name in set(TILES) - {"torso"}:
            row, column, rows, columns = (round(SCALE * number) for number in TILES[name])
            assert atlas.pulsatility[row : row + rows, column : column + columns].max() == 0, name


def test_pulse_is_strongest_on_cheeks_and_forehead_and_varies_between_people():
    strengths = []
    for number in range(1, 9):
        pulsatility = island(painted(number).pulsatility)
        strengths.append(pulsatility[whole_face()].mean())
        strong = (pulsatility[at(0.4, 7.05)].mean() + pulsatility[at(0.0, 7.9)].mean()) / 2
        assert strong > 1.3 * pulsatility[lips()].mean()
        assert strong > 1.2 * pulsatility[at(0.75, 7.4, behind=0.2)].mean(), "temples"
    assert 0.5 < np.median(strengths) < 2.0
    assert 0.15 < np.std(np.log(strengths)) < 0.6


@pytest.mark.parametrize("number", [1, 2])
def test_scale_of_the_atlas_does_not_change_the_person(number):
    identity = draw_identity("train", number, (3,))
    fine, coarse = paint(identity, PLAIN, 1.0), paint(identity, PLAIN, 0.5)
    for name in ("pulsatility", "melanin", "blood", "cover", "shine"):
        reduced = cv2.resize(getattr(fine, name), coarse.cover.shape[::-1], interpolation=cv2.INTER_AREA)
        mean, other = island(reduced)[whole_face()].mean(), island(getattr(coarse, name))[whole_face()].mean()
        assert other == pytest.approx(mean, rel=0.1), name
    reduced = cv2.resize(fine.pulsatility, coarse.cover.shape[::-1], interpolation=cv2.INTER_AREA)
    correlation = np.corrcoef(island(reduced)[whole_face()], island(coarse.pulsatility)[whole_face()])[0, 1]
    assert correlation > 0.9, "the spatial distribution of the pulse is equal"


def test_atlas_is_deterministic_and_valid():
    identity, _, _, atlas = person()
    again = paint(identity, PLAIN, SCALE)
    for name, texture in vars(atlas).items():
        assert texture.dtype == np.float32
        assert np.isfinite(texture).all()
        np.testing.assert_array_equal(texture, getattr(again, name))
    assert 0 <= atlas.cover.min() <= atlas.cover.max() <= 1
    assert atlas.reflectance.min() >= 0
