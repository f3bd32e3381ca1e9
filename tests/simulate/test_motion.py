"""Motion of the head and the face: size, speed and dependence on the heartbeat."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.simulate.heartbeat import draw_heartbeat
from facepulse.simulate.motion import FACE_HEIGHT_M, MOTIONS, VISEMES, draw_motion

FILM = np.arange(1800) / 30
MIDDLE = slice(60, -60)
TWO_SIDED = """browDown browOuterUp cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp eyeSquint eyeWide
    mouthDimple mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer"""
ONE_SIDED = """browInnerUp cheekPuff jawForward jawLeft jawOpen jawRight mouthClose mouthFunnel mouthLeft mouthRight
    mouthPucker mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper"""
ACTIONS = {*ONE_SIDED.split(), *(action + side for action in TWO_SIDED.split() for side in ("Left", "Right"))}
HEART = draw_heartbeat(np.random.default_rng(3), 100.0, bpm=72)
kinds, seeds = st.sampled_from(list(MOTIONS)), st.integers(0, 2**32 - 1)


def motion(kind, seed, times=FILM, heartbeat=HEART, **choices):
    return draw_motion(kind, np.random.default_rng(seed), times, heartbeat, **choices)


def curves(drawn):
    return {"rotation": drawn.rotation, "position": drawn.position, "shake": drawn.shake, **drawn.expression}


def peaks_hz(curve, low_hz, high_hz, times=FILM):
    """Return the frequency of the highest peak of the spectrum in a band."""
    taper = np.hanning(len(curve))
    power = np.abs(np.fft.rfft((curve - np.average(curve, weights=taper)) * taper, 8 * len(curve)))
    hz = np.fft.rfftfreq(8 * len(curve), times[1] - times[0])
    band = (hz >= low_hz) & (hz <= high_hz)
    return hz[band][np.argmax(power[band])]


@pytest.mark.slow
@settings(max_examples=40)
@given(kind=kinds, seed=seeds, vigour=st.floats(0.3, 1.5), data=st.data())
def test_motion_does_not_depend_on_the_frame_times(kind, seed, vigour, data):
    times = np.array(data.draw(st.lists(st.floats(0, 20), min_size=1, max_size=20, unique=True).map(sorted)))
    more = np.unique(np.concatenate([times, np.linspace(0, data.draw(st.floats(0, 90)), 50)]))
    few, many = (curves(motion(kind, seed, when, vigour=vigour)) for when in (times, more))
    assert few.keys() == many.keys()
    for name, curve in few.items():
        np.testing.assert_allclose(curve, many[name][np.searchsorted(more, times)], atol=1e-8, err_msg=name)


@pytest.mark.slow
@settings(max_examples=25)
@given(kind=kinds, seed=seeds)
def test_motion_is_smooth_and_within_anatomical_limits(kind, seed):
    drawn = motion(kind, seed)
    assert drawn.rotation.shape == drawn.position.shape == drawn.shake.shape == (1800, 3)
    assert set(drawn.expression) <= ACTIONS
    for action, curve in drawn.expression.items():
        assert curve.shape == (1800,)
        assert curve.min() >= 0, action
        assert curve.max() <= 1, action
    assert np.abs(np.diff(drawn.position, axis=0)).max() < 0.02  # 0.6 m/s; a jump would be centimetres
    assert np.degrees(np.abs(np.diff(drawn.rotation, axis=0)).max()) < 12  # heads turn at up to 300 degrees per second
    assert np.abs(drawn.position).max() < 0.12
    assert np.degrees(np.abs(drawn.rotation).max()) < 60
    # Smooth between frames too.
    fine = motion(kind, seed, np.arange(0, 2, 1 / 960))
    for name, curve in curves(fine).items():
        if not name.startswith("eyeLook"):  # a saccade takes 30 ms
            assert np.abs(np.diff(curve, n=2, axis=0)).max(initial=0) < 0.003, name


def test_seed_determines_the_motion():
    for kind in MOTIONS:
        first, second, other = (curves(motion(kind, seed, FILM[:60])) for seed in (5, 5, 6))
        assert {name: curve.tobytes() for name, curve in first.items()} == {
            name: curve.tobytes() for name, curve in second.items()
        }
        assert first["position"].tobytes() != other["position"].tobytes()


def ballistocardiac(kind, seed, heart, times=FILM):
    """Return the height of the head that is due to the beats, as the difference to a motion without beats."""

    class Beatless:
        beats_s = np.empty(0)
        breath = staticmethod(heart.breath)

    return (motion(kind, seed, times, heart).position - motion(kind, seed, times, Beatless()).position)[:, 1]


@pytest.mark.parametrize("kind", MOTIONS)
@pytest.mark.parametrize("bpm", [52, 75, 118])
def test_head_moves_with_every_beat(kind, bpm):
    heart = draw_heartbeat(np.random.default_rng(bpm), 60.0, bpm=bpm)
    height = ballistocardiac(kind, bpm, heart)
    assert 0.5e-4 < np.ptp(height) < 1e-3
    volume = np.array([heart.volume(FILM[MIDDLE], lag) for lag in np.arange(-0.6, 0.6, 0.02)])
    assert max(np.abs(np.corrcoef(height[MIDDLE], late)[0, 1]) for late in volume) > 0.3
    # The motion is locked to the beats: the mean beat explains nearly all of it, at any interval.
    beats = heart.beats_s[(heart.beats_s > 2) & (heart.beats_s < 58)]
    age = np.arange(-0.1, 0.4, 0.02)
    each = np.interp(beats[:, None] + age, FILM, height)
    mean = each.mean(axis=0)
    assert (each - mean).var() < 0.35 * mean.var()
    elsewhere = np.interp(beats[:, None] + age + np.random.default_rng(0).uniform(0, 1, (len(beats), 1)), FILM, height)
    assert elsewhere.mean(axis=0).var() < 0.3 * mean.var()


def test_regular_beats_move_the_head_at_their_rate_and_its_harmonics_only():
    class Metronome:
        beats_s = np.arange(-5, 65, 60 / 66)
        breath = staticmethod(lambda times: np.zeros(np.shape(times)))

    height = ballistocardiac("Stationary", 2, Metronome())
    power = np.abs(np.fft.rfft((height - height.mean()) * np.hanning(1800))) ** 2
    away = np.abs((np.fft.rfftfreq(1800, 1 / 30) / 1.1 + 0.5) % 1 - 0.5) * 1.1  # Hz from the nearest harmonic
    assert power[away < 0.05].sum() > 0.99 * power.sum()


@pytest.mark.slow
def test_sway_is_millimetres_and_falls_with_frequency():
    sizes, slow, fast = [], [], []
    for seed in range(20):
        height = motion("Stationary", seed).position
        sizes.append(1e3 * height.std(axis=0))
        power = np.abs(np.fft.rfft(height[:, 0] - height[:, 0].mean())) ** 2
        hz = np.fft.rfftfreq(1800, 1 / 30)
        slow.append(power[(hz > 0.05) & (hz < 0.3)].sum())
        fast.append(power[(hz > 1) & (hz < 6)].sum())
    assert 0.5 < np.median(sizes) < 4
    assert np.max(sizes) < 12
    assert np.median(np.divide(slow, fast)) > 50
    assert np.abs(motion("Stationary", 0).shake).max() == 0


def test_inspiration_lifts_the_head():
    correlations = [
        np.corrcoef(motion("Stationary", seed, vigour=0.0).position[:, 1], HEART.breath(FILM))[0, 1]
        for seed in range(10)
    ]
    assert min(correlations) > 0.7


def swings(curve, least):
    """Return the values of a curve at turning points that differ by at least `least`."""
    turns = [curve[0]]
    rising = None
    for value in curve:
        if rising is None or (value > turns[-1]) == rising:
            if abs(value - turns[-1]) >= (least if rising is None else 0):
                rising = value > turns[-1]
                turns.append(value) if len(turns) == 1 else turns.__setitem__(-1, value)
        elif abs(value - turns[-1]) >= least:
            turns.append(value)
            rising = not rising
    return np.array(turns)


def test_rotation_turns_twenty_to_forty_degrees_each_way_every_few_seconds():
    for seed in range(15):
        yaw, pitch, roll = np.degrees(motion("Rotation", seed).rotation.T)
        turns = swings(yaw, 20)[1:-1]
        assert 16 < np.median(np.abs(turns)) < 44
        assert 2 < 2 * 60 / len(turns) < 6  # seconds per cycle
        assert np.diff(turns).std() > 0
        assert pitch.std() < 0.5 * yaw.std() > roll.std()


@pytest.mark.parametrize(("kind", "degrees"), [("small rotation", 20), ("medium rotation", 35)])
def test_pure_rotations_reach_their_angles(kind, degrees):
    reached = [np.degrees(np.percentile(np.abs(motion(kind, seed).rotation[:, 0]), 97)) for seed in range(15)]
    assert np.median(reached) == pytest.approx(degrees, rel=0.2)


@pytest.mark.parametrize(("kind", "speed"), [("slow translation", 0.07), ("fast translation", 0.14)])
def test_pure_translations_have_their_mean_speed(kind, speed):
    for seed in range(5):
        still, moving = motion("Stationary", seed), motion(kind, seed)
        path = (moving.position - still.position)[:, :2]
        speeds = np.linalg.norm(np.diff(path, axis=0), axis=1) * 30 / FACE_HEIGHT_M
        assert speeds.mean() == pytest.approx(speed, rel=0.05)
        assert speeds.max() < 2 * speed
        assert np.ptp(path[:, 0]) > 0.04
        np.testing.assert_allclose(moving.rotation, still.rotation)


@pytest.mark.slow
def test_mouth_opens_and_closes_at_the_rate_of_speech():
    for seed in range(8):
        drawn = motion("Talking", seed)
        jaw = drawn.expression["jawOpen"]
        assert np.percentile(jaw, 95) < 0.35
        assert jaw.max() > 0.15
        assert 0.03 < np.mean(jaw < 0.01) < 0.7  # pauses, and sounds with closed lips
        mouth = sum(drawn.expression[action] for action in ("jawOpen", "mouthPucker", "mouthPressLeft"))
        rises = np.count_nonzero(np.diff(np.sign(np.diff(mouth))) < 0) / 60
        assert 1.5 < rises < 6.5
        speaking, silent = drawn.rotation[:, 1].std(), motion("Stationary", seed).rotation[:, 1].std()
        assert speaking > 1.2 * silent
    assert all(action in ACTIONS for viseme in VISEMES for action in viseme)


@pytest.mark.slow
def test_walking_bounces_per_step_and_sways_per_stride():
    steps = []
    for seed in range(15):
        drawn = motion("Walking", seed)
        step_hz = peaks_hz(drawn.position[:, 1], 1.2, 3.0)
        steps.append(step_hz)
        assert peaks_hz(drawn.position[:, 0], 0.55, 1.4) == pytest.approx(step_hz / 2, abs=0.06)
        assert peaks_hz(drawn.rotation[:, 1], 1.2, 3.0) == pytest.approx(step_hz, abs=0.06)
        assert np.degrees(drawn.shake.std(axis=0)).min() > 0.1
        assert np.degrees(drawn.shake.std(axis=0)).max() < 1.5
        assert 0.015 < np.ptp(drawn.position[:, 1]) < 0.12
    assert min(steps) > 1.45
    assert max(steps) < 2.25
    assert np.std(steps) > 0.05


def test_nodding_changes_pitch_and_not_yaw():
    pitch, yaw = np.degrees(motion("Nodding", 1).rotation[:, [1, 0]].T)
    assert np.ptp(pitch) > 15 > np.ptp(yaw)
    assert 0.3 < peaks_hz(pitch, 0.1, 3) < 1.5


@pytest.mark.slow
def test_blinks_have_their_rate_and_duration():
    rates, talking, lasts = [], [], []
    for seed in range(16):
        for kind, kept in (("Stationary", rates), ("Talking", talking)):
            closed = motion(kind, seed, FILM[::2]).expression["eyeBlinkLeft"]
            shut = closed > 0.42
            starts = np.count_nonzero(np.diff(shut.astype(int)) == 1)
            kept.append(starts)
            lasts.append(shut.sum() / 15 / max(starts, 1))
            assert closed.max() > 0.7
    assert 10 < np.mean(rates) < 20
    assert np.mean(talking) > 1.2 * np.mean(rates)
    assert 0.06 < np.mean(lasts) < 0.2  # width at half height of 150 to 300 ms


def test_eyes_stay_on_the_camera_when_the_head_turns():
    correlations = []
    for seed in range(12):
        drawn = motion("Rotation", seed)
        eyes = drawn.expression["eyeLookOutLeft"] - drawn.expression["eyeLookOutRight"]  # to the right of the image
        correlations.append(np.corrcoef(eyes, drawn.rotation[:, 0])[0, 1])
    assert np.median(correlations) < -0.6


def test_vigour_scales_voluntary_motion_but_not_the_pulse():
    small, large = (motion("Rotation", 4, vigour=vigour) for vigour in (0.5, 1.0))
    assert np.ptp(small.rotation[:, 0]) == pytest.approx(0.5 * np.ptp(large.rotation[:, 0]), rel=1e-6)
    frozen = motion("Stationary", 4, vigour=0.0)
    assert np.ptp(frozen.position[:, 1]) > 3e-4  # respiration and beats remain


def test_unknown_motion_is_refused():
    with pytest.raises(ValueError, match="motion must be one of Stationary, Rotation"):
        motion("Dancing", 0)
