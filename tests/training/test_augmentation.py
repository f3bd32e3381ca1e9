"""Augmentation: every change has an effect, preserves the pulse and is reproducible from a seed."""

import math

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.datasets.cache import open_cache
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate
from facepulse.simulate.codec import through_codec
from facepulse.training.augmentation import FPS, NORMAL, Augmentation, _draw_encoding, change_speed
from small_cache import SmallRecording, waveform, write_cache

BPM = 84.0
STRONG = {
    "flip": 1.0,
    "crop": 0.3,
    "brightness": 2.0,
    "contrast": 0.6,
    "temperature": 0.6,
    "noise": 10.0,
    "compression": 1.0,
    "occlusion": 1.0,
}
QUICK = {name: value for name, value in STRONG.items() if name != "compression"}
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Recording of twelve seconds of skin with a pulse."""
    recordings = [SmallRecording("1-a", "1", BPM, seconds=(12.0,))]
    return open_cache(write_cache(tmp_path_factory.mktemp("cache"), recordings, size=48))[0]


@pytest.fixture(scope="module")
def clip(recording):
    return np.array(recording.frames)


def textured(count=12, size=40, seed=0):
    """Return frames that all differ, with structure, from dark to bright."""
    rng = np.random.default_rng(seed)
    texture = cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.stack([np.roll(texture, t, axis=1) for t in range(count)])


def random(seed=0):
    return np.random.default_rng(seed)


def rate(trace, method="POS"):
    return heart_rate(CLASSICAL[method].waveform(trace, FPS), FPS, PROTOCOLS["facepulse"])


def relative_pulse(frames, bpm=BPM):
    """Return the amplitude of green at a heart rate, relative to its level."""
    green = frames[..., 1].mean((1, 2))
    turns = np.exp(-2j * np.pi * bpm / 60 * np.arange(len(green)) / FPS) * np.hanning(len(green))
    return abs(turns @ (green - green.mean())) / green.mean()


# Off


def test_everything_is_off_by_default_and_leaves_the_clip_unchanged(clip):
    off = Augmentation()
    assert all(value == 0 for value in msgspec.structs.asdict(off).values())
    assert off.apply(clip, random()) is clip
    assert all(off.speed_factor(bpm, 2.0, random(seed)) == 1 for seed, bpm in enumerate((50.0, 75.0, 120.0)))
    ppg = np.arange(len(clip), dtype=np.float32)
    frames, ppg_played = change_speed(clip, ppg, 1.0, 160)
    assert np.shares_memory(frames, clip)
    np.testing.assert_array_equal(frames, clip[:160])
    np.testing.assert_array_equal(ppg_played, ppg[:160])


# Properties of every change


@pytest.mark.parametrize("field", STRONG)
def test_each_field_alone_has_an_effect(field):
    frames = textured()
    new = Augmentation(**{field: STRONG[field]}).apply(frames, random(3))
    assert new.dtype == np.uint8
    assert new.shape == frames.shape
    assert (new != frames).any()


@given(
    st.fixed_dictionaries({}, optional={name: st.floats(0, value) for name, value in QUICK.items()}),
    SEEDS,
    st.integers(1, 50),
    st.integers(8, 24),
)
def test_same_seed_gives_the_same_bytes_and_the_input_is_not_modified(fields, seed, count, size):
    frames = textured(count, size)
    frames.flags.writeable = False
    before = frames.copy()
    augmentation = Augmentation(**fields)
    new = augmentation.apply(frames, random(seed))
    assert (new.dtype, new.shape) == (np.uint8, frames.shape)
    np.testing.assert_array_equal(new, augmentation.apply(frames, random(seed)))
    np.testing.assert_array_equal(frames, before)


def test_compression_is_reproducible():
    frames = textured()
    for seed in range(6):
        one, other = (Augmentation(compression=1).apply(frames, random(seed)) for _ in range(2))
        np.testing.assert_array_equal(one, other)


def test_different_seeds_give_different_bytes():
    frames = textured()
    made = {Augmentation(**STRONG).apply(frames, random(seed)).tobytes() for seed in range(5)}
    assert len(made) == 5


@pytest.mark.parametrize("field", [name for name in STRONG if name != "occlusion"])
def test_pulse_is_preserved_by_each_change(clip, field):
    for seed in range(4):
        new = Augmentation(**{field: STRONG[field]}).apply(clip, random(seed))
        trace = new.mean((1, 2))
        assert rate(trace, "POS") == pytest.approx(BPM, abs=0.5)
        assert rate(trace, "GREEN") == pytest.approx(BPM, abs=0.5)
        assert 0.4 < relative_pulse(new) / relative_pulse(clip) < 2.5


@pytest.mark.slow
def test_pulse_is_preserved_by_all_changes_together_without_occlusion(clip):
    for seed in range(4):
        bare = Augmentation(**STRONG | {"occlusion": 0}).apply(clip, random(seed))
        assert rate(bare.mean((1, 2))) == pytest.approx(BPM, abs=1)


@given(SEEDS)
@settings(max_examples=30)
def test_pulse_of_bright_skin_is_not_clipped(seed):
    """A plain gain would clip the pulse of a level near white."""
    light = 245 + 5 * waveform(BPM, np.arange(240) / FPS)[:, None, None, None]
    bright = np.rint(np.broadcast_to(light, (240, 8, 8, 3)) + random(0).uniform(-1, 1, (240, 8, 8, 3))).astype(np.uint8)
    new = Augmentation(brightness=2, contrast=0.5, temperature=0.5).apply(bright, random(seed))
    assert rate(new.mean((1, 2)), "GREEN") == pytest.approx(BPM, abs=1)
    assert relative_pulse(new) > 0.15 * relative_pulse(bright)


@given(SEEDS)
@settings(max_examples=30)
def test_still_frames_remain_still(seed):
    """Changes are drawn once per clip: a change between frames could resemble a pulse."""
    still = np.repeat(textured(1), 20, axis=0)
    steady = {name: value for name, value in QUICK.items() if name not in ("noise", "occlusion")}
    new = Augmentation(**steady).apply(still, random(seed))
    assert (new == new[0]).all()


@pytest.mark.slow
def test_compression_adds_no_rhythm():
    """Key frames would add one; a clip without a pulse has no power at any heart rate after compression."""
    noise = random(0).normal(0, 1.5, (240, 48, 48, 3))
    still = np.rint(textured(1, 48).clip(20, 235) + noise).clip(0, 255).astype(np.uint8)
    for seed in range(8):
        new = Augmentation(compression=1).apply(still, random(seed))
        green = new[30:, ..., 1].mean((1, 2))  # an encoder takes some frames to settle
        power = np.abs(np.fft.rfft((green - green.mean()) * np.hanning(len(green)))) / len(green) * 4
        assert power[5:].max() < 0.25  # amplitude in grey levels, from 43 bpm


def test_both_codecs_are_drawn_and_only_the_first_frame_is_a_key_frame():
    encodings = [_draw_encoding(160, random(seed)) for seed in range(40)]
    assert {encoding.codec for encoding in encodings} == {"libx264", "mjpeg"}
    assert {encoding.key_interval for encoding in encodings if encoding.codec == "libx264"} == {160}


# Single changes


def test_flip_mirrors_left_and_right():
    frames = textured()
    np.testing.assert_array_equal(Augmentation(flip=1).apply(frames, random()), frames[:, :, ::-1])


def test_flip_has_its_probability():
    frames = textured(2, 8)
    flipped = sum(Augmentation(flip=0.3).apply(frames, rng) is not frames for rng in [random()] * 2000)
    assert flipped == pytest.approx(600, abs=70)


@given(SEEDS, st.floats(0.05, 0.5))
def test_crop_enlarges_a_square_within_the_frame(seed, crop):
    """On a ramp, positions can be read from the levels."""
    size = 100
    across = np.arange(size, dtype=np.uint8) * 2
    frames = np.empty((2, size, size, 3), np.uint8)
    frames[..., 0], frames[..., 1:] = across, across[:, None, None]
    new = Augmentation(crop=crop).apply(frames, random(seed))[0].astype(float) / 2
    for position in (new[50, :, 0], new[:, 50, 1]):
        cut = 1 - (position[80] - position[20]) / 60
        assert -0.02 <= cut <= crop + 0.02
        assert position.min() >= 0
        assert position.max() <= size - 1


def test_crop_lies_on_every_side():
    across = np.arange(0, 200, 2, dtype=np.uint8)
    frames = np.empty((1, 100, 100, 3), np.uint8)
    frames[..., 0], frames[..., 1:] = across, across[:, None, None]
    made = np.stack([Augmentation(crop=0.3).apply(frames, random(seed))[0] for seed in range(200)])
    middles = made[:, 49:51, 49:51, :2].mean((1, 2)) / 2
    assert (middles.min(axis=0) < 44).all()
    assert (middles.max(axis=0) > 55).all()
    np.testing.assert_allclose(middles.mean(axis=0), 49.5, atol=1)
    assert abs(np.corrcoef(middles.T)[0, 1]) < 0.3


def test_brightness_is_light_in_stops():
    """Middle grey, a level of 0.46, changes as in sRGB under less or more light, for small changes."""
    grey = np.full((1, 4, 4, 3), 117, np.uint8)
    levels = np.array([Augmentation(brightness=0.5).apply(grey, random(seed))[0, 0, 0, 0] for seed in range(300)])

    def srgb(light):
        return 255 * (1.055 * light ** (1 / 2.4) - 0.055)

    assert levels.min() == pytest.approx(srgb(0.18 / math.sqrt(2)), abs=4)
    assert levels.max() == pytest.approx(srgb(0.18 * math.sqrt(2)), abs=4)
    assert np.median(levels) == pytest.approx(117, abs=4)


def test_contrast_changes_about_the_mean_of_the_clip():
    frames = np.empty((1, 4, 4, 3), np.uint8)
    frames[:, :2], frames[:, 2:] = 90, 150
    for seed in range(50):
        new = Augmentation(contrast=0.5).apply(frames, random(seed))[0].astype(float)
        spread = new[3, 0, 0] - new[0, 0, 0]
        assert 60 / 1.5 - 2 <= spread <= 60 * 1.5 + 2
        assert new.mean() == pytest.approx(120, abs=2)


def test_temperature_changes_red_against_blue_and_not_green():
    frames = np.full((1, 4, 4, 3), 117, np.uint8)
    reds = []
    for seed in range(50):
        red, green, blue = Augmentation(temperature=0.5).apply(frames, random(seed))[0, 0, 0].astype(int)
        assert green == 117
        assert np.sign(red - 117) == -np.sign(blue - 117)
        reds.append(red)
    # Half of the change of 1.5 applies to red: a level of 0.46 under 1.22 times the light, or under 1 / 1.22 of it.
    assert max(reds) == pytest.approx(127.5, abs=2)
    assert min(reds) == pytest.approx(106.5, abs=2)


def test_noise_is_independent_in_every_pixel_and_frame():
    grey = np.full((40, 32, 32, 3), 128, np.uint8)
    deviations = []
    for seed in range(20):
        noise = Augmentation(noise=6).apply(grey, random(seed)).astype(np.float32) - 128
        deviations.append(noise.std())
        values = len(noise[0].ravel())
        assert np.abs(noise.mean((1, 2, 3))).max() < 5 * noise.std() / math.sqrt(values) + 0.02  # no frame is lighter
        if noise.std() > 1:
            between = np.corrcoef(noise.reshape(len(noise), -1)) - np.eye(len(noise))
            assert np.abs(between).max() < 6 / math.sqrt(values)
            beside = np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]
            assert abs(beside) < 0.02
    assert max(deviations) == pytest.approx(6, abs=1.2)
    assert max(deviations) < 6.1


def test_noise_is_normal():
    assert NORMAL.mean() == pytest.approx(0, abs=1e-12)
    assert NORMAL.std() == pytest.approx(1)
    assert (NORMAL**4).mean() == pytest.approx(3, abs=0.15)


@pytest.mark.slow
def test_compression_applies_a_codec_with_a_small_error(clip):
    for seed in range(4):
        new = Augmentation(compression=1).apply(clip, random(seed))
        rng = random(seed)
        rng.random(3)  # the flip, the occlusion, the compression
        expected = through_codec(clip, np.arange(len(clip)) / FPS, _draw_encoding(len(clip), rng))
        np.testing.assert_array_equal(new, expected)
        error = new.astype(np.float32) - clip
        assert 0.3 < error.std() < 8


@pytest.mark.slow
@given(SEEDS, st.integers(1, 120))
@settings(max_examples=60)
def test_occluder_covers_a_part_for_a_short_time(seed, count):
    frames = np.full((count, 40, 40, 3), 3, np.uint8)
    frames[:, :, :, 1] = 251
    new = Augmentation(occlusion=1).apply(frames, random(seed))
    covered = (new != frames).any(axis=3)
    share = covered.mean((1, 2))
    touched = np.flatnonzero(share)
    assert len(touched)
    assert touched[-1] - touched[0] < max(1.5 * FPS, 1)
    assert share.max() < 0.4


@pytest.mark.slow
def test_occluder_enters_rests_and_leaves():
    """Its area in the frame grows, stays constant and shrinks."""
    frames = np.full((300, 64, 64, 3), 3, np.uint8)
    lengths = []
    for seed in range(60):
        share = (Augmentation(occlusion=1).apply(frames, random(seed)) != frames).any(axis=3).mean((1, 2))
        touched = np.flatnonzero(share)
        lengths.append(len(touched) / FPS)
        if len(touched) < 12:
            continue
        area = share[touched]
        assert area[0] < area.max()
        assert area[-1] < area.max()
        rest = np.abs(np.diff(area[len(area) // 2 - len(area) // 8 : len(area) // 2 + len(area) // 8]))
        assert rest.max() < 0.01
    assert min(lengths) > 0.1
    assert 0.8 < max(lengths) <= 1.5


def test_uncovered_pixels_are_unchanged(clip):
    for seed in range(6):
        new = Augmentation(occlusion=1).apply(clip, random(seed))
        free = (new == clip).all(axis=(0, 3))
        assert free.mean() > 0.25
        assert (new != clip).any()
        assert rate(new[:, free].mean(1)) == pytest.approx(BPM, abs=0.5)


# Speed


@given(SEEDS, st.floats(20, 300), st.floats(1, 5))
def test_new_rate_is_physiological_and_the_recording_is_long_enough(seed, bpm, longest):
    factor = Augmentation(speed=1).speed_factor(bpm, longest, random(seed))
    assert 0.5 - 1e-9 <= factor <= min(2, longest) + 1e-9
    assert factor <= longest
    assert factor == 1 or 40 - 1e-9 <= bpm * factor <= 180 + 1e-9


def test_rare_rates_become_more_common():
    rng = random(0)
    rates = rng.normal(80, 12, 5000).clip(50, 120)
    new = np.array([bpm * Augmentation(speed=0.5).speed_factor(bpm, 2.0, rng) for bpm in rates])

    def rare(all_rates):
        return np.mean((all_rates < 55) | (all_rates > 110))

    assert rare(rates) < 0.03
    assert rare(new) > 0.2
    assert np.mean(new == rates) == pytest.approx(0.5, abs=0.03)


def test_clips_are_only_slowed_down_without_a_longer_recording():
    factors = [Augmentation(speed=1).speed_factor(100.0, 1.0, random(seed)) for seed in range(200)]
    assert max(factors) <= 1
    assert min(factors) < 0.6


@pytest.mark.parametrize(("bpm", "longest"), [(0.0, 2.0), (-60.0, 2.0), (math.nan, 2.0), (math.inf, 2.0), (70.0, 0.9)])
def test_wrong_arguments_of_speed_factor_are_refused(bpm, longest):
    with pytest.raises(ValueError, match="bpm must be positive and longest at least 1"):
        Augmentation(speed=1).speed_factor(bpm, longest, random())


@given(SEEDS, st.floats(1, 3), st.integers(2, 200))
def test_drawn_factor_can_be_applied(seed, longest, count):
    there = math.floor(longest * count)
    factor = Augmentation(speed=1).speed_factor(70.0, there / count, random(seed))
    frames, ppg = change_speed(np.zeros((there, 2, 2, 3), np.uint8), np.zeros(there, np.float32), factor, count)
    assert len(frames) == len(ppg) == count


@given(st.floats(0.4, 2.5), st.integers(1, 60))
def test_change_speed_interpolates_between_frames(factor, count):
    there = math.ceil((count - 1) * factor) + 1
    levels = np.arange(there, dtype=np.float32)
    frames = np.broadcast_to(levels.astype(np.uint8)[:, None, None, None], (there, 4, 4, 3))
    frames, ppg = change_speed(frames, levels, factor, count)
    assert (frames.dtype, frames.shape, ppg.dtype) == (np.uint8, (count, 4, 4, 3), np.float32)
    np.testing.assert_allclose(ppg, np.arange(count) * factor, atol=1e-4)
    np.testing.assert_allclose(frames[:, 1, 2, 0], np.arange(count) * factor, atol=0.51)


def test_frame_at_an_integer_time_is_unchanged():
    """Even if the waveform has no finite value after it."""
    frames = textured(9)
    ppg = np.array([0, np.nan, 2, np.nan, 4, np.nan, 6, np.nan, 8], np.float32)
    new, wave_played = change_speed(frames, ppg, 2.0, 5)
    np.testing.assert_array_equal(new, frames[::2])
    np.testing.assert_array_equal(wave_played, ppg[::2])


@pytest.mark.parametrize("factor", [0.55, 0.8, 1.3, 1.9])
def test_speed_multiplies_the_rate_of_both_and_keeps_the_phase(recording, factor):
    count = math.floor((len(recording.frames) - 1) / factor)
    count = min(count, 240)
    frames, ppg = change_speed(recording.frames, recording.ppg, factor, count)
    estimate = CLASSICAL["POS"].waveform(frames.mean((1, 2)), FPS)
    assert heart_rate(estimate, FPS, PROTOCOLS["facepulse"]) == pytest.approx(BPM * factor, abs=1)
    assert heart_rate(ppg, FPS, PROTOCOLS["facepulse"]) == pytest.approx(BPM * factor, abs=1)
    # No jump: it is the same waveform on a faster clock, from the first sample to the last.
    expected = waveform(BPM, np.arange(count) * factor / FPS - 0.15)
    np.testing.assert_allclose(ppg, expected, atol=0.06)
    assert np.corrcoef(estimate, waveform(BPM, np.arange(count) * factor / FPS))[0, 1] > 0.9


def test_change_speed_refuses_clips_that_are_too_short():
    frames, ppg = textured(10), np.zeros(10, np.float32)
    with pytest.raises(ValueError, match="11 frames are needed, not 10"):
        change_speed(frames, ppg, 2.0, 6)
    with pytest.raises(ValueError, match="factor must be above 0, not 0"):
        change_speed(frames, ppg, 0, 3)


# Fields


@pytest.mark.parametrize(
    ("field", "value", "largest"),
    [("speed", 1.1, "1"), ("crop", 0.6, "0.5"), ("noise", -1.0, "10"), ("brightness", math.nan, "2")],
)
def test_field_out_of_range_is_named(field, value, largest):
    with pytest.raises(ValueError, match=f"{field} must be from 0 to {largest}, not {value}"):
        Augmentation(**{field: value})


def test_augmentation_is_read_from_settings():
    assert msgspec.convert({"flip": 0.5}, Augmentation) == Augmentation(flip=0.5)
    with pytest.raises(msgspec.ValidationError, match="unknown field `mirror`"):
        msgspec.convert({"mirror": 0.5}, Augmentation)
    with pytest.raises(msgspec.ValidationError, match=r"crop must be from 0 to 0\.5, not 2"):
        msgspec.convert({"crop": 2}, Augmentation)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 9, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)],
    ids=["not bytes", "not square", "one frame"],
)
def test_frames_of_another_shape_or_type_are_refused(frames):
    with pytest.raises(ValueError, match="frames must be uint8"):
        Augmentation(flip=1).apply(frames, random())
