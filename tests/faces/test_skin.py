"""Traces of skin of any tone in any light, without artefacts of the segmentation."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.faces.crops import ClipBuilder, FaceClip
from facepulse.faces.skin import REGIONS, SkinTrace, TraceSegment, _to_cells
from facepulse.faces.tracking import Box
from facepulse.rppg.classical import CLASSICAL
from facepulse.video.reader import open_video
from shared_data import SHARED_DATA

FPS = 30.0
SIZE = 72
EVM_FACE = SHARED_DATA / "evm_face" / "face.mp4"

TONES = {"light": (225, 180, 155), "medium": (170, 120, 90), "dark": (75, 50, 40), "very dark": (38, 26, 22)}
LIGHTS = {"white": (1, 1, 1), "lamp": (1.0, 0.8, 0.5), "screen": (0.7, 0.9, 1.1)}


def mask(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    axis = (np.arange(SIZE) + 0.5) / SIZE
    inside = np.hypot((axis[None] - x) / radius_x, (axis[:, None] - y) / radius_y) < 1
    return inside[..., None].astype(np.float64)


FACE = mask(0.5, 0.52, 0.45, 0.56)
HAIR = mask(0.5, 0.0, 0.6, 0.18) * FACE
EYES = mask(0.3, 0.37, 0.09, 0.05) + mask(0.7, 0.37, 0.09, 0.05)
LIPS = mask(0.5, 0.8, 0.14, 0.05)
BEARD = mask(0.5, 0.95, 0.5, 0.25) * FACE
SKIN = FACE * (1 - HAIR) * (1 - EYES) * (1 - LIPS)


def paint(tone: tuple[float, ...], light: tuple[float, ...] = (1, 1, 1), background: float = 140) -> np.ndarray:
    """Crop of a face with shaded skin, hair, eyes, lips and a grey background, float64 (SIZE, SIZE, 3)."""
    skin = np.array(tone, dtype=np.float64)
    shade = 1 + 0.12 * np.linspace(1, -1, SIZE)[None, :, None]
    image = (1 - FACE) * background + FACE * skin * shade
    for region, colour in ((HAIR, (14, 11, 10)), (EYES, (60, 60, 60)), (LIPS, skin * [0.95, 0.55, 0.62])):
        image = image * (1 - region) + region * np.array(colour)
    return np.clip(image * light, 0, 255)


def filmed(images: np.ndarray, noise: float = 2.0, seed: int = 0) -> np.ndarray:
    grain = np.random.default_rng(seed).normal(0, noise, images.shape)
    return np.clip(np.rint(images + grain), 0, 255).astype(np.uint8)


def traced(frames: np.ndarray, splits: list[int] | None = None) -> SkinTrace:
    skin = SkinTrace()
    edges = [0, *(splits or []), len(frames)]
    for start, end in pairwise(edges):
        if end > start:
            skin.push(FaceClip(frames[start:end], start / FPS, FPS, 0))
    return skin


def skin_fraction(frames: np.ndarray) -> float:
    """Fraction of the face that the segmentation counts as skin, 0..1, mean over the frames."""
    trace = SkinTrace()
    averages = trace._running_average(np.stack([_to_cells(frame) for frame in frames]), FPS)
    return float((trace._skin(averages) @ trace._face).mean() / trace._face.sum())


def face_trace(frames: np.ndarray) -> np.ndarray:
    return traced(frames).segments[0].rgb[:, 0]


def flicker_strength(rgb: np.ndarray) -> float:
    """Relative amplitude of green at 1.5 Hz."""
    return float(abs(np.exp(-2j * np.pi * 1.5 * np.arange(len(rgb)) / FPS) @ (rgb[:, 1] / rgb[:, 1].mean() - 1)) / 60)


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS.keys())
@pytest.mark.parametrize("tone", TONES.values(), ids=TONES.keys())
def test_trace_is_the_mean_of_skin_of_any_tone_in_any_light(tone: tuple[int, ...], light: tuple[float, ...]) -> None:
    image = paint(tone, light)
    frames = filmed(np.repeat(image[None], 20, axis=0))
    skin = traced(frames)
    expected = (image * SKIN).sum(axis=(0, 1)) / SKIN.sum()
    np.testing.assert_allclose(skin.segments[0].rgb[-1, 0], expected, rtol=0.05)
    assert 0.4 < skin_fraction(frames) < 1.0
    assert np.abs(image.mean(axis=(0, 1)) / expected - 1).max() > 0.08  # error of the plain mean of the box


@pytest.mark.parametrize("tone", TONES.values(), ids=TONES.keys())
@pytest.mark.parametrize("thing", [HAIR, EYES, LIPS, BEARD, 1 - FACE], ids=["hair", "eyes", "lips", "beard", "behind"])
def test_flicker_outside_the_skin_is_suppressed_tenfold(tone: tuple[int, ...], thing: np.ndarray) -> None:
    """The part flickers by a fifth; the mean of the box shows it at least ten times as strongly as the trace."""
    image = paint(tone)
    if thing is BEARD:
        image = image * (1 - BEARD) + BEARD * np.array(tone) * [0.35, 0.4, 0.45]
    flicker = np.sin(2 * np.pi * 1.5 * np.arange(120) / FPS)
    frames = filmed(image * (1 + 0.2 * thing * flicker[:, None, None, None]), noise=1.0)
    assert flicker_strength(face_trace(frames)) < 0.1 * flicker_strength(frames.mean(axis=(1, 2)))


@pytest.mark.parametrize("highlight", [(255, 255, 255), (255, 204, 176)], ids=["white", "red clipped"])
def test_highlights_are_excluded(highlight: tuple[int, ...]) -> None:
    """A clipped channel has no pulse, even if the colour is still close to that of skin."""
    patch = mask(0.5, 0.26, 0.3, 0.07)
    flicker = 1 - 0.1 * (1 + np.sin(2 * np.pi * 1.5 * np.arange(120) / FPS))[:, None] * [0, 1, 1]
    image = paint(TONES["light"]) * (1 - patch)
    frames = filmed(image + patch * (np.array(highlight) * flicker)[:, None, None, :], noise=1.0)
    assert flicker_strength(face_trace(frames)) < 0.15 * flicker_strength(frames.mean(axis=(1, 2)))


@pytest.mark.parametrize("tone", TONES.values(), ids=TONES.keys())
def test_weights_do_not_follow_the_pulse(tone: tuple[int, ...]) -> None:
    """The trace has the amplitude and shape of the pulse: no gain and no added harmonics."""
    t = np.arange(300) / FPS
    beat = 0.02 * np.sin(2 * np.pi * 1.2 * t)
    images = paint(tone) * (1 + SKIN * (beat[:, None] * [0.4, 1.0, 0.7])[:, None, None, :])
    trace = face_trace(filmed(images))
    changes = trace / trace.mean(axis=0) - 1
    basis = np.stack([np.exp(-2j * np.pi * 1.2 * harmonic * t) for harmonic in (1, 2)])
    first, second = np.abs(basis @ changes) * 2 / len(t)
    np.testing.assert_allclose(first, [0.008, 0.02, 0.014], rtol=0.06)
    assert (second < 0.04 * first).all()


def test_first_second_is_as_steady_as_the_rest() -> None:
    frames = filmed(np.repeat(paint(TONES["medium"])[None], 150, axis=0), noise=5.0)
    trace = face_trace(frames)[:, 1]
    assert np.abs(trace[:30] - trace[60:].mean()).max() < 0.002 * trace.mean()


@settings(max_examples=15)
@given(splits=st.lists(st.integers(1, 59), max_size=8).map(sorted))
def test_trace_does_not_depend_on_chunking(splits: list[int]) -> None:
    light = np.linspace(1.0, 0.6, 60)[:, None, None, None]
    frames = filmed(paint(TONES["medium"]) * light)
    whole, chunks = traced(frames), traced(frames, splits)
    np.testing.assert_array_equal(chunks.segments[0].rgb, whole.segments[0].rgb)


def test_regions_lie_where_their_names_say() -> None:
    """Each quarter of the face is lit at its own time; the trace of its region changes most."""
    places = [(0.5, 0.2), (0.25, 0.57), (0.75, 0.57), (0.5, 0.9)]
    image = paint(TONES["medium"])
    frames = np.stack([image] + [image * (1 + 0.1 * mask(x, y, 0.12, 0.08)) for x, y in places])
    still = np.repeat(image[None], 60, axis=0)  # the weights are constant before anything changes
    rgb = traced(filmed(np.concatenate([still, frames]), noise=0.5)).segments[0].rgb[60:]
    change = rgb[1:, 1:, 1] / rgb[0, 1:, 1] - 1
    np.testing.assert_array_equal(change.argmax(axis=1), [0, 1, 2, 3])
    assert len(REGIONS) == rgb.shape[1] == 5


def test_grey_video_stays_grey() -> None:
    grey = np.repeat(filmed(paint(TONES["medium"])[None].repeat(60, axis=0))[..., 1:2], 3, axis=3)
    skin = traced(grey)
    rgb = skin.segments[0].rgb
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 1])
    np.testing.assert_array_equal(rgb[..., 2], rgb[..., 1])
    assert 0.4 < skin_fraction(grey) < 1.0
    assert rgb[-1, 0, 1] == pytest.approx(paint(TONES["medium"])[SKIN[..., 0] > 0, 1].mean(), rel=0.05)


def test_without_skin_the_whole_ellipse_is_used() -> None:
    """Confetti has hardly any skin, so the trace is the mean over the ellipse."""
    confetti = np.random.default_rng(0).integers(0, 2, (18, 18, 3)).repeat(4, axis=0).repeat(4, axis=1) * 200.0
    frames = filmed(confetti[None].repeat(10, axis=0))
    skin = traced(frames)
    assert skin_fraction(frames) < 0.15
    ellipse = mask(0.5, 0.5, 0.43, 0.5)
    expected = (confetti * ellipse).sum(axis=(0, 1)) / ellipse.sum()
    np.testing.assert_allclose(skin.segments[0].rgb[-1, 0], expected, rtol=0.25)


@pytest.mark.parametrize("level", [0, 97, 255])
def test_flat_image_gives_a_constant_trace(level: int) -> None:
    rgb = traced(np.full((40, SIZE, SIZE, 3), level, np.uint8)).segments[0].rgb
    np.testing.assert_allclose(rgb, level, rtol=1e-12)
    assert np.ptp(rgb, axis=0).max() == 0  # a still image must not have a pulse


@pytest.mark.parametrize("size", [16, 36, 100, 128])
def test_crops_of_any_size(size: int) -> None:
    frames = np.stack([cv2.resize(image, (size, size)) for image in filmed(paint(TONES["light"])[None].repeat(3, 0))])
    skin = SkinTrace()
    skin.push(FaceClip(frames, 0.0, FPS, 0))
    np.testing.assert_allclose(skin.segments[0].rgb[-1, 0], TONES["light"], rtol=0.06)


def test_new_segment_starts_with_a_new_average() -> None:
    dark, light = (filmed(paint(TONES[tone])[None].repeat(20, axis=0)) for tone in ("dark", "light"))
    skin = SkinTrace()
    assert skin.segments == []
    skin.push(FaceClip(dark, 0.5, FPS, 0))
    skin.push(FaceClip(light, 9.0, FPS, 1))
    assert [(segment.start_s, segment.fps, len(segment.rgb)) for segment in skin.segments] == [
        (0.5, FPS, 20),
        (9.0, FPS, 20),
    ]
    assert isinstance(skin.segments[0], TraceSegment)
    np.testing.assert_array_equal(skin.segments[1].rgb, traced(light).segments[0].rgb)


@pytest.mark.slow
@pytest.mark.skipif(not EVM_FACE.exists(), reason=f"the sample video is not there: {EVM_FACE}")
def test_real_face_from_frames_to_rate() -> None:
    """A fixed box, crops, skin and methods give the known rate of the video, in the face and in its regions."""
    clips, skin = ClipBuilder(SIZE, 0.0, FPS), SkinTrace()
    with open_video(EVM_FACE) as video:
        for frame in video:
            for clip in clips.push([frame], [Box(40.0, 80.0, 395.0, 395.0)]):
                skin.push(clip)
    for clip in clips.finish():
        skin.push(clip)
    rgb = skin.segments[0].rgb
    assert rgb.shape == (301, 5, 3)
    bins_bpm = np.fft.rfftfreq(1 << 15, 1 / FPS) * 60
    band = (bins_bpm > 40) & (bins_bpm < 240)

    def peak(name: str, region: int) -> float:
        waveform = CLASSICAL[name].waveform(rgb[:, region], FPS) * np.hanning(len(rgb))
        return float(bins_bpm[band][np.argmax(np.abs(np.fft.rfft(waveform, 1 << 15))[band])])

    assert peak("POS", 0) == pytest.approx(52.7, abs=1.0)
    for name in CLASSICAL:
        assert peak(name, 0) == pytest.approx(52.7, abs=3)
    for region in range(1, 5):
        assert peak("POS", region) == pytest.approx(52.7, abs=1.5)


def test_forget_drops_clips_before_a_time_and_keeps_the_rest() -> None:
    frames = filmed(np.repeat(paint((200, 150, 120))[None], 120, axis=0))
    whole = traced(frames).segments[0]
    trace = traced(frames, [30, 60, 90])
    trace.discard(2.5)
    [segment] = trace.segments
    assert segment.start_s == pytest.approx(2.0), "clips are dropped whole"
    assert np.array_equal(segment.rgb, whole.rgb[60:])
    trace.discard(100.0)
    assert trace.segments == []
