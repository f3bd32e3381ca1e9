"""Heart rates of synthetic regions whose common pulse, noise and network are known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.quality import CLASSICAL_QUALITY, calibrated_quality
from facepulse.rppg.regions import MINIMUM_COHERENCE, estimate_rate

FPS = 30.0
PROTOCOL = PROTOCOLS["facepulse"]


def regions(bpm: float | None, seconds: float, noise: float, seed: int = 0) -> np.ndarray:
    """Waveforms of four regions with independent noise and, unless bpm is None, a common pulse."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * FPS)) / FPS
    waveforms = noise * rng.standard_normal((4, len(times)))
    return waveforms if bpm is None else waveforms + np.sin(2 * np.pi * bpm / 60 * times + rng.uniform(0, 6))


@settings(max_examples=25)
@given(st.floats(45, 235), st.floats(8, 40), st.integers(0, 99))
def test_common_pulse_is_found_in_independent_noise(bpm: float, seconds: float, seed: int) -> None:
    found = estimate_rate([regions(bpm, seconds, noise=1.0, seed=seed)], FPS, PROTOCOL)
    assert found.bpm == pytest.approx(bpm, abs=20 / seconds)
    assert found.coherence > 0.2


def test_independent_noise_has_no_coherence() -> None:
    coherences = [
        estimate_rate([regions(None, 20, noise=1.0, seed=seed)], FPS, PROTOCOL).coherence for seed in range(20)
    ]
    assert max(coherences) < 0.1


def test_strong_rhythm_of_one_region_does_not_outweigh_a_weak_common_one() -> None:
    waveforms = regions(150, 20, noise=0.3)
    waveforms[0] += 3 * np.sin(2 * np.pi * 75 / 60 * np.arange(waveforms.shape[1]) / FPS)
    assert estimate_rate([waveforms], FPS, PROTOCOL).bpm == pytest.approx(150, abs=1)


def test_segments_of_any_length_and_phase_add_up() -> None:
    segments = [regions(80, seconds, noise=1.5, seed=int(seconds)) for seconds in (7, 12, 9)]
    found = estimate_rate(segments, FPS, PROTOCOL)
    assert found.bpm == pytest.approx(80, abs=1.5)
    assert found.seconds == pytest.approx(12)
    assert estimate_rate(segments[::-1], FPS, PROTOCOL).bpm == pytest.approx(found.bpm, abs=1e-9)


@settings(max_examples=10)
@given(st.floats(1e-6, 1e6), st.integers(0, 99))
def test_rate_is_invariant_to_scale(scale: float, seed: int) -> None:
    waveforms = regions(70, 10, noise=1.0, seed=seed)
    one, other = estimate_rate([waveforms], FPS, PROTOCOL), estimate_rate([scale * waveforms], FPS, PROTOCOL)
    assert other.bpm == pytest.approx(one.bpm)
    assert other.coherence == pytest.approx(one.coherence)


def test_constant_waveforms_have_quality_zero() -> None:
    assert calibrated_quality(estimate_rate([np.zeros((4, 300))], FPS, PROTOCOL)) == 0.0


def test_drift_below_the_range_has_quality_zero() -> None:
    drift = np.tile(np.sin(2 * np.pi * 0.3 * np.arange(300) / FPS), (4, 1))
    assert calibrated_quality(estimate_rate([drift], FPS, PROTOCOL)) == 0.0


@settings(max_examples=25)
@given(st.floats(45, 200), st.integers(0, 99))
def test_network_or_regions_alone_suffice_if_the_other_is_noise(bpm: float, seed: int) -> None:
    times, rng = np.arange(600) / FPS, np.random.default_rng(seed)
    noise, clear = rng.standard_normal(600), np.sin(2 * np.pi * bpm / 60 * times)
    for waveforms, network in (
        (regions(bpm, 20, noise=0.3, seed=seed), noise),
        (regions(None, 20, noise=1, seed=seed), clear),
    ):
        assert estimate_rate([waveforms], FPS, PROTOCOL, [network]).bpm == pytest.approx(bpm, abs=1)


@settings(max_examples=25)
@given(st.floats(50, 110), st.floats(1.25, 1.6), st.integers(0, 99))
def test_coherent_rhythm_outweighs_larger_ones_of_network_or_regions_alone(bpm: float, ratio: float, seed: int) -> None:
    """As for a walking person: network and regions each contain a disturbance larger than the common pulse."""
    times, rng = np.arange(600) / FPS, np.random.default_rng(seed)
    heart, walk, lamp = (np.sin(2 * np.pi * rate / 60 * times) for rate in (bpm, bpm * ratio, bpm * (ratio + 0.25)))
    waveforms = np.stack([heart + 1.4 * lamp] * 4) + 0.3 * rng.standard_normal((4, 600))
    assert estimate_rate([waveforms], FPS, PROTOCOL).bpm == pytest.approx(bpm * (ratio + 0.25), abs=1)
    assert estimate_rate([waveforms], FPS, PROTOCOL, [heart + 1.4 * walk]).bpm == pytest.approx(bpm, abs=1)
    inverted = estimate_rate([waveforms], FPS, PROTOCOL, [-heart + 1.4 * walk])
    assert inverted.bpm != pytest.approx(bpm, abs=1), "power in opposite phase is not shared"


def test_regions_support_the_rate_of_a_network_only_if_they_share_it() -> None:
    waveforms, times = regions(80, 20, noise=0.5), np.arange(600) / FPS
    alone = estimate_rate([waveforms], FPS, PROTOCOL)
    for bpm, supported in ((80, True), (113, False)):
        network = np.sin(2 * np.pi * bpm / 60 * times)
        found = estimate_rate([waveforms], FPS, PROTOCOL, [network])
        assert found.bpm == pytest.approx(bpm, abs=0.5)
        assert found.hz[found.power.argmax()] * 60 == pytest.approx(bpm, abs=1)
        assert (found.coherence == pytest.approx(alone.coherence, abs=0.02)) == supported
        assert (calibrated_quality(found) > 0.9) == supported
    assert estimate_rate([waveforms], FPS, PROTOCOL, [np.zeros(600)]).coherence == 0.0, (
        "a constant network waveform has no rate"
    )


def test_network_fraction_falls_with_noise_and_counts_if_fitted() -> None:
    waveforms, times = regions(80, 20, noise=0.5), np.arange(600) / FPS
    noise = np.random.default_rng(0).standard_normal(600)
    founds = [
        estimate_rate([waveforms], FPS, PROTOCOL, [np.sin(2 * np.pi * 80 / 60 * times) + n * noise])
        for n in (0.0, 1.0, 3.0)
    ]
    fractions = [found.network for found in founds]
    assert fractions == sorted(fractions, reverse=True)
    assert fractions[0] > 0.99
    assert fractions[-1] < 0.6
    model = replace(CLASSICAL_QUALITY, network=1.5)
    qualities = [calibrated_quality(found, model) for found in founds]
    assert qualities == sorted(qualities, reverse=True)
    assert [calibrated_quality(found, CLASSICAL_QUALITY) for found in founds[:2]] == [
        calibrated_quality(replace(f, network=0.1)) for f in founds[:2]
    ]
    assert calibrated_quality(estimate_rate([waveforms], FPS, PROTOCOL), model) == calibrated_quality(
        estimate_rate([waveforms], FPS, PROTOCOL)
    ), "no network, no evidence of one"


def test_absent_coherence_is_no_proof_against_a_network() -> None:
    waveforms, times = regions(80, 20, noise=0.0), np.arange(600) / FPS
    alone = estimate_rate([waveforms], FPS, PROTOCOL, [np.sin(2 * np.pi * 130 / 60 * times)])
    assert alone.coherence == MINIMUM_COHERENCE
    assert calibrated_quality(alone) < 0.05
    assert 0.5 < calibrated_quality(alone, replace(CLASSICAL_QUALITY, coherence=0.1, network=1.5)) < 1


def test_longer_segments_have_more_weight() -> None:
    waveforms = [regions(80, seconds, noise=0.5) for seconds in (8, 24)]
    networks = [
        np.sin(2 * np.pi * bpm / 60 * np.arange(waveform.shape[1]) / FPS)
        for waveform, bpm in zip(waveforms, (120, 80), strict=True)
    ]
    assert estimate_rate(waveforms, FPS, PROTOCOL, networks).bpm == pytest.approx(80, abs=0.5)
