"""Camera: photon noise, exposure, colours, mains flicker and the firmware's image processing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colour_science import SENSORS
from facepulse.simulate.camera import Camera, Development, draw_camera, tone_curve
from facepulse.simulate.noise import NoiseField
from facepulse.simulate.skin import SPECTRA, Sensor

PLAIN = Camera(
    sensor=Sensor("plain", np.ones((31, 3)), np.eye(3)),
    exposure_s=0.02,
    readout_s=0.02,
    f_number=2.2,
    pixel_um=1.6,
    efficiency=0.6,
    full_well_e=7000,
    read_noise_e=3,
    white_level=0.8,
)
WHITE = np.ones(3)
TIMES = np.arange(300) / 30
FRAMES = range(0, 300, 3)  # ten per second


def develop(camera=PLAIN, lux=300.0, white=WHITE, seed=0, **arguments) -> Development:
    return Development(camera, TIMES, lux, white, np.random.default_rng(seed), **arguments)


def flat(*colour: float, size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), colour, np.float32)


LIGHT = np.linspace(0, 1, 20001)
STORED = 255 * tone_curve(PLAIN, LIGHT)


def linear(image: np.ndarray) -> np.ndarray:
    """Undo the plain camera's tone curve."""
    return np.interp(np.arange(256), STORED, LIGHT)[image]


def test_noise_has_the_variance_of_photon_counts():
    binning = 16
    development = develop(lux=5, binning=binning)
    electrons = development.electrons
    assert electrons == pytest.approx(
        # lux on the sensor, photons per lux, second and m², area, exposure, efficiency
        5 * 0.9 / (4 * 2.2**2) * (1 / 683 / 3.58e-19) * 1.6e-6**2 * 0.02 * 0.6,
        rel=0.01,
    )
    averaging = NoiseField(np.random.default_rng(1), 1, binning).crop(0, 512, 512)[0].var(axis=(0, 1))
    for grey in (0.2, 0.4, 0.8):
        measured = np.stack([linear(development(flat(grey, grey, grey), t)) for t in range(60)])
        assert measured.mean() == pytest.approx(0.8 * grey, rel=0.02)
        one_pixel = (electrons * grey + 3**2) * (0.8 / electrons) ** 2  # in units of the clipping level
        np.testing.assert_allclose(measured.var(axis=(0, 1, 2)), one_pixel * averaging, rtol=0.08)


def test_exposure_does_not_depend_on_the_resolution():
    colour = np.array([0.3, 0.5, 0.2])
    for binning in (0.5, 1, 4, 16):
        measured = linear(develop(binning=binning)(flat(*colour, size=128), 0)).mean(axis=(0, 1))
        np.testing.assert_allclose(measured, 0.8 * colour, rtol=0.01)


def test_auto_exposure_keeps_brightness_with_more_noise_in_dim_and_shorter_exposure_in_bright_light():
    frames = {lux: linear(develop(lux=lux)(flat(0.4, 0.4, 0.4), 0)) for lux in (30, 300, 20000)}
    for frame in frames.values():
        assert frame.mean() == pytest.approx(0.32, rel=0.02)
    assert frames[30].std() > 2 * frames[300].std() > 2 * frames[20000].std()
    assert develop(lux=300).exposure_s == 0.02
    bright = develop(lux=20000)
    assert bright.electrons == pytest.approx(0.8 * 7000)
    assert bright.exposure_s < 0.005
    reddish = develop(lux=20000, white=np.array([1.6, 1, 0.4]))
    assert 1.6 * reddish.electrons == pytest.approx(0.8 * 7000)  # the red wells fill first


@pytest.mark.parametrize("edge_aware", [False, True])
@pytest.mark.parametrize("size", [64, 51])
def test_mosaic_preserves_colours(edge_aware, size):
    camera = replace(PLAIN, edge_aware=edge_aware)
    colour = np.array([0.7, 0.4, 0.1])
    measured = linear(develop(camera, lux=2000)(flat(*colour, size=size), 0))
    np.testing.assert_allclose(measured.mean(axis=(0, 1)), 0.8 * colour, rtol=0.02)


def test_adaptation_sets_the_tint_that_white_balance_leaves():
    sensor = SENSORS["phone"]
    whites = {}
    for light in ("daylight", "incandescent"):
        raw = SPECTRA[light] @ sensor.sensitivity
        for adaptation in (0.5, 1.0):
            camera = replace(PLAIN, sensor=replace(sensor, to_srgb=np.eye(3)), adaptation=adaptation)
            white = raw / raw[1]
            frame = develop(camera, lux=1e4, white=white, binning=100)(flat(*(0.7 * white)), 0)
            whites[light, adaptation] = linear(frame).mean(axis=(0, 1))
    for key in (("daylight", 1.0), ("daylight", 0.5), ("incandescent", 1.0)):
        assert np.ptp(whites[key]) < 0.01
    red, green, blue = whites["incandescent", 0.5]
    assert red > 1.1 * green > 1.2 * blue


@pytest.mark.parametrize("quality", ["calm", "complex"])
def test_white_is_below_clipping_at_time_0_and_highlights_are_white(quality):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        camera = replace(draw_camera(rng, quality), sharpening=0.0)
        white = np.array([rng.uniform(0.4, 2), 1, rng.uniform(0.2, 1.2)])
        development = develop(camera, lux=1000, white=white, binning=64)
        raw = np.float32(white) * np.ones((32, 32, 1), np.float32)
        neutral = replace(camera, adaptation=1.0, tint=(0.0, 0.0))
        shown = develop(neutral, lux=1000, white=white, binning=64)(raw, 0).mean(axis=(0, 1))
        assert np.ptp(shown) < 2
        assert (development(raw, 0) < 255).any(axis=-1).all()
        assert (develop(camera, lux=1000, white=white)(6 * raw, 0) == 255).mean() > 0.99


def test_same_seed_gives_the_same_bytes_in_any_order():
    camera = draw_camera(np.random.default_rng(3), "complex")
    camera = replace(camera, trailing=0.0)
    assert draw_camera(np.random.default_rng(3), "complex").exposure_s == camera.exposure_s
    raw = np.random.default_rng(0).random((48, 64, 3), np.float32)
    for binning in (1, 6):
        one, other = (develop(camera, binning=binning) for _ in range(2))
        frames = [one(raw, t) for t in range(4)]
        for t in reversed(range(4)):
            np.testing.assert_array_equal(other(raw, t), frames[t])
        assert not np.array_equal(develop(camera, seed=1, binning=binning)(raw, 0), frames[0])


@settings(max_examples=50)
@given(
    index=st.integers(0, len(TIMES) - 1),
    exposure_s=st.floats(0.001, 0.033),
    readout_s=st.floats(0, 0.033),
    flicker_hz=st.floats(90, 130),
    depth=st.floats(0, 1),
)
def test_flicker_is_the_mean_ripple_over_the_exposure_of_each_row(index, exposure_s, readout_s, flicker_hz, depth):
    development = develop(replace(PLAIN, exposure_s=exposure_s, readout_s=readout_s))
    rows = np.linspace(0, 1, 7)
    t = TIMES[index] + readout_s * rows[:, None] + exposure_s * (np.arange(2000) + 0.5) / 2000
    ripple = 1 + depth * np.cos(2 * np.pi * flicker_hz * t + development.mains_phase)
    np.testing.assert_allclose(development.flicker(index, rows, flicker_hz, depth), ripple.mean(axis=1), atol=1e-5)


def test_exposures_of_whole_mains_periods_have_no_flicker():
    rows = np.linspace(0, 1, 48)
    still = develop(replace(PLAIN, exposure_s=0.02)).flicker(7, rows, 100, 1)
    bands = develop(replace(PLAIN, exposure_s=0.0125)).flicker(7, rows, 100, 1)
    np.testing.assert_allclose(still, 1, atol=1e-6)
    assert np.ptp(bands) > 0.2


@given(gamma=st.floats(0.7, 1.4), contrast=st.floats(0, 1))
def test_tone_curve_rises_from_0_to_1(gamma, contrast):
    stored = tone_curve(replace(PLAIN, gamma=gamma, contrast=contrast), np.linspace(0, 1, 1001))
    assert (np.diff(stored) >= 0).all()
    assert stored[0] == 0
    assert stored[-1] == pytest.approx(1)


def exposure_and_colour(camera: Camera, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of green and of red over green of a grey surface, (T,) each."""
    development = develop(camera, lux=1e4, seed=seed, binning=1e4)
    measured = np.stack([linear(development(flat(0.4, 0.4, 0.4, size=8), t)).mean(axis=(0, 1)) for t in FRAMES])
    return np.log(measured[:, 1] / measured[0, 1]), np.log(
        measured[:, 0] / measured[:, 1] * measured[0, 1] / measured[0, 0]
    )


def test_drifts_are_slow_and_steps_are_fast_and_both_have_their_size():
    drifting = replace(PLAIN, exposure_drift=0.05, balance_drift=0.05)
    stepping = replace(PLAIN, exposure_step=0.05, steps_per_minute=30)
    spread, changes = [], {"drift": [], "step": []}
    for seed in range(8):
        exposure, colour = exposure_and_colour(drifting, seed)
        spread += [np.ptp(exposure), np.ptp(colour)]
        changes["drift"].append(np.abs(exposure[2:] - exposure[:-2]).max())
        steps, nothing = exposure_and_colour(stepping, seed)
        assert np.abs(nothing).max() < 0.02
        changes["step"].append(np.abs(steps[2:] - steps[:-2]).max())
    assert 0.03 < np.mean(spread) < 0.15
    assert max(changes["drift"]) < 0.03  # in 0.2 s
    assert np.median(changes["step"]) > 0.04
    assert np.abs(exposure_and_colour(PLAIN, 0)[0]).max() < 0.01


def test_noise_reduction_lowers_noise_and_sharpening_overshoots_at_edges():
    edge = flat(0.2, 0.2, 0.2)
    edge[:, 32:] = 0.5
    plain, smoothing, trailing, sharp = (
        np.stack([develop_again(edge, t) for t in range(12)])[4:].astype(float)
        for develop_again in (
            develop(replace(PLAIN, **change), lux=100, binning=16)
            for change in ({}, {"smoothing": 4.0}, {"trailing": 0.5}, {"sharpening": 0.8})
        )
    )
    in_space, in_time = (lambda video: video[:, :, :24].std(axis=2).mean()), (lambda video: video.std(axis=0).mean())
    assert in_space(smoothing) < 0.8 * in_space(plain)
    assert in_time(trailing) < 0.8 * in_time(plain)
    for video in (smoothing, trailing):
        np.testing.assert_allclose(video[:, :, 40:].mean(), plain[:, :, 40:].mean(), atol=0.5)
    profile = sharp.mean(axis=(0, 1, 3))
    assert profile[32] > profile[45:].mean() + 4
    assert profile[31] < profile[:20].mean() - 4


def test_trailing_does_not_blend_moving_content():
    development = develop(replace(PLAIN, trailing=0.5), lux=1e4, binning=100)
    fresh = develop(PLAIN, lux=1e4, binning=100)
    before, after = flat(0.1, 0.1, 0.1), flat(0.6, 0.6, 0.6)
    development(before, 0)
    np.testing.assert_allclose(development(after, 1).mean(), fresh(after, 1).mean(), atol=2)


@pytest.mark.parametrize("quality", ["calm", "complex"])
def test_drawn_cameras_are_in_the_range_of_real_ones(quality):
    for seed in range(50):
        camera = draw_camera(np.random.default_rng(seed), quality)
        assert 100 < camera.electrons(300) < 30000
        assert 5e3 <= camera.full_well_e <= 15e3
        assert camera.exposure_s < 1 / 29.9
        np.testing.assert_allclose(camera.sensor.to_srgb.sum(axis=1), 1, atol=1e-6)
        if quality == "calm":
            assert camera.trailing == camera.smoothing == camera.exposure_step == 0


def test_every_sensor_renders_grey_and_zero_light_is_refused():
    for sensor in SENSORS.values():
        frame = develop(replace(PLAIN, sensor=sensor))(flat(0.4, 0.4, 0.4), 0)
        assert frame.dtype == np.uint8
        assert np.ptp(frame.mean(axis=(0, 1))) < 2
    with pytest.raises(ValueError, match="above zero"):
        develop(lux=0)
