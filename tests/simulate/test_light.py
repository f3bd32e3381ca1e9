"""Lighting: levels, changes over time and rare events of each kind."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.simulate.light import LIGHTINGS, draw_lighting
from facepulse.simulate.skin import SPECTRA

MMPD = ["LED-low", "LED-high", "Incandescent", "Nature"]
FILM = np.arange(1800) / 30
kinds, seeds = st.sampled_from(list(LIGHTINGS)), st.integers(0, 2**32 - 1)


def lighting(kind, seed, times=FILM):
    return draw_lighting(kind, np.random.default_rng(seed), times)


def total(drawn):
    return np.sum([source.level for source in drawn.sources], axis=0)


def band_rms(curve, low_hz=0.7, high_hz=4.0):
    """Return the RMS of a curve at 30 Hz within the band of the pulse."""
    taper = np.hanning(len(curve))
    power = np.abs(np.fft.rfft((curve - np.average(curve, weights=taper)) * taper)) ** 2 / (taper**2).sum()
    hz = np.fft.rfftfreq(len(curve), 1 / 30)
    return np.sqrt(2 * power[(hz >= low_hz) & (hz <= high_hz)].sum() / len(curve))


@settings(max_examples=40)
@given(kind=kinds, seed=seeds, data=st.data())
def test_light_does_not_depend_on_the_frame_times(kind, seed, data):
    times = np.array(data.draw(st.lists(st.floats(0, 20), min_size=1, max_size=20, unique=True).map(sorted)))
    more = np.unique(np.concatenate([times, np.linspace(0, data.draw(st.floats(0, 90)), 50)]))
    few, many = lighting(kind, seed, times), lighting(kind, seed, more)
    same = np.searchsorted(more, times)
    assert few.lux == many.lux
    assert len(few.sources) == len(many.sources)
    for a, b in zip(few.sources, many.sources, strict=True):
        assert (a.spectrum, a.softness, a.flicker_hz, a.flicker_depth) == (
            b.spectrum,
            b.softness,
            b.flicker_hz,
            b.flicker_depth,
        )
        np.testing.assert_allclose(a.level, b.level[same], atol=1e-9)
        np.testing.assert_allclose(a.direction, b.direction[same], atol=1e-9)


@settings(max_examples=40)
@given(kind=kinds, seed=seeds)
def test_sources_are_valid(kind, seed):
    drawn = lighting(kind, seed, FILM[::5])
    low, high = LIGHTINGS[kind].lux
    assert low <= drawn.lux <= high
    assert total(drawn)[0] == pytest.approx(1)
    for source in drawn.sources:
        assert source.spectrum in SPECTRA
        assert source.direction.shape == (360, 3)
        np.testing.assert_allclose(np.linalg.norm(source.direction, axis=1), 1)
        assert (source.level >= 0).all()
        assert 0 < source.softness <= np.pi / 2
        if source.flicker_depth:
            assert min(abs(source.flicker_hz - 100), abs(source.flicker_hz - 120)) <= 0.2
    assert drawn.sources[0].softness < np.pi / 2  # the main light comes first
    [below] = [source for source in drawn.sources if source.softness == np.pi / 2 and source.direction[0, 1] < 0]
    assert below.level[0] < 0.25


def test_seed_determines_the_light():
    for kind in LIGHTINGS:
        for a, b in zip(lighting(kind, 5).sources, lighting(kind, 5).sources, strict=True):
            assert a.level.tobytes() == b.level.tobytes()
            assert a.direction.tobytes() == b.direction.tobytes()
        assert total(lighting(kind, 5)).tobytes() != total(lighting(kind, 6)).tobytes()


@settings(max_examples=30)
@given(seed=seeds)
def test_calm_light_has_no_power_in_the_band_of_the_pulse(seed):
    drawn = lighting("calm", seed)
    level = total(drawn)
    assert band_rms(level) < 2e-5  # the pulse is 2e-3 and more
    assert level.min() > 0.75
    assert level.max() < 1.3
    assert all((source.direction == source.direction[0]).all() for source in drawn.sources)
    assert drawn.sources[0].direction[0, 2] > 0.6  # from the direction of the camera
    assert drawn.sources[0].flicker_depth <= 0.05
    assert {source.spectrum for source in drawn.sources} <= {"daylight", "white LED"}


def test_levels_and_flicker_match_the_kind():
    drawn = {kind: [lighting(kind, seed, FILM[:2]) for seed in range(150)] for kind in LIGHTINGS}
    lux = {kind: np.median([one.lux for one in many]) for kind, many in drawn.items()}
    assert 2 * lux["LED-low"] < lux["LED-high"] < lux["Nature"]
    ripple = {kind: np.array([one.sources[0].flicker_depth for one in many]) for kind, many in drawn.items()}
    assert 0.10 <= ripple["Incandescent"].min() < ripple["Incandescent"].max() <= 0.15
    assert 0.20 <= ripple["Fluorescent"].min() < ripple["Fluorescent"].max() <= 0.35
    assert 0.25 < ripple["LED-low"].max() <= 0.30
    assert np.median(ripple["LED-low"]) < 0.12
    assert ripple["Nature"].max() == 0
    spectra = {kind: {one.sources[0].spectrum for one in many} for kind, many in drawn.items()}
    assert spectra["Nature"] == {"daylight"}
    assert spectra["LED-low"] == spectra["LED-high"] == {"white LED", "warm LED"}
    assert spectra["Fluorescent"] == {"fluorescent"}
    assert {one.sources[0].spectrum for kind in ("calm", *MMPD) for one in drawn[kind]}.isdisjoint({"fluorescent"})
    hz = np.array([one.sources[0].flicker_hz for one in drawn["Incandescent"]])
    assert 0 < np.mean(hz < 110) < 1
    assert np.abs(hz - np.round(hz / 20) * 20).std() > 0.01  # the frequency of the mains varies


def test_daylight_drifts_by_tenths_of_its_level():
    drawn = [lighting("Nature", seed) for seed in range(60)]
    swing = [np.ptp(one.sources[0].level) / one.sources[0].level.mean() for one in drawn]
    assert 0.15 < np.median(swing) < 0.6
    assert np.median([np.ptp(total(lighting("calm", seed))) for seed in range(60)]) < 0.1


def test_passers_by_dip_the_main_light_smoothly():
    dips = []
    for seed in range(80):
        level = lighting("LED-high", seed).sources[0].level
        level = level / np.median(level)
        if 1 - level.min() > 0.08:  # the drift of the mains is far smaller
            starts = np.flatnonzero(np.diff((level < 0.97).astype(int)) == 1)
            dips.append((1 - level.min(), len(starts)))
            lasts = (level < 0.97).sum() / 30 / max(len(starts), 1)
            assert 0.2 < lasts < 2.1
            assert np.abs(np.diff(level)).max() < 0.25
    depths, counts = np.array(dips).T
    assert 8 <= len(dips) <= 40  # about 0.3 of them
    assert depths.max() <= 0.65
    assert counts.max() <= 8


@pytest.mark.slow
def test_screens_and_coloured_lights_are_rare_and_absent_from_calm_light():
    counts = {kind: Counter() for kind in LIGHTINGS}
    for kind, count in counts.items():
        for seed in range(250):
            count.update({source.spectrum for source in lighting(kind, seed, FILM[:2]).sources})
    assert not set(counts["calm"]) & {"screen", "red", "green", "blue"}
    for kind in MMPD:
        coloured = sum(counts[kind][colour] for colour in ("red", "green", "blue"))
        assert 0.02 * 150 <= coloured <= 0.15 * 250, (kind, coloured)
        assert 0.05 * 250 <= counts[kind]["screen"] <= 0.4 * 250


@pytest.mark.slow
def test_screens_change_with_cuts_and_coloured_lights_change_in_the_band_of_the_pulse():
    screens, colours = [], []
    for seed in range(400):
        drawn = lighting("LED-low", seed)
        for source in drawn.sources:
            if source.spectrum == "screen":
                screens.append(np.ptp(source.level) / source.level.mean())
                assert source.direction[0, 2] > 0.8
                assert np.abs(np.diff(source.level)).max() < 1
            if source.spectrum in ("red", "green", "blue"):
                moving = band_rms(source.level), band_rms(source.direction[:, 0])
                colours.append(moving)
                assert (source.level == 0).any()  # only for a limited time
    assert len(screens) > 60
    assert np.median(screens) > 1.3  # from dark shots to bright ones
    levels, directions = np.array(colours).T
    assert (levels > 3e-3).sum() >= 5  # as large as a pulse
    assert (directions > 0.05).sum() >= 5


def test_unknown_light_is_refused():
    with pytest.raises(ValueError, match="light must be one of calm, LED-low"):
        lighting("candle", 0)
