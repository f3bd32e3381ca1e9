"""One recording: reproducible, with a correct reference, and without its pulse identical except for the skin."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import PurePosixPath

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.faces.detectors import DETECTORS
from facepulse.simulate.appearance import paint
from facepulse.simulate.codec import Encoding, through_codec
from facepulse.simulate.figure import build_figure
from facepulse.simulate.head import head_mesh
from facepulse.simulate.layouts import LAYOUTS
from facepulse.simulate.light import LIGHTINGS
from facepulse.simulate.look import draw_look
from facepulse.simulate.motion import FACE_HEIGHT_M, MOTIONS
from facepulse.simulate.presets import BPM_LIMITS, PRESETS, Slot
from facepulse.simulate.recording import make_recording
from facepulse.simulate.render import Pose, Renderer
from simulated_people import SCALE, marked, middle, needs_heads, surface

pytestmark = needs_heads

FEW = np.arange(8) / 30
SCRIPT = """
import hashlib
from dataclasses import replace
import numpy as np
from facepulse.simulate.recording import make_recording
recording = make_recording("complex", 3, 5, split="validation", times=np.arange(8) / 30)
frames = replace(recording, view=replace(recording.view, shape=(48, 64))).frames()
print(hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest(), recording.bpm)
"""


def small(*arguments, rows=48, columns=64, times=FEW, **options):
    """Recording of the whole scene in few pixels."""
    recording = make_recording(*arguments, times=times, **options)
    return replace(recording, view=replace(recording.view, shape=(rows, columns)))


def digest(recording):
    return hashlib.sha256(b"".join(frame.tobytes() for frame in recording.frames())).hexdigest()


# --- reproducibility


@pytest.mark.slow
def test_bytes_are_the_same_in_any_order_and_in_a_fresh_process():
    first = digest(small("complex", 3, 5, split="validation"))
    others = [
        digest(small("complex", 3, 6, split="validation")),
        digest(small("complex", 3, 5, split="test")),
    ]
    again = small("complex", 3, 5, split="validation")
    assert digest(again) == first
    assert len({first, *others}) == 3
    fresh = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert fresh.stdout.split() == [first, str(again.bpm)]


def test_people_depend_on_split_and_seed():
    drawn_from = [(0, "train"), (1, "train"), (0, "test")]
    made = [make_recording("calm", seed, 4, split=split, times=FEW) for seed, split in drawn_from]
    assert len({recording.identity.years for recording in made}) == 3
    assert len({recording.heartbeat.beats_s[0] for recording in made}) == 3
    slots = [LAYOUTS["mmpd"].slot(index) for index in (0, 1, 20)]
    first, same, other = (
        make_recording("complex", 0, index, slot=slot, times=FEW) for index, slot in zip((0, 1, 20), slots, strict=True)
    )
    assert first.identity == same.identity != other.identity
    assert first.heartbeat.beats_s[0] != same.heartbeat.beats_s[0]
    assert len({make_recording("calm", 0, index, times=FEW).name for index in range(5)}) == 5


@pytest.mark.slow
def test_heart_rate_is_higher_during_walking_and_talking():
    def bpm(index, motion):
        slot = Slot(PurePosixPath("a"), 3, motion=motion, exercise=False)
        return make_recording("complex", 1, index, slot=slot, seconds=60.0, times=np.arange(1800) / 30).bpm

    for index in range(5):
        rest, talk, walk = (bpm(index, motion) for motion in ("Stationary", "Talking", "Walking"))
        assert talk / rest == pytest.approx(1.08, abs=0.04)
        assert walk / rest == pytest.approx(1.23, abs=0.07)


def test_downscaled_frames_have_less_noise():
    plain = small("complex", 3, 1)
    still = {name: 0 * getattr(plain.motion, name) for name in ("rotation", "position", "shake")}
    plain = replace(
        plain,
        motion=replace(plain.motion, **still),
        camera=replace(plain.camera, smoothing=0.0, trailing=0.0, sharpening=0.0),
        view=replace(plain.view, window=(0.0, 0.0, 64.0, 48.0)),  # a corner at the full resolution
        moving_background=False,
    )
    grain = []
    for shrunk in (1.0, 9.0):
        recording = replace(plain, encoding=replace(plain.encoding, shrunk=shrunk))
        frames = np.stack(list(recording.frames(pulse=False))).astype(float)
        grain.append(np.diff(frames, axis=0)[..., 1].std())
    assert grain[1] < 0.6 * grain[0]


@pytest.mark.parametrize("wrong", [{"preset": "stormy"}, {"split": "holdout"}])
def test_unknown_presets_and_splits_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be one of .*, not '(stormy|holdout)'"):
        make_recording(**{"preset": "calm", "seed": 0, "index": 0, "times": FEW, **wrong})


# --- attributes


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_attributes_match_the_recording_in_the_terms_of_mmpd(name):
    preset = PRESETS[name]
    for index in range(15):
        recording = make_recording(name, 0, index, times=FEW)
        labels = recording.attributes
        main = recording.lighting.sources[0].spectrum
        nearest = {"calm": "Nature" if main == "daylight" else "LED-high"}  # MMPD has no term for steady good light
        assert labels.light in {nearest.get(light, light) for light in preset.lights}
        assert labels.motion in preset.motions
        assert labels.skin_color == recording.identity.fitzpatrick
        assert labels.skin_color in preset.types
        assert labels.gender == recording.identity.gender
        look = recording.look
        assert look == draw_look(recording.identity, caps=preset.caps)
        assert preset.caps or look.hair != "cap"
        assert (labels.glasser, labels.makeup) == (look.glasses, look.makeup)
        assert labels.hair_cover == (look.hair in ("fringe", "cap"))
        assert type(labels.exercise) is bool
        assert recording.seconds == 30
        assert (recording.width, recording.height) in preset.sizes
        assert BPM_LIMITS[0] - 15 < recording.bpm < BPM_LIMITS[1] + 15
        share = FACE_HEIGHT_M * recording.view.focal / recording.view.distance / recording.height
        assert preset.face[0] <= share <= preset.face[1]
        assert not labels.exercise or (preset.exercise > 0 and labels.motion == "Stationary")


def test_presets_have_known_lights_and_motions_and_unseen_ones_are_in_no_other_preset():
    for preset in PRESETS.values():
        assert set(preset.lights) <= set(LIGHTINGS)
        assert set(preset.motions) <= set(MOTIONS)
    assert "Nodding" in PRESETS["unseen"].motions
    for name in ("calm", "complex"):
        assert not set(PRESETS[name].lights) & set(PRESETS["unseen"].lights)
        assert "Nodding" not in PRESETS[name].motions
    assert {*PRESETS["complex"].lights} == {"LED-low", "LED-high", "Incandescent", "Nature"}
    assert {*PRESETS["complex"].motions} == {"Stationary", "Rotation", "Talking", "Walking"}


def test_slot_overrides_its_values_and_the_others_stay():
    free = Slot(PurePosixPath("a"), 3)
    fixed = replace(free, light="Nature", motion="Rotation", exercise=True, width=160, height=120, fps=25.0)
    left, set_ = (make_recording("calm", 1, 2, slot=slot, seconds=5.0) for slot in (free, fixed))
    labels = set_.attributes
    assert (labels.light, labels.motion, labels.exercise, set_.width, set_.height) == (
        "Nature",
        "Rotation",
        True,
        160,
        120,
    )
    assert (set_.view.width, set_.view.height, set_.view.shape) == (160, 120, (120, 160))
    assert len(set_.times) == pytest.approx(125, abs=1)
    assert (set_.subject, set_.identity, set_.look) == (3, left.identity, left.look)
    assert set_.camera.full_well_e == left.camera.full_well_e
    assert set_.view.distance == left.view.distance
    assert left.attributes.light in ("Nature", "LED-high")
    assert (left.attributes.motion, left.attributes.exercise) == ("Stationary", False)
    assert set_.bpm != left.bpm
    assert set_.coded
    assert not left.coded
    lossy = [make_recording("complex", 1, index, slot=fixed, times=FEW).encoding for index in range(10)]
    assert all(encoding.drop == encoding.rate_swing == 0 for encoding in lossy), "MMPD's files hold no times"


# --- ground truth


@cache
def drawn(index):
    return make_recording("calm", 0, index, seconds=13.0, times=FEW)


@settings(max_examples=50)
@given(gaps=st.lists(st.floats(0.01, 0.2), min_size=1, max_size=60), index=st.integers(0, 2))
def test_reference_covers_all_frames(gaps, index):
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    recording = replace(drawn(index), times=times)
    reference = recording.reference_times
    assert reference[0] == 0 == times[0]
    assert reference[-1] >= times[-1] - 1e-9
    np.testing.assert_allclose(np.diff(reference), 1 / 60)
    for curve in (recording.reference_ppg, recording.reference_bpm):
        assert curve.shape == reference.shape
        assert np.isfinite(curve).all()


def test_reference_rate_and_ppg_have_the_same_heart_rate():
    recording = make_recording("calm", 0, 1, seconds=20.0)
    rate = recording.reference_bpm
    assert recording.bpm == pytest.approx(rate.mean(), rel=0.03)
    finger = recording.reference_ppg - recording.reference_ppg.mean()
    spectrum = np.abs(np.fft.rfft(finger * np.hanning(len(rate)), 2**14))
    hz = np.fft.rfftfreq(2**14, 1 / 60)
    band = (hz > 0.7) & (hz < 3)
    assert 60 * hz[band][spectrum[band].argmax()] == pytest.approx(recording.bpm, abs=6)


# --- frames


def background_mask(recording, index):
    """Mask of the background, well away from the person."""
    figure = build_figure(recording.identity, head_mesh(recording.identity), recording.look)
    atlas = paint(recording.identity, recording.look, SCALE)
    drawn = Renderer(figure, atlas, recording.lighting, recording.camera.sensor, recording.view)
    covered = drawn.render(*moment(recording, figure, index), np.zeros(len(drawn.delays_s)))[1]
    return cv2.dilate(covered, np.ones((9, 9))) == 0


def moment(recording, figure, index):
    """Pose, levels and directions of the lamps in a frame; the face at rest."""
    motion, sources = recording.motion, recording.lighting.sources
    rest = np.zeros(len(figure.action_names), np.float32)
    pose = Pose(motion.rotation[index], motion.position[index], rest, motion.shake[index])
    return pose, [source.level[index] for source in sources], [source.direction[index] for source in sources]


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_frames_without_the_pulse_differ_only_in_the_skin(index):
    recording = small("calm", 2, index, rows=72, columns=96, times=np.arange(20) / 30)
    on, off = (np.stack(list(recording.frames(pulse=pulse))) for pulse in (True, False))
    assert on.shape == (20, 72, 96, 3)
    assert on.dtype == np.uint8
    assert (on != off).any(axis=-1).mean() > 0.005, "the skin changes"
    for frame in range(0, 20, 5):
        away = background_mask(recording, frame)
        assert away.mean() > 0.3
        np.testing.assert_array_equal(on[frame][away], off[frame][away])
    # Hair above the forehead.
    x, y, side, _ = np.array(make_recording("calm", 2, index, times=np.arange(20) / 30).face_box()) * 96 / 640
    top = slice(max(int(y - 0.45 * side), 0), int(y - 0.30 * side)), slice(int(x + 0.35 * side), int(x + 0.65 * side))
    face = slice(int(y + 0.3 * side), int(y + side)), slice(int(x + 0.2 * side), int(x + 0.8 * side))
    changed = (on != off).any(axis=-1)
    assert changed[:, *top].mean() < 0.2 * changed[:, *face].mean()


def test_heartbeat_without_volume_equals_no_pulse():
    class Still:
        def volume(self, times, delay_s=0.0):
            return np.zeros(np.broadcast_shapes(np.shape(times), np.shape(delay_s)))

    recording = replace(small("complex", 2, 1), heartbeat=Still())
    for on, off in zip(recording.frames(), recording.frames(pulse=False), strict=True):
        np.testing.assert_array_equal(on, off)


def test_frame_does_not_depend_on_later_frames():
    """The first frames of a longer recording are those of a shorter one, except for the camera noise."""
    short, long = (next(iter(small("calm", 2, 3, times=times).frames())) for times in (FEW[:2], FEW))
    assert np.abs(short.astype(float) - long).mean() < 3


def iou(a, b):
    width, height = (min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


@pytest.mark.slow
def test_face_box_is_that_of_a_detector_and_contains_the_nose():
    detect = DETECTORS["haar"]()
    found = []
    for index in range(5):
        recording = small("calm", 1, index, rows=240, columns=320, times=np.zeros(1))
        box = np.array(make_recording("calm", 1, index, times=np.zeros(1)).face_box()) * 320 / recording.width
        faces = [face.box for face in detect(next(iter(recording.frames())))]
        found.append(max((iou((face.x, face.y, face.width, face.height), box) for face in faces), default=0.0))

        figure = build_figure(recording.identity, head_mesh(recording.identity), recording.look)
        nose = np.linalg.norm(surface() - [0.0, 7.11, 1.65], axis=-1) < 0.1
        atlas = marked(paint(recording.identity, recording.look, SCALE), nose)
        drawn = Renderer(figure, atlas, recording.lighting, recording.camera.sensor, recording.view)
        x, y = middle(drawn.render(*moment(recording, figure, 0), np.zeros(len(drawn.delays_s)))[0][..., 1])
        assert abs(x - box[0] - box[2] / 2) < 0.15 * box[2]
        assert 0.45 * box[3] < y - box[1] < 0.8 * box[3]
    assert min(found) > 0.4, found
    assert np.median(found) > 0.7, found


def test_face_box_follows_the_head():
    recording = make_recording("complex", 0, 1, times=FEW)
    position = np.array(recording.motion.position)
    position[1] = position[0] + [0.05, 0.03, 0.0]
    moved = replace(recording, motion=replace(recording.motion, position=position))
    (x, y, *_), (later_x, later_y, *_) = moved.face_box(0), moved.face_box(1)
    metre = recording.view.focal / recording.view.distance
    assert later_x - x == pytest.approx(0.05 * metre, rel=0.2)
    assert later_y - y == pytest.approx(-0.03 * metre, rel=0.2)


def test_face_box_follows_a_shaken_camera():
    recording = make_recording("complex", 0, 1, times=FEW)
    shake = np.zeros((len(FEW), 3))
    shake[1] = np.radians([2.0, 0.0, 0.0])
    shaken = replace(recording, motion=replace(recording.motion, shake=recording.motion.shake * 0 + shake))
    (x, y, *_), (later_x, later_y, *_) = shaken.face_box(0), shaken.face_box(1)
    assert later_x - x == pytest.approx(-np.tan(np.radians(2)) * recording.view.focal, rel=0.1)
    assert later_y - y == pytest.approx(0, abs=1)


def shift_of(before, after, left, top, width, height, reach=30):
    """Shift (right, down) in pixels of an area of a frame."""
    template = before[top + reach : top + height - reach, left + reach : left + width - reach]
    alike = cv2.matchTemplate(after[top : top + height, left : left + width], template, cv2.TM_CCOEFF_NORMED)
    return np.array(cv2.minMaxLoc(alike)[3]) - reach


@pytest.mark.slow
@pytest.mark.parametrize(("axis", "moved"), [(0, (-1, 0)), (1, (0, 1))], ids=["yaw", "pitch"])
def test_shaken_camera_moves_face_and_room_alike(axis, moved):
    recording = make_recording("calm", 0, 1, times=FEW[:2])
    shake = np.zeros((2, 3))
    shake[1, axis] = np.radians(2)
    still = replace(recording.motion, position=np.zeros((2, 3)), rotation=np.zeros((2, 3)), shake=shake)
    shaken = replace(recording, motion=still, moving_background=False)
    before, after = (cv2.GaussianBlur(frame, (0, 0), 2) for frame in shaken.frames())
    expected = np.tan(np.radians(2)) * recording.view.focal * np.array(moved)
    x, y, side, _ = (round(value) for value in shaken.face_box(0))
    for place in ((x - 20, y - 20, side + 40, side + 40), (0, 0, 220, 200), (430, 0, 210, 300)):
        assert shift_of(before, after, *place) == pytest.approx(expected, abs=4)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(6))
def test_close_up_ends_a_little_beyond_the_face_and_is_the_same_otherwise(index):
    slot = LAYOUTS["close-up"].slot(index)
    times = np.arange(0, 4, 1 / 5)
    whole = make_recording("complex", 7, index, times=times)
    close = make_recording("complex", 7, index, slot=slot, times=times)
    assert (close.heartbeat.mean_bpm(0, 4), close.attributes) == (whole.heartbeat.mean_bpm(0, 4), whole.attributes)
    boxes = np.array([close.face_box(number) for number in range(len(times))])
    side = boxes[0, 2]
    assert side == pytest.approx(min(80, whole.face_box()[2]), rel=0.02)
    # A crop with the usual margin is complete unless the whole frame ends before it.
    left, top, width, height = close.view.window
    scale = close.width / width
    low, high = boxes[:, :2].min(axis=0) - 0.25 * side, (boxes[:, :2] + 1.25 * side).max(axis=0)
    assert (low >= 0).all() or 0 in (left, top)
    assert (high <= (close.width, close.height)).all() or left + width == whole.width or top + height == whole.height
    assert close.width * close.height < 3 * (high - low).prod()
    assert close.width % 2 == close.height % 2 == 0, "codecs halve the chroma resolution"

    # Averaged to 8 x 8 pixels, with little noise, it equals that area of the whole frame.
    detail = np.asarray(next(iter(close.frames())), np.float32)
    frame = next(iter(whole.frames()))
    rows, columns = (slice(round(a), round(a + b)) for a, b in ((top, height), (left, width)))
    expected = cv2.resize(frame[rows, columns].astype(np.float32), detail.shape[1::-1], interpolation=cv2.INTER_AREA)
    x, y, *_ = boxes[0]
    face = tuple(slice(round(start + 0.2 * side), round(start + 0.8 * side)) for start in (y, x))
    a, b = (cv2.resize(image[face], (8, 8), interpolation=cv2.INTER_AREA).ravel() for image in (detail, expected))
    assert scale <= 1
    assert np.corrcoef(a, b)[0, 1] > 0.95


@pytest.mark.parametrize("key_interval", [None, 7, 30])
@pytest.mark.parametrize("count", [1, 59, 64])
def test_encoded_recordings_have_as_many_frames_as_times(monkeypatch, count, key_interval):
    recording = small("complex", 2, 1, times=np.arange(count) / 30, rows=32, columns=32)
    plain = np.random.default_rng(0).integers(90, 110, (count, 32, 32, 3)).astype(np.uint8)
    monkeypatch.setattr(type(recording), "render", lambda self, view, pulse: iter(plain))
    options = {"crf": "20", "preset": "ultrafast", "threads": "1"}
    encoding = Encoding("libx264", options, key_interval=key_interval)
    frames = np.stack(list(replace(recording, coded=True, encoding=encoding).frames()))
    assert frames.shape == plain.shape
    assert 0 < np.abs(frames.astype(float) - plain).mean() < 8
    assert all((a == b).all() for a, b in zip(replace(recording, coded=False).frames(), plain, strict=True))
    if key_interval:
        batch = key_interval * (60 // key_interval)
        np.testing.assert_array_equal(
            frames[:batch], through_codec(plain[:batch], recording.times[:batch], encoding), "cut at a key frame"
        )
