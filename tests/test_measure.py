"""The pipeline on video files: heart rates that must be measured, and videos that must not give one."""

import json
import re
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from functools import partial
from itertools import accumulate, chain
from pathlib import Path

import cv2
import numpy as np
import pytest

import facepulse
from face_crops import crops_of
from facepulse.errors import NoFaceError, TooShortError, UsageError, VideoError
from facepulse.faces.detectors import DETECTORS
from facepulse.faces.tracking import Box
from facepulse.inference.engine import load_engine, torch_engine
from facepulse.inference.weights import save_model
from facepulse.measurement import QUALITY_THRESHOLD, Measurement
from facepulse.pipeline.estimate import estimate
from facepulse.pipeline.extract import FaceTraces, extract_traces, select_faces
from facepulse.pipeline.methods import Fallback, Method, find_method
from facepulse.pipeline.result import to_measurement
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import filtered
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video
from facepulse.video.writer import VideoWriter
from repeatable_x264 import REPEATABLE

BASE = {"bpm": 72.0, "seconds": 20.0}
STRONG = BASE | {"face": {"strength": 0.08}}  # enough for a network trained for twenty steps
measure, measure_faces = (partial(each, method="POS") for each in (facepulse.measure, facepulse.measure_faces))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "tolerance"), [("POS", 1.5), ("CHROM", 3.0), ("GREEN", 3.0)])
def test_heart_rate_of_a_real_face(shared_data: Path, method: str, tolerance: float) -> None:
    result = measure(shared_data / "evm_face" / "face.mp4", method=method)
    assert result.bpm == pytest.approx(52.7, abs=tolerance)
    assert result.quality > 0.9


@pytest.mark.slow
def test_heart_rate_windows_and_beats_of_a_painted_face(face_video) -> None:
    result = measure(face_video(**BASE))
    assert result.bpm == pytest.approx(72.0, abs=1.0)
    assert result.quality > 0.8
    assert result.fps == pytest.approx(30.0)
    assert result.duration_s == pytest.approx(20.0)
    assert [window.bpm for window in result.windows] == [pytest.approx(72.0, abs=2.0)] * 3
    assert len(result.beats_s) == pytest.approx(24, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["GREEN", "ICA", "CHROM", "POS", "LGI", "PBV", "OMIT"])
def test_every_classical_method_measures_a_painted_face(face_video, method: str) -> None:
    assert measure(face_video(**BASE), method=method).bpm == pytest.approx(72.0, abs=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("bpm", [45.0, 110.0, 150.0, 180.0, 220.0])
def test_fast_and_slow_heart_rates_are_not_halved_or_doubled_in_h264(face_video, bpm: float) -> None:
    result = measure(face_video(bpm))
    assert result.bpm == pytest.approx(bpm, abs=2.0)
    assert all(window.bpm is None or abs(window.bpm - bpm) < 4 for window in result.windows)


@pytest.mark.slow
def test_constant_intervals_have_low_rmssd(face_video) -> None:
    result = measure(face_video(seconds=24.0, face={"strength": 0.04}, codec="ffv1", name="metronome.mkv"))
    assert result.hrv is not None
    assert result.hrv.rmssd_ms is not None, "a clean recording of 24 s is enough for RMSSD"
    assert result.hrv.rmssd_ms < 15.0


@pytest.mark.slow
def test_rmssd_that_is_mostly_noise_is_withheld(face_video) -> None:
    hrv = measure(face_video(**BASE)).hrv
    assert hrv is not None
    assert hrv.rmssd_floor_ms > 15.0, "the intervals are constant: any RMSSD is noise"
    assert hrv.rmssd_ms is None
    assert "noise floor" in hrv.withheld["rmssd_ms"]


@pytest.mark.slow
def test_same_file_gives_the_same_result_in_this_and_in_a_new_process(face_video) -> None:
    path = face_video(**BASE)
    other = measure(face_video(110.0))
    first, second = measure(path), measure(path)
    assert other.bpm != first.bpm
    assert first.to_json(waveform=True) == second.to_json(waveform=True)
    code = "import sys, facepulse; print(facepulse.measure(sys.argv[1], method='POS').to_json(waveform=True))"
    fresh = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert json.loads(fresh.stdout) == first.to_dict(waveform=True)


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_dropped_frames_and_jitter_do_not_change_the_heart_rate(face_video) -> None:
    reference = measure(face_video(**BASE)).bpm
    rng = np.random.default_rng(1)
    times = (np.arange(600) / 30 + rng.uniform(-0.008, 0.008, 600))[rng.random(600) > 0.2]
    variable = measure(face_video(**BASE, times=times - times[0]))
    assert variable.fps == pytest.approx(24, abs=1.5)
    assert variable.bpm == pytest.approx(reference, abs=0.5)


@pytest.mark.slow
def test_rotated_video_is_measured_upright(face_video, tmp_path: Path) -> None:
    path = face_video(**BASE)
    turned = tmp_path / "turned.mp4"
    with open_video(path) as video, VideoWriter(turned, 240, 320, options={"crf": "12"}, rotation=90) as writer:
        for frame in video:
            writer.write(np.ascontiguousarray(np.rot90(frame.image, -1)), frame.time)
    result = measure(turned)
    assert result.image.shape == (240, 320, 3)
    assert result.bpm == pytest.approx(measure(path).bpm, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("fps", "b_frames"), [(8.0, "3"), (8.0, "0"), (10.0, "3"), (24.0, "3"), (60.0, "3")])
def test_heart_rate_does_not_depend_on_the_frame_rate(face_video, fps: float, b_frames: str) -> None:
    result = measure(face_video(**BASE, fps=fps, options={"bf": b_frames}))
    assert result.fps == pytest.approx(fps, rel=0.01)
    assert result.bpm == pytest.approx(72.0, abs=1.0)


@pytest.mark.slow
def test_heart_rate_at_240_fps(face_video) -> None:
    result = measure(face_video(seconds=6.0, fps=240.0, face={"strength": 0.03}))
    assert result.bpm == pytest.approx(72.0, abs=3.0)


@pytest.mark.slow
def test_short_gap_between_frames_is_interpolated_and_reported(face_video) -> None:
    times = np.arange(600) / 30
    result = measure(face_video(**BASE, times=times[(times < 9.0) | (times > 9.7)]))
    assert result.bpm == pytest.approx(72.0, abs=1.0)
    assert len(result.parts) == 1
    assert any(warning.startswith("no frames from 8.9") for warning in result.warnings)


@pytest.mark.slow
def test_long_gap_between_frames_starts_a_new_segment(face_video) -> None:
    times = np.arange(600) / 30
    result = measure(face_video(**BASE, times=times[(times < 8.0) | (times > 12.0)]))
    assert result.bpm == pytest.approx(72.0, abs=1.5)
    assert [(round(start), round(end)) for start, end in result.parts] == [(0, 8), (12, 20)]
    assert np.diff(result.times_s).max() > 3.5


@pytest.mark.slow
def test_gap_of_minutes_does_not_lower_the_frame_rate(face_video) -> None:
    times = np.arange(600) / 30
    result = measure(face_video(**BASE, times=np.where(times < 10, times, times + 150), name="gap.mkv"))
    assert result.fps == pytest.approx(30, abs=0.1)
    assert result.bpm == pytest.approx(72.0, abs=1.5)
    assert [(round(start), round(end)) for start, end in result.parts] == [(0, 10), (160, 170)]
    assert not any(warning.startswith("no face") for warning in result.warnings)


# --- faces ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_faces(face_video) -> Path:
    left = PaintedFace(metronome(66, 15), centre=(0.27, 0.5), height=0.62, tone="medium", strength=0.03)
    right = PaintedFace(metronome(96, 15), centre=(0.73, 0.5), height=0.72, strength=0.03)
    return face_video(seconds=15.0, faces=[right, left], width=480, height=320, name="two faces.mp4")


@pytest.mark.slow
def test_two_faces_are_numbered_from_left_to_right(two_faces: Path) -> None:
    left, right = measure_faces(two_faces, faces="all")
    assert (left.face, right.face) == (1, 2)
    assert left.bpm == pytest.approx(66, abs=2)
    assert right.bpm == pytest.approx(96, abs=2)


@pytest.mark.slow
def test_largest_of_two_faces_is_measured_and_the_other_noted(two_faces: Path) -> None:
    result = measure(two_faces)
    assert any(warning.startswith("2 faces: this is the largest") for warning in result.warnings)
    assert result.face == 2
    assert result.bpm == pytest.approx(96, abs=2)


@pytest.mark.slow
def test_face_in_view_for_too_short_does_not_prevent_measuring_another(face_video) -> None:
    stays = PaintedFace(metronome(66, 10), centre=(0.27, 0.5), height=0.6, strength=0.03)
    leaves = PaintedFace(metronome(96, 10), centre=(0.73, 0.5), height=0.75, visible_s=(0.0, 4.0))
    path = face_video(seconds=10.0, faces=[stays, leaves], width=480, height=320)
    assert measure(path).bpm == pytest.approx(66, abs=2)
    assert [result.face for result in measure_faces(path, faces="all")] == [1]


@pytest.mark.slow
def test_absence_of_a_face_is_reported_with_its_times(face_video) -> None:
    result = measure(face_video(seconds=16.0, face={"visible_s": (0.0, 9.0)}))
    assert result.bpm == pytest.approx(72.0, abs=1.5)
    assert result.parts[0][1] == pytest.approx(9.0, abs=0.6)
    [absence] = [warning for warning in result.warnings if warning.startswith("no face from")]
    assert float(absence.split()[3]) == pytest.approx(9.0, abs=0.6)
    assert float(absence.split()[5]) == pytest.approx(16.0, abs=0.1)


@pytest.mark.slow
def test_face_in_30_percent_of_the_frames_is_measured_there(face_video) -> None:
    result = measure(face_video(seconds=24.0, face={"visible_s": (10.0, 17.2)}))
    assert result.bpm == pytest.approx(72.0, abs=3.0)
    assert len(result.parts) == 1
    assert result.parts[0][0] == pytest.approx(10.0, abs=0.6)
    assert sum(warning.startswith("no face from") for warning in result.warnings) == 2


@pytest.mark.slow
@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_heart_rate_for_every_skin_tone(face_video, tone: str) -> None:
    assert measure(face_video(face={"tone": tone})).bpm == pytest.approx(72.0, abs=1.5)


# --- videos without a pulse ------------------------------------------------------------------------------------------

STILL = {"sway": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("living face without a pulse, H.264", {}),
        (
            "living face without a pulse, MJPEG",
            {"codec": "mjpeg", "options": {"qmin": "3", "qmax": "3"}, "name": "n.avi"},
        ),
        ("photograph under a noisy camera", {"face": STILL}),
        ("photograph without noise", {"face": STILL, "noise": 0.0}),
        ("photograph, lossless: every frame the same", {"face": STILL, "noise": 0.0, "codec": "ffv1", "name": "p.mkv"}),
        ("key frame every second", {"face": STILL, "key_interval": 30, "options": {"crf": "18"}}),
        (
            "key frame every second, no noise",
            {"face": STILL, "noise": 0.0, "key_interval": 30, "options": {"crf": "23"}},
        ),
        ("key frame every half second", {"face": STILL, "key_interval": 15, "options": {"crf": "20"}}),
        ("key frame every two seconds", {"face": STILL, "key_interval": 60, "options": {"crf": "18"}}),
        (
            "key frame every two seconds, face in view for a short time",
            {"face": {**STILL, "visible_s": (2.0, 9.5)}, "key_interval": 60, "options": {"crf": "18"}},
        ),
        (
            "key frame every two seconds, short clip",
            {"face": STILL, "key_interval": 60, "options": {"crf": "18"}, "seconds": 8.0},
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
@pytest.mark.parametrize("method", ["POS", "CHROM", "GREEN"])
def test_heart_rate_is_withheld_without_a_pulse(face_video, name: str, options: dict, method: str) -> None:
    result = measure(face_video(None, **{"seconds": 20.0, **options}), method=method)
    assert result.bpm is None
    assert result.quality < (0.4 if result.parts[0][1] - result.parts[0][0] > 15 else QUALITY_THRESHOLD)
    assert result.warnings[0].startswith("no reliable pulse")
    assert "best guess" in result.warnings[0]
    assert all(window.bpm is None for window in result.windows)


@pytest.mark.slow
@pytest.mark.parametrize("channel", [0, 1, 2], ids=["red", "green", "blue"])
def test_heart_rate_of_a_pulsating_coloured_lamp_is_withheld(tmp_path: Path, channel: int) -> None:
    times = np.arange(360) / 30
    lamp = np.ones((len(times), 3))
    lamp[:, channel] += 0.015 * np.sin(2 * np.pi * 75 / 60 * times)
    frames = paint_frames([PaintedFace(height=0.8)], times, width=320, height=240)
    lit = (np.rint(np.clip(frame * level, 0, 255)).astype(np.uint8) for frame, level in zip(frames, lamp, strict=True))
    path = _write(tmp_path / "lamp.mp4", lit, options={"crf": "14", "preset": "veryfast", **REPEATABLE})
    for method in ("POS", "CHROM", "GREEN"):
        assert measure(path, method=method).bpm is None


@pytest.mark.slow
def test_heart_rate_of_head_motion_from_steps_is_withheld(tmp_path: Path) -> None:
    """Frames bounce by a pixel 108 times per minute and sway at half that rate; once 216 bpm at quality 0.90."""
    times = np.arange(450) / 30
    frames = paint_frames([PaintedFace(height=0.8)], times, width=320, height=240)
    bounced = (
        cv2.warpAffine(
            frame,
            np.array([[1, 0, 0.3 * np.sin(np.pi * 1.8 * time)], [0, 1, np.sin(2 * np.pi * 1.8 * time)]]),
            (320, 240),
            borderMode=cv2.BORDER_REPLICATE,
        )
        for frame, time in zip(frames, times, strict=True)
    )
    path = _write(tmp_path / "steps.mp4", bounced, options={"crf": "14", "preset": "veryfast", **REPEATABLE})
    for method in ("POS", "CHROM", "GREEN"):
        assert measure(path, method=method).bpm is None


@pytest.mark.slow
def test_strong_pulse_at_the_key_frame_rate_is_measured(face_video) -> None:
    result = measure(face_video(60.0, 20.0, key_interval=30, face={"strength": 0.04}))
    assert result.bpm == pytest.approx(60.0, abs=1.0)


@pytest.mark.slow
def test_weak_pulse_at_the_key_frame_rate_is_withheld_with_the_reason(face_video) -> None:
    result = measure(face_video(60.0, 20.0, key_interval=30, face={"strength": 0.012}))
    assert result.bpm is None
    assert "a multiple of the codec's key-frame rate (1.00 s apart)" in result.warnings[0]


@pytest.mark.slow
def test_pulse_beside_the_key_frame_rate_is_measured(face_video) -> None:
    result = measure(face_video(75.0, 20.0, key_interval=30))
    assert result.bpm == pytest.approx(75.0, abs=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fps", "options", "method"),
    [
        (8.0, {"bf": "3"}, "POS"),
        (8.0, {"bf": "3"}, "physfsunet"),
        (15.0, {"bf": "7", "b_strategy": "0", "crf": "20"}, "physfsunet"),
    ],
)
def test_rhythm_of_b_frames_is_withheld_with_the_reason(face_video, fps: float, options: dict, method: str) -> None:
    """Groups of four frames at 8 fps, 120 bpm, and of eight at 15 fps, 112.5 bpm."""
    result = measure(face_video(None, 20.0, fps=fps, options=options), method=method)
    assert (result.bpm, result.reason) == (None, "b_frames")
    assert f"B frames may have caused (one I or P frame in {0.5 if fps == 8 else 0.53:.2f} s)" in result.warnings[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bpm", "strength", "options", "method", "reason"),
    [
        (88.0, 0.015, {"crf": "23", "preset": "medium"}, "POS", "low_quality"),
        (88.0, 0.015, {"crf": "23", "preset": "medium"}, "physfsunet", None),
        (138.0, 0.015, {"crf": "23", "preset": "medium"}, "POS", "b_frames"),
        (150.0, 0.02, {"crf": "20"}, "physfsunet", "b_frames"),
    ],
)
def test_pulse_between_b_frames_is_right_or_withheld(
    face_video, bpm: float, strength: float, options: dict, method: str, reason: str | None
) -> None:
    """At 15 fps, B frames that are an interpolation make 225 - 138 = 87 of a pulse of 138 bpm, and 75 of 150."""
    video = face_video(bpm, 20.0, fps=15.0, options={"bf": "3", **options}, face={"strength": strength})
    result = measure(video, method=method)
    assert result.reason == reason
    assert result.bpm == (None if reason else pytest.approx(bpm, abs=1))


@pytest.mark.slow
def test_minimum_quality_is_that_of_the_argument(face_video) -> None:
    path = face_video(None, 20.0)
    uncertain = measure(path, min_quality=0.0)
    assert uncertain.bpm is not None
    assert "may well be wrong" in uncertain.warnings[0]
    assert measure(face_video(**BASE), min_quality=1.0).bpm is None


# --- bad input ------------------------------------------------------------------------------------------------------


def _write(path: Path, frames, fps: float = 30.0, **options) -> Path:
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    with VideoWriter(path, width, height, fps=fps, **options) as writer:
        for index, frame in enumerate(chain([first], frames)):
            writer.write(frame, index / fps)
    return path


@pytest.mark.slow
def test_video_without_a_face_is_refused(tmp_path: Path) -> None:
    frames = list(paint_frames([], np.arange(180) / 30, width=320, height=240))
    with pytest.raises(NoFaceError, match="no face was found in 6"):
        measure(_write(tmp_path / "wall.mp4", frames))


def test_black_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoFaceError):
        measure(_write(tmp_path / "black.mp4", [np.zeros((240, 320, 3), np.uint8)] * 180))


def test_single_image_is_refused(tmp_path: Path) -> None:
    [frame] = paint_frames([PaintedFace()], np.zeros(1))
    with pytest.raises(TooShortError, match="single image"):
        measure(_write(tmp_path / "one.mp4", [frame]))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 4.5])
def test_face_for_less_than_five_seconds_is_refused(face_video, seconds: float) -> None:
    with pytest.raises(TooShortError, match="record for longer"):
        measure(face_video(seconds=seconds))


@pytest.mark.slow
def test_five_seconds_are_enough(face_video) -> None:
    assert measure(face_video(seconds=5.0, face={"strength": 0.04})).bpm == pytest.approx(72.0, abs=4.0)


@pytest.mark.slow
def test_low_frame_rate_is_refused(face_video) -> None:
    with pytest.raises(VideoError, match="frames per second are too few"):
        measure(face_video(seconds=10.0, fps=3.0))


@pytest.mark.slow
def test_heart_rate_of_a_repeated_frame_is_withheld(face_video, tmp_path: Path) -> None:
    with open_video(face_video()) as video:
        first = next(iter(video)).image
    result = measure(_write(tmp_path / "frozen.mp4", [first] * 300))
    assert result.bpm is None
    assert result.quality < 0.1


@pytest.mark.slow
def test_frozen_picture_has_no_beats(tmp_path: Path) -> None:
    face = PaintedFace(metronome(72.0, 24.0), height=0.8, strength=0.03)
    painted = paint_frames([face], np.arange(720) / 30, width=160, height=120)
    frozen = accumulate(enumerate(painted), lambda shown, new: (new[0], shown[1] if 300 <= new[0] < 510 else new[1]))
    result = measure(_write(tmp_path / "frozen.mkv", (image for _, image in frozen), codec="ffv1"))
    assert result.parts == ((0.0, pytest.approx(24.0, abs=0.1)),)
    assert not ((result.beats_s > 11) & (result.beats_s < 16.5)).any()
    assert len(result.beats_s) == pytest.approx(17 * 1.2, abs=3)
    assert result.hrv.withheld["rmssd_ms"].startswith("needs 20 s, has 1")


@pytest.mark.slow
def test_greyscale_video_recommends_the_method_that_needs_no_colour(face_video) -> None:
    path = face_video(codec="ffv1", pixel_format="gray", name="grey.mkv", face={"strength": 0.04})
    result = measure(path)
    assert result.bpm is None
    assert "use the method GREEN" in result.warnings[0]
    assert measure(path, method="green").bpm == pytest.approx(72.0, abs=1.5)


@pytest.mark.slow
def test_4k_video_is_scaled_down_and_measured(tmp_path: Path) -> None:
    face = PaintedFace(metronome(72, 6), height=0.8, strength=0.03)
    small = paint_frames([face], np.arange(90) / 15, width=960, height=540)
    large = (cv2.resize(frame, (3840, 2160)) for frame in small)
    path = _write(tmp_path / "4k.mp4", large, fps=15.0, options={"crf": "18", "preset": "ultrafast"})
    result = measure(path)
    assert result.bpm == pytest.approx(72.0, abs=3.0)
    assert max(result.image.shape) == 1280


@pytest.mark.slow
def test_video_of_odd_size_is_measured(face_video) -> None:
    path = face_video(width=321, height=241, codec="ffv1", pixel_format="yuv444p", name="odd.mkv")
    assert measure(path).bpm == pytest.approx(72.0, abs=1.5)


@pytest.mark.slow
def test_ten_bit_video_is_measured(face_video) -> None:
    path = face_video(
        codec="libx265", pixel_format="yuv420p10le", options={"crf": "14", "x265-params": "log-level=0"}, name="hdr.mp4"
    )
    assert measure(path).bpm == pytest.approx(72.0, abs=1.5)


@pytest.mark.slow
def test_truncated_file_is_measured_as_far_as_it_decodes(face_video, tmp_path: Path) -> None:
    whole = face_video(**BASE, container_options={"movflags": "faststart"}).read_bytes()
    path = tmp_path / "truncated.mp4"
    path.write_bytes(whole[: int(0.6 * len(whole))])
    result = measure(path)
    assert result.bpm == pytest.approx(72.0, abs=2.0)
    assert any(warning.startswith("truncated:") for warning in result.warnings)


@pytest.mark.slow
def test_directory_of_images_with_timestamps_is_measured(tmp_path: Path) -> None:
    times = np.arange(240) / 30
    face = PaintedFace(metronome(84, 8), height=0.8, strength=0.03)
    for time, frame in zip(times, paint_frames([face], times, width=320, height=240), strict=True):
        name = f"Image{1392643993642815000 + round(time * 1e9)}.png"
        cv2.imwrite(str(tmp_path / name), frame[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert measure(tmp_path).bpm == pytest.approx(84.0, abs=2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "DEEP"}, "choose one of GREEN"),
        ({"detector": "yolo"}, "choose one of auto"),
        ({"window_s": 2.0}, "5 s long or longer"),
        ({"min_quality": 1.5}, "from 0 to 1"),
        ({"faces": "both"}, "'largest' or 'all'"),
    ],
)
def test_invalid_arguments_are_refused_before_the_video_is_opened(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure_faces("there is no such file.mp4", **options)


def test_import_does_not_load_heavy_packages() -> None:
    heavy = {"scipy", "matplotlib", "pandas", "rich", "torch"}
    code = f"import sys, facepulse; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


@pytest.mark.slow
def test_network_predicts_from_its_own_crops_and_is_verified_by_the_regions(face_video, trained) -> None:
    video = face_video(**STRONG)
    result = measure(video, method=str(trained.onnx))
    assert result.method == "tiny"
    assert "network's waveform" in result.protocol
    assert result.bpm == pytest.approx(72.0, abs=1.0)
    assert result.quality > 0.8
    assert [window.bpm for window in result.windows] == [pytest.approx(72.0, abs=2.0)] * 3
    predicted = load_engine(trained.onnx)(crops_of(video, trained.card.size, trained.card.margin)).astype(np.float64)
    expected = filtered(predicted, 30.0, PROTOCOLS["facepulse"])
    assert result.waveform == pytest.approx(expected / expected.std(), abs=1e-4)
    regions = measure(video)
    np.testing.assert_array_equal(result.beats_s, regions.beats_s, "beats are always found in the regions")
    assert len(result.beats_s) > 20
    assert result.hrv == regions.hrv


@pytest.mark.slow
def test_network_with_another_clock_size_and_margin_measures(face_video, trained, tmp_path: Path) -> None:
    card = replace(trained.card, fps=25.0, size=40, margin=0.2)
    save_model(trained.network, card, other := tmp_path / "other.safetensors")
    result = measure(face_video(**STRONG), method=str(other))
    assert result.bpm == pytest.approx(72.0, abs=2.0)
    assert np.diff(result.times_s) == pytest.approx(1 / 25)


@pytest.mark.slow
@pytest.mark.parametrize("network_bpm", [112.5, None])
@pytest.mark.parametrize("regions_bpm", [72.0, None])
def test_heart_rate_of_the_network_alone_is_withheld_and_the_regions_measure_instead(
    face_video, trained, network_bpm: float | None, regions_bpm: float | None
) -> None:
    def predict(clips):
        phase = 2 * np.pi * (network_bpm or 0.0) / 60 * np.arange(clips.shape[2]) / 30
        return torch.from_numpy(np.sin(phase).astype(np.float32)).expand(len(clips), -1)

    torch = pytest.importorskip("torch")
    method = Method(CLASSICAL["POS"], torch_engine(predict, trained.card))
    video = face_video(**STRONG | {"bpm": regions_bpm})
    traces = extract_traces(open_video(video), DETECTORS["auto"](), method)
    [face] = select_faces(traces, "largest")

    def measured(min_quality: float, fallback: Fallback = "POS") -> Measurement:
        found = estimate(
            face.segments,
            method,
            timing=traces.timing,
            min_quality=min_quality,
            fallback=fallback,
        )
        return to_measurement(traces, face, found, 10.0)

    result = measured(QUALITY_THRESHOLD)
    kept = measured(QUALITY_THRESHOLD, fallback=None)
    assert (kept.method, kept.bpm) == ("tiny", None), "without a fallback the network measures, and is withheld"
    assert kept.quality < 0.3
    if regions_bpm is not None:
        assert result.method == "POS"
        replaced = r"the waveform of tiny is unreliable here \(quality 0.[012]\d\): .* with POS instead"
        assert re.fullmatch(replaced, result.warnings[0])
        shown = measured(0.0)
        assert shown.method == "tiny"
        assert shown.bpm == pytest.approx(network_bpm or regions_bpm, abs=1), (
            "a constant waveform of the network leaves the regions"
        )
        if network_bpm is not None:
            assert (shown.hrv, len(shown.beats_s)) == (None, 0)
            reason = r"no beats.* read from POS, which measures another heart rate, 72\.\d bpm"
            assert re.fullmatch(reason, shown.warnings[0])
        alone = measure(video)
        assert (result.bpm, result.quality, result.windows, result.hrv) == (
            (alone.bpm, alone.quality, alone.windows, alone.hrv)
        )
        return
    assert result.method == "tiny"
    assert result.bpm is None
    assert result.quality < 0.3
    assert all(window.bpm is None for window in result.windows)
    if network_bpm is not None:
        assert "best guess is 112.5 bpm" in result.warnings[0]


@pytest.mark.slow
def test_network_without_a_pulse_in_the_video_is_withheld(face_video, trained) -> None:
    result = measure(face_video(None, 20.0), method=str(trained.onnx))
    assert result.bpm is None
    assert result.quality < 0.4


@pytest.mark.slow
def test_frames_for_a_network_are_discarded_as_a_long_video_is_read(trained) -> None:
    image, box = np.full((48, 48, 3), 90, np.uint8), Box(4, 4, 40, 40)
    face = FaceTraces(find_method(str(trained.onnx)), image, box)
    crop_bytes = trained.card.size**2 * 3
    tracemalloc.start()
    for second in range(100):
        face.push([Frame(image, second + tick / 30, False) for tick in range(30)], [box] * 30)
        if second == 10:
            early, _ = tracemalloc.get_traced_memory()
    late, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert face.network is not None
    assert len(face.network.segments[0].waveform) > 2900
    [trace] = face.skin.segments
    held = 1.5 * trained.card.frames * crop_bytes  # a window and a half; all crops would be 30 times as much
    assert late - early < held + trace.rgb.nbytes
