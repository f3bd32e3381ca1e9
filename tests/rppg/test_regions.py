from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.quality import CLASSICAL_QUALITY, calibrated_quality
from facepulse.rppg.regions import MINIMUM_COHERENCE, RateEstimate, estimate_rate

FPS = 30.0
PROTOCOL = PROTOCOLS["facepulse"]


def regions(bpm: float | None, seconds: float, noise: float, seed: int = 0) -> np.ndarray:
    """Four regions with noise of their own and, if there is one, a pulse in common."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * FPS)) / FPS
    waves = noise * rng.standard_normal((4, len(times)))
    return waves if bpm is None else waves + np.sin(2 * np.pi * bpm / 60 * times + rng.uniform(0, 6))


@settings(deadline=None, max_examples=25)
@given(st.floats(45, 235), st.floats(8, 40), st.integers(0, 99))
def test_the_common_pulse_is_found_under_noise_of_each_regions_own(bpm: float, seconds: float, seed: int) -> None:
    found = estimate_rate([regions(bpm, seconds, noise=1.0, seed=seed)], FPS, PROTOCOL)
    assert found.bpm == pytest.approx(bpm, abs=20 / seconds)
    assert found.coherence > 0.2


def test_noise_that_is_not_shared_counts_for_nothing() -> None:
    shares = [estimate_rate([regions(None, 20, noise=1.0, seed=seed)], FPS, PROTOCOL).coherence for seed in range(20)]
    assert max(shares) < 0.1


def test_a_strong_rhythm_of_one_region_does_not_win_over_a_weak_one_of_all() -> None:
    waves = regions(150, 20, noise=0.3)
    waves[0] += 3 * np.sin(2 * np.pi * 75 / 60 * np.arange(waves.shape[1]) / FPS)
    assert estimate_rate([waves], FPS, PROTOCOL).bpm == pytest.approx(150, abs=1)


def test_segments_add_up_whatever_their_length_and_phase() -> None:
    parts = [regions(80, seconds, noise=1.5, seed=int(seconds)) for seconds in (7, 12, 9)]
    found = estimate_rate(parts, FPS, PROTOCOL)
    assert found.bpm == pytest.approx(80, abs=1.5)
    assert found.seconds == pytest.approx(12)
    assert estimate_rate(parts[::-1], FPS, PROTOCOL).bpm == pytest.approx(found.bpm, abs=1e-9)


@settings(deadline=None, max_examples=10)
@given(st.floats(1e-6, 1e6), st.integers(0, 99))
def test_scale_does_not_matter(scale: float, seed: int) -> None:
    waves = regions(70, 10, noise=1.0, seed=seed)
    one, other = estimate_rate([waves], FPS, PROTOCOL), estimate_rate([scale * waves], FPS, PROTOCOL)
    assert other.bpm == pytest.approx(one.bpm)
    assert other.coherence == pytest.approx(one.coherence)


def test_nothing_is_no_evidence() -> None:
    assert calibrated_quality(estimate_rate([np.zeros((4, 300))], FPS, PROTOCOL)) == 0.0


def test_a_drift_below_the_range_is_no_evidence() -> None:
    drift = np.tile(np.sin(2 * np.pi * 0.3 * np.arange(300) / FPS), (4, 1))
    assert calibrated_quality(estimate_rate([drift], FPS, PROTOCOL)) == 0.0


def agreement(share: float, bpm: float = 70.0) -> RateEstimate:
    return RateEstimate(np.zeros(1), np.zeros(1), bpm, share, 10.0)


def test_trust_grows_with_what_is_shared_and_shrinks_with_doubt() -> None:
    shares = np.linspace(0.01, 0.99, 30)
    trusts = [calibrated_quality(agreement(share)) for share in shares]
    assert trusts == sorted(trusts)
    assert trusts[0] < 0.1
    assert trusts[-1] > 0.95
    assert all(
        calibrated_quality(agreement(share), key_frame_rhythm=True) < calibrated_quality(agreement(share))
        for share in shares
    )


def test_a_slow_rate_needs_more_to_be_shared() -> None:
    assert (
        calibrated_quality(agreement(0.4, bpm=45))
        < calibrated_quality(agreement(0.4, bpm=70))
        < calibrated_quality(agreement(0.4, bpm=110))
    )


def test_a_short_segment_needs_more_to_be_shared() -> None:
    short, long = (replace(agreement(0.4), seconds=seconds) for seconds in (5.0, 10.0))
    assert calibrated_quality(short) < calibrated_quality(long)


def test_what_codecs_were_seen_to_make_of_a_photograph_is_not_believed() -> None:
    """The most that four regions of a photograph shared at a multiple of the key frames' rate, among 240 readings."""
    for share, bpm in ((0.38, 54), (0.33, 60), (0.28, 120)):
        assert calibrated_quality(agreement(share, bpm), key_frame_rhythm=True) < 0.7


@settings(deadline=None, max_examples=25)
@given(st.floats(45, 200), st.integers(0, 99))
def test_a_lead_and_the_regions_each_find_the_rate_where_the_other_drowns(bpm: float, seed: int) -> None:
    times, rng = np.arange(600) / FPS, np.random.default_rng(seed)
    adrift, clear = rng.standard_normal(600), np.sin(2 * np.pi * bpm / 60 * times)
    for waves, lead in (
        (regions(bpm, 20, noise=0.3, seed=seed), adrift),
        (regions(None, 20, noise=1, seed=seed), clear),
    ):
        assert estimate_rate([waves], FPS, PROTOCOL, [lead]).bpm == pytest.approx(bpm, abs=1)


@settings(deadline=None, max_examples=25)
@given(st.floats(50, 110), st.floats(1.25, 1.6), st.integers(0, 99))
def test_a_rhythm_in_step_with_the_lead_wins_over_larger_ones_of_each_alone(
    bpm: float, ratio: float, seed: int
) -> None:
    """As of a person who walks: each of the two sees a disturbance of its own above the pulse that both see."""
    times, rng = np.arange(600) / FPS, np.random.default_rng(seed)
    heart, walk, lamp = (np.sin(2 * np.pi * rate / 60 * times) for rate in (bpm, bpm * ratio, bpm * (ratio + 0.25)))
    waves = np.stack([heart + 1.4 * lamp] * 4) + 0.3 * rng.standard_normal((4, 600))
    assert estimate_rate([waves], FPS, PROTOCOL).bpm == pytest.approx(bpm * (ratio + 0.25), abs=1)
    assert estimate_rate([waves], FPS, PROTOCOL, [heart + 1.4 * walk]).bpm == pytest.approx(bpm, abs=1)
    against = estimate_rate([waves], FPS, PROTOCOL, [-heart + 1.4 * walk])
    assert against.bpm != pytest.approx(bpm, abs=1), "what falls where the other rises is another thing"


def test_the_rate_of_a_clear_lead_is_borne_out_by_regions_that_share_it_and_by_no_others() -> None:
    waves, times = regions(80, 20, noise=0.5), np.arange(600) / FPS
    alone = estimate_rate([waves], FPS, PROTOCOL)
    for bpm, borne_out in ((80, True), (113, False)):
        lead = np.sin(2 * np.pi * bpm / 60 * times)
        found = estimate_rate([waves], FPS, PROTOCOL, [lead])
        assert found.bpm == pytest.approx(bpm, abs=0.5)
        assert found.hz[found.power.argmax()] * 60 == pytest.approx(bpm, abs=1)
        assert (found.coherence == pytest.approx(alone.coherence, abs=0.02)) == borne_out
        assert (calibrated_quality(found) > 0.9) == borne_out
    assert estimate_rate([waves], FPS, PROTOCOL, [np.zeros(600)]).coherence == 0.0, (
        "a lead that says nothing has no rate"
    )


def test_how_clear_a_lead_is_counts_where_its_weights_say_so() -> None:
    waves, times = regions(80, 20, noise=0.5), np.arange(600) / FPS
    noise = np.random.default_rng(0).standard_normal(600)
    founds = [
        estimate_rate([waves], FPS, PROTOCOL, [np.sin(2 * np.pi * 80 / 60 * times) + n * noise])
        for n in (0.0, 1.0, 3.0)
    ]
    leads = [found.network for found in founds]
    assert leads == sorted(leads, reverse=True)
    assert leads[0] > 0.99
    assert leads[-1] < 0.6
    weights = replace(CLASSICAL_QUALITY, network=1.5)
    trusts = [calibrated_quality(found, weights) for found in founds]
    assert trusts == sorted(trusts, reverse=True)
    assert [calibrated_quality(found, CLASSICAL_QUALITY) for found in founds[:2]] == [
        calibrated_quality(replace(f, network=0.1)) for f in founds[:2]
    ]
    assert calibrated_quality(estimate_rate([waves], FPS, PROTOCOL), weights) == calibrated_quality(
        estimate_rate([waves], FPS, PROTOCOL)
    ), "nobody leads"


def test_what_regions_do_not_share_at_all_is_no_proof_against_a_lead() -> None:
    waves, times = regions(80, 20, noise=0.0), np.arange(600) / FPS
    lone = estimate_rate([waves], FPS, PROTOCOL, [np.sin(2 * np.pi * 130 / 60 * times)])
    assert lone.coherence == MINIMUM_COHERENCE
    assert calibrated_quality(lone) < 0.05
    assert 0.5 < calibrated_quality(lone, replace(CLASSICAL_QUALITY, coherence=0.1, network=1.5)) < 1


def test_the_longer_of_two_segments_leads_more() -> None:
    waves = [regions(80, seconds, noise=0.5) for seconds in (8, 24)]
    leads = [
        np.sin(2 * np.pi * bpm / 60 * np.arange(wave.shape[1]) / FPS)
        for wave, bpm in zip(waves, (120, 80), strict=True)
    ]
    assert estimate_rate(waves, FPS, PROTOCOL, leads).bpm == pytest.approx(80, abs=0.5)
