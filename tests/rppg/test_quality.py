"""Quality of heart rates as a function of their evidence."""

from dataclasses import replace

import numpy as np
import pytest

from facepulse.rppg.quality import CLASSICAL_QUALITY, calibrated_quality
from facepulse.rppg.regions import RateEstimate


def estimate(coherence: float, bpm: float = 70.0) -> RateEstimate:
    return RateEstimate(np.zeros(1), np.zeros(1), bpm, coherence, 10.0)


def test_quality_rises_with_coherence_and_falls_with_a_key_frame_rhythm() -> None:
    estimates = [estimate(coherence) for coherence in np.linspace(0.01, 0.99, 30)]
    qualities = [calibrated_quality(each) for each in estimates]
    assert qualities == sorted(qualities)
    assert qualities[0] < 0.1
    assert qualities[-1] > 0.95
    penalised = [calibrated_quality(each, key_frame_rhythm=True) for each in estimates]
    assert all(low < high for low, high in zip(penalised, qualities, strict=True))


def test_slow_rates_need_more_coherence() -> None:
    qualities = [calibrated_quality(estimate(0.4, bpm=bpm)) for bpm in (45, 70, 110)]
    assert qualities == sorted(set(qualities))


def test_short_segments_need_more_coherence() -> None:
    short, long = (replace(estimate(0.4), seconds=seconds) for seconds in (5.0, 10.0))
    assert calibrated_quality(short) < calibrated_quality(long)


@pytest.mark.parametrize(("coherence", "bpm"), [(0.38, 54), (0.33, 60), (0.28, 120)])
def test_key_frame_rhythm_of_a_photograph_stays_below_the_threshold(coherence: float, bpm: float) -> None:
    """The highest coherence of a photograph's regions at a multiple of the key-frame rate, among 240 videos."""
    assert calibrated_quality(estimate(coherence, bpm), key_frame_rhythm=True) < 0.7


def test_network_counts_only_with_a_coefficient_for_it() -> None:
    estimates = [replace(estimate(0.4), network=network) for network in (0.99, 0.6, 0.2)]
    fitted = [calibrated_quality(each, replace(CLASSICAL_QUALITY, network=1.5)) for each in estimates]
    assert fitted == sorted(set(fitted), reverse=True)
    assert len({calibrated_quality(each) for each in estimates}) == 1
