"""Colours whose make is known: blood, motion, coloured lamps, noise."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import Signature, signature
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import RateEstimate

FPS, BPM = 30.0, 72.0
PROTOCOL = PROTOCOLS["facepulse"]
SKIN = np.array([150.0, 110.0, 90.0])
BRIGHTNESS = np.ones(3)
SHINE = 1 / SKIN * SKIN.mean()  # white light on top moves the weakest channel most
RED_LAMP, GREEN_LAMP, BLUE_LAMP = np.eye(3)


def colours(
    direction: np.ndarray,
    *,
    noise: float = 0.0,
    gains: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    bpm: float = BPM,
    seconds: float = 20.0,
) -> np.ndarray:
    """Four regions whose relative colour swings along a direction, each by its gain: (T, 4, 3)."""
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * FPS)) / FPS
    swing = 0.005 * np.sin(2 * np.pi * bpm / 60 * times)[:, None, None] * np.array(gains)[:, None] * direction
    return SKIN * (1 + swing + noise * rng.standard_normal((len(times), 4, 3)))


def seen(rgb: np.ndarray, bpm: float = BPM) -> Signature:
    found = signature([rgb], FPS, bpm, PROTOCOL)
    assert found is not None
    return found


@pytest.mark.parametrize("bpm", [45.0, 72.0, 180.0])
def test_blood_is_all_blood(bpm: float) -> None:
    found = seen(colours(PULSE_SIGNATURE, bpm=bpm), bpm)
    assert found.blood == pytest.approx(1.0, abs=0.01)
    assert found.strange == pytest.approx(0.0, abs=0.01)
    assert found.evidence == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("more", [-0.2, 0.5, 3.0])
def test_a_head_that_nods_with_its_heart_still_shows_blood(more: float) -> None:
    """A nod turns the face towards the lamp or away: all channels alike, on top of the pulse."""
    assert seen(colours(PULSE_SIGNATURE + more * BRIGHTNESS)).evidence > -0.1


@pytest.mark.parametrize("direction", [SHINE, -SHINE, RED_LAMP, GREEN_LAMP, BLUE_LAMP, SHINE + BRIGHTNESS])
def test_shine_and_coloured_lamps_are_strange(direction: np.ndarray) -> None:
    found = seen(colours(direction, noise=0.0005))
    assert found.strange > 0.5
    assert found.evidence < -2.0


def test_what_each_region_does_by_itself_is_neither() -> None:
    found = seen(colours(BRIGHTNESS, noise=0.005))
    assert found.blood < 0.3
    assert found.strange < 0.5


def test_regions_that_swing_against_each_other_share_no_blood() -> None:
    """Motion to the side uncovers on one cheek what it covers on the other."""
    assert seen(colours(PULSE_SIGNATURE, gains=(1.0, -1.0, 1.0, -1.0))).blood == 0.0


def test_neither_skin_colour_nor_exposure_matters() -> None:
    rgb = colours(PULSE_SIGNATURE + 0.3 * SHINE, noise=0.001)
    assert seen(rgb * np.array([0.9, 0.5, 1.7])).evidence == pytest.approx(seen(rgb).evidence)


def test_a_grey_or_black_picture_has_no_colour_to_look_at() -> None:
    grey = np.repeat(colours(BRIGHTNESS, noise=0.001)[:, :, :1], 3, axis=2)
    assert signature([grey], FPS, BPM, PROTOCOL) is None
    assert signature([np.zeros((300, 4, 3))], FPS, BPM, PROTOCOL) is None


def test_the_longer_segment_counts_for_more() -> None:
    blood, lamp = colours(PULSE_SIGNATURE, seconds=30.0), colours(BLUE_LAMP, seconds=6.0)
    found = signature([lamp, blood], FPS, BPM, PROTOCOL)
    assert found is not None
    assert 0.5 < found.blood < 1.0


def test_the_colour_only_takes_trust_away() -> None:
    shares = np.linspace(0.0, 1.0, 11)
    evidence = [Signature(blood, strange).evidence for blood in shares for strange in shares[shares <= 1 - blood]]
    assert max(evidence) == 0.0
    assert np.isfinite(evidence).all()
    agreement = RateEstimate(np.zeros(1), np.zeros(1), 70.0, 0.5, 10.0)
    trusts = [calibrated_quality(replace(agreement, color=Signature(0.0, strange).evidence)) for strange in shares]
    assert trusts == sorted(trusts, reverse=True)
    assert trusts[-1] < 0.1 < 0.9 < calibrated_quality(agreement)
