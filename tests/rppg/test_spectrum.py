"""Detrending, filters, the spectra of all protocols, and heart rates of tones, constant and short waveforms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.errors import TooShortError
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import (
    bandpass,
    detrend,
    filtered,
    heart_rate,
    peak_bpm,
    snr_db,
    spectrum,
    unit_variance,
)

FACEPULSE = PROTOCOLS["facepulse"]


def pulse(bpm, fps, seconds, *, harmonic=0.4, noise=0.0, seed=0):
    """A fundamental of amplitude 1, a second harmonic and white noise, with random phases."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * bpm / 60 * np.arange(round(fps * seconds)) / fps
    first, second = rng.uniform(0, 2 * np.pi, 2)
    return np.sin(angle + first) + harmonic * np.sin(2 * angle + second) + rng.normal(0, noise, len(angle))


@pytest.mark.parametrize("regularization", [10, 100, 600])
@pytest.mark.parametrize("shape", [(3,), (4,), (300,), (300, 3)])
def test_banded_detrending_equals_the_dense_formula(shape, regularization):
    x = np.random.default_rng(1).normal(size=shape).cumsum(axis=0)
    length = shape[0]
    difference = np.diff(np.eye(length), 2, axis=0)
    inverse = np.linalg.inv(np.eye(length) + regularization**2 * difference.T @ difference)
    np.testing.assert_allclose(detrend(x, regularization), (np.eye(length) - inverse) @ x, atol=1e-9)


def test_detrending_removes_a_line_and_keeps_the_pulse():
    t = np.arange(600) / 30
    beat = np.sin(2 * np.pi * 1.2 * t)
    assert np.abs(detrend(5 + 3 * t)).max() < 1e-6
    np.testing.assert_allclose(detrend(beat + 5 + 3 * t)[60:-60], beat[60:-60], atol=0.05)


def test_bandpass_keeps_the_band_without_delay():
    t = np.arange(900) / 30
    inside, outside = np.sin(2 * np.pi * 1.3 * t), np.sin(2 * np.pi * 0.05 * t) + np.sin(2 * np.pi * 12 * t)
    np.testing.assert_allclose(bandpass(inside + outside, 30, 0.75, 2.5, 2)[90:-90], inside[90:-90], atol=0.06)


def test_bandpass_above_nyquist_on_short_and_empty_bands():
    assert np.isfinite(bandpass(pulse(72, 7, 20), 7, 0.6, 4.0)).all()
    assert bandpass(np.arange(5.0), 30, 0.6, 4.0).shape == (5,)
    with pytest.raises(ValueError, match="empty at 1 fps"):
        bandpass(np.arange(20.0), 1, 0.6, 4.0)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol_is_printed_in_one_line(name):
    line = str(PROTOCOLS[name])
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert "bpm" in line


def test_spectrum_of_the_paper_has_194_bins_in_its_range():
    hz, _ = spectrum(pulse(72, 30, 10), 30, PROTOCOLS["paper"])
    inside = 60 * hz[(60 * hz > 45) & (60 * hz < 150)]
    assert len(inside) == 194
    assert (inside[0], inside[-1]) == pytest.approx((45.36, 149.59), abs=0.01)


def test_toolbox_takes_bins_and_facepulse_interpolates():
    waveform, bin_bpm = pulse(72, 30, 10), 1800 / 512
    assert heart_rate(waveform, 30, PROTOCOLS["toolbox"]) in (20 * bin_bpm, 21 * bin_bpm)
    rates = np.linspace(70, 71, 11)
    np.testing.assert_allclose([heart_rate(pulse(bpm, 30, 10), 30, FACEPULSE) for bpm in rates], rates, atol=0.05)


@settings(max_examples=60)
@given(
    bpm=st.floats(40, 240),
    fps=st.floats(15, 60),
    seconds=st.floats(8, 60),
    harmonic=st.floats(0, 0.7),
    noise=st.floats(0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
def test_rate_of_any_tone_with_its_harmonic(bpm, fps, seconds, harmonic, noise, seed):
    measured = heart_rate(pulse(bpm, fps, seconds, harmonic=harmonic, noise=noise, seed=seed), fps, FACEPULSE)
    assert abs(measured - bpm) < (2 if seconds < 10 else 1)


@pytest.mark.parametrize("bpm", [40, 55, 72, 110, 150, 180, 240])
def test_five_seconds_suffice_for_two_bpm(bpm):
    assert heart_rate(pulse(bpm, 30, 5, noise=0.1), 30, FACEPULSE) == pytest.approx(bpm, abs=2)


@settings(max_examples=20)
@given(
    bpm=st.floats(45, 200),
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-10, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_rate_is_invariant_to_scale_offset_sign_and_time_reversal(bpm, scale, offset, seed):
    waveform = pulse(bpm, 30, 15, noise=0.5, seed=seed)
    measured = heart_rate(waveform, 30, FACEPULSE)
    assert heart_rate(scale * (waveform + offset), 30, FACEPULSE) == pytest.approx(measured, abs=1e-3)
    assert heart_rate(-waveform, 30, FACEPULSE) == pytest.approx(measured, abs=1e-6)
    assert heart_rate(waveform[::-1], 30, FACEPULSE) == pytest.approx(measured, abs=1e-3)


@pytest.mark.parametrize("bpm", [50, 70, 100])
def test_strong_second_harmonic_does_not_double_the_rate(bpm):
    assert heart_rate(pulse(bpm, 30, 20, harmonic=0.95), 30, FACEPULSE) == pytest.approx(bpm, abs=1)


@pytest.mark.parametrize("bpm", [100, 150, 180])
@pytest.mark.parametrize("half", [0.4, 0.75])
def test_weaker_tone_at_half_the_rate_does_not_halve_it(bpm, half):
    t = np.arange(600) / 30
    waveform = pulse(bpm, 30, 20, harmonic=0) + half * np.sin(2 * np.pi * bpm / 120 * t + 1)
    assert heart_rate(waveform, 30, FACEPULSE) == pytest.approx(bpm, abs=1)


def test_drift_below_the_range_is_not_a_peak():
    t = np.arange(300) / 30
    waveform = pulse(75, 30, 10, noise=0.2) + 20 * t + 30 * np.sin(2 * np.pi * 0.15 * t)
    assert heart_rate(waveform, 30, FACEPULSE) == pytest.approx(75, abs=1)


def test_heart_rate_is_the_peak_of_the_returned_spectrum():
    waveform = pulse(83, 30, 12, noise=0.3)
    for protocol in PROTOCOLS.values():
        hz, power = spectrum(waveform, 30, protocol)
        assert hz[0] == 0
        assert heart_rate(waveform, 30, protocol) == peak_bpm(hz, power, protocol)


def test_snr_follows_the_noise():
    levels = [snr_db(pulse(75, 30, 20, noise=noise), 30, 75, FACEPULSE) for noise in (0, 0.1, 0.3, 1, 3)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 30
    assert levels[-1] < 5
    assert snr_db(pulse(75, 30, 20, noise=0.1), 30, 140, FACEPULSE) < -10


def test_snr_hardly_depends_on_the_length():
    waveform = pulse(75, 30, 60, noise=1)
    long, short = (snr_db(waveform[: seconds * 30], 30, 75, FACEPULSE) for seconds in (60, 10))
    assert abs(long - short) < 4


@pytest.mark.parametrize("level", [0.0, 1.0, 117.3, -1e6])
def test_constant_waveform_has_no_pulse(level):
    flat = np.full(300, level)
    assert heart_rate(flat, 30, FACEPULSE) == 40
    assert snr_db(flat, 30, 40, FACEPULSE) == -40
    assert snr_db(flat, 30, 72, PROTOCOLS["toolbox"]) == 0
    assert not filtered(flat, 30, FACEPULSE).any()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_invalid_waveforms_are_refused_in_one_line(name):
    protocol = PROTOCOLS[name]
    with pytest.raises(TooShortError, match="has 8 samples"):
        heart_rate(np.ones(8), 30, protocol)
    with pytest.raises(ValueError, match="NaN"):
        heart_rate([*np.ones(50), np.nan], 30, protocol)
    with pytest.raises(ValueError, match=r"shape \(50, 3\)"):
        heart_rate(np.ones((50, 3)), 30, protocol)
    assert 36 <= heart_rate(pulse(72, 30, 0.4), 30, protocol) <= 240


def test_unit_variance_scales_each_waveform_and_leaves_constant_ones_zero() -> None:
    rng = np.random.default_rng(0)
    waveforms = np.stack([5 + 3 * rng.standard_normal(300), 1e-6 * rng.standard_normal(300), np.full(300, 0.1)])
    scaled = unit_variance(waveforms)
    assert scaled.std(axis=1) == pytest.approx([1.0, 1.0, 0.0])
    np.testing.assert_array_equal(scaled[0], unit_variance(waveforms[0]))
    assert scaled[0].mean() == pytest.approx(5 / 3, rel=0.1), "the mean is not removed"
    assert not scaled[2].any()
