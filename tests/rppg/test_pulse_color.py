"""Colour test on traces of known composition: pulse, motion, coloured lamps and noise."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.pulse_color import PulseColor, pulse_color
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import RateEstimate

FPS, BPM = 30.0, 72.0
PROTOCOL = PROTOCOLS["facepulse"]
SKIN = np.array([150.0, 110.0, 90.0])
BRIGHTNESS = np.ones(3)
SPECULAR = 1 / SKIN * SKIN.mean()  # added white light changes the weakest channel most
RED_LAMP, GREEN_LAMP, BLUE_LAMP = np.eye(3)


def regions_rgb(
    direction: np.ndarray,
    *,
    noise: float = 0.0,
    gains: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    bpm: float = BPM,
    seconds: float = 20.0,
) -> np.ndarray:
    """Traces of four regions (T, 4, 3) whose relative colour oscillates along a direction, each with its gain."""
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * FPS)) / FPS
    change = 0.005 * np.sin(2 * np.pi * bpm / 60 * times)[:, None, None] * np.array(gains)[:, None] * direction
    return SKIN * (1 + change + noise * rng.standard_normal((len(times), 4, 3)))


def composition(rgb: np.ndarray, bpm: float = BPM) -> PulseColor:
    found = pulse_color([rgb], FPS, bpm, PROTOCOL)
    assert found is not None
    return found


@pytest.mark.parametrize("bpm", [45.0, 72.0, 180.0])
def test_change_along_the_pulse_signature_is_all_pulse(bpm: float) -> None:
    found = composition(regions_rgb(PULSE_SIGNATURE, bpm=bpm), bpm)
    assert found.pulse_share == pytest.approx(1.0, abs=0.01)
    assert found.motion_share == pytest.approx(0.0, abs=0.01)
    assert found.log_odds == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("more", [-0.2, 0.5, 3.0])
def test_head_motion_at_the_heart_rate_keeps_the_pulse(more: float) -> None:
    """A nod turns the face towards the lamp or away, which changes all channels alike in addition to the pulse."""
    assert composition(regions_rgb(PULSE_SIGNATURE + more * BRIGHTNESS)).log_odds > -0.1


@pytest.mark.parametrize("direction", [SPECULAR, -SPECULAR, RED_LAMP, GREEN_LAMP, BLUE_LAMP, SPECULAR + BRIGHTNESS])
def test_specular_light_and_coloured_lamps_count_as_motion(direction: np.ndarray) -> None:
    found = composition(regions_rgb(direction, noise=0.0005))
    assert found.motion_share > 0.5
    assert found.log_odds < -2.0


def test_independent_noise_of_regions_is_neither_pulse_nor_motion() -> None:
    found = composition(regions_rgb(BRIGHTNESS, noise=0.005))
    assert found.pulse_share < 0.3
    assert found.motion_share < 0.5


def test_regions_in_opposite_phase_share_no_pulse() -> None:
    """Lateral motion uncovers on one cheek what it covers on the other."""
    assert composition(regions_rgb(PULSE_SIGNATURE, gains=(1.0, -1.0, 1.0, -1.0))).pulse_share == 0.0


def test_result_is_invariant_to_skin_tone_and_exposure() -> None:
    rgb = regions_rgb(PULSE_SIGNATURE + 0.3 * SPECULAR, noise=0.001)
    assert composition(rgb * np.array([0.9, 0.5, 1.7])).log_odds == pytest.approx(composition(rgb).log_odds)


def test_grey_and_black_traces_have_no_colour() -> None:
    grey = np.repeat(regions_rgb(BRIGHTNESS, noise=0.001)[:, :, :1], 3, axis=2)
    assert pulse_color([grey], FPS, BPM, PROTOCOL) is None
    assert pulse_color([np.zeros((300, 4, 3))], FPS, BPM, PROTOCOL) is None


def test_longer_segments_have_more_weight() -> None:
    pulse, lamp = regions_rgb(PULSE_SIGNATURE, seconds=30.0), regions_rgb(BLUE_LAMP, seconds=6.0)
    found = pulse_color([lamp, pulse], FPS, BPM, PROTOCOL)
    assert found is not None
    assert 0.5 < found.pulse_share < 1.0


def test_colour_never_raises_the_quality() -> None:
    shares = np.linspace(0.0, 1.0, 11)
    log_odds = [PulseColor(pulse, motion).log_odds for pulse in shares for motion in shares[shares <= 1 - pulse]]
    assert max(log_odds) == 0.0
    assert np.isfinite(log_odds).all()
    estimate = RateEstimate(np.zeros(1), np.zeros(1), 70.0, 0.5, 10.0)
    qualities = [calibrated_quality(replace(estimate, color=PulseColor(0.0, motion).log_odds)) for motion in shares]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[-1] < 0.1 < 0.9 < calibrated_quality(estimate)
