"""Encodings: in memory as in files, the requested key frames, increasing times."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepulse.simulate.codec import REPEATABLE, Encoding, capture_times, draw_encoding, through_codec
from facepulse.video.reader import open_video
from facepulse.video.writer import VideoWriter

SEEDS = st.integers(0, 2**32 - 1)


def h264(crf: float = 18, key_interval: int | None = 15, **options: str) -> Encoding:
    return Encoding(
        "libx264", {"preset": "veryfast", "crf": str(crf), **REPEATABLE, **options}, key_interval=key_interval
    )


def mjpeg(q: int = 3) -> Encoding:
    return Encoding("mjpeg", {"qmin": str(q), "qmax": str(q)}, "yuvj422p")


RATED = Encoding(
    "libx264",
    {"preset": "veryfast", "b": "60000", "maxrate": "90000", "bufsize": "60000", "bf": "0", **REPEATABLE},
    key_interval=20,
)


def moving(frames: int = 40, height: int = 64, width: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames and times: a soft texture that moves, with noise, another one after a cut, at times with jitter."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(120, 300, (height, width, 3)).astype(np.float32), (0, 0), 5)
    texture = [texture, 240 - texture[::-1]]
    video = np.stack([np.roll(texture[t > 22], t // 2, axis=1) for t in range(frames)]) + rng.normal(
        0, 1.5, (frames, 1, 1, 1)
    )
    return np.clip(np.rint(video), 0, 255).astype(np.uint8), (
        np.arange(frames) + rng.uniform(0, 0.1, frames) * (np.arange(frames) > 0)
    ) / 30


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


@pytest.mark.parametrize(
    "encoding", [h264(), h264(bf="3"), RATED, mjpeg()], ids=["crf", "B-frames", "bit rate", "mjpeg"]
)
def test_encoding_in_memory_equals_a_written_file(tmp_path, encoding):
    frames, times = moving()
    path = tmp_path / f"v{encoding.suffix}"
    with VideoWriter(path, 96, 64, **encoding.writer_arguments()) as writer:
        for image, time in zip(frames, times, strict=True):
            writer.write(image, time)
    with open_video(path) as video:
        read = list(video)
    np.testing.assert_array_equal(through_codec(frames, times, encoding), [frame.image for frame in read])
    np.testing.assert_allclose([frame.time for frame in read], times, atol=1e-5)
    if encoding.key_interval:
        assert [t for t, frame in enumerate(read) if frame.key] == list(range(0, 40, encoding.key_interval))


@pytest.mark.parametrize(
    ("encodings", "least"),
    [([h264(10), h264(20), h264(30), h264(40)], 37), ([mjpeg(2), mjpeg(5), mjpeg(10)], 36)],
    ids=["crf", "q"],
)
def test_quality_decreases_with_stronger_compression(encodings, least):
    frames, times = moving()
    quality = [psnr(through_codec(frames, times, encoding), frames) for encoding in encodings]
    assert quality[0] > least
    assert all(better > worse + 0.3 for better, worse in pairwise(quality))
    assert quality[-1] > 26


@pytest.mark.parametrize("encoding", [h264(), mjpeg()], ids=["h264", "mjpeg"])
def test_odd_sizes_are_kept(encoding):
    frames, times = moving(6, height=51, width=63)
    result = through_codec(frames, times, encoding)
    assert result.shape == frames.shape
    assert psnr(result, frames) > 33


def digest() -> str:
    frames, times = moving()
    decoded = [through_codec(frames, times, encoding).tobytes() for encoding in (h264(bf="3"), RATED)]
    return hashlib.sha256(b"".join(decoded)).hexdigest()


@pytest.mark.slow
def test_bytes_are_the_same_again_and_in_a_fresh_process():
    command = [sys.executable, "-c", "from test_codec import digest; print(digest())"]
    fresh = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert {digest(), digest()} == {fresh}


@given(SEEDS, st.floats(0.5, 30), st.sampled_from([24.0, 25.0, 30.0, 60.0]), st.sampled_from(["calm", "complex"]))
def test_capture_times_increase_from_0_at_the_requested_rate(seed, seconds, fps, quality):
    rng = np.random.default_rng(seed)
    encoding = draw_encoding(rng, quality)
    times = capture_times(rng, seconds, fps, encoding)
    assert times[0] == 0
    assert (np.diff(times) > 0.3 / fps).all() or encoding.rate_swing
    assert (np.diff(times) > 0).all()
    assert times[-1] < seconds
    assert len(times) <= 1.05 * seconds * fps + 3
    np.testing.assert_array_equal(
        capture_times(np.random.default_rng(seed), seconds, fps, encoding),
        capture_times(np.random.default_rng(seed), seconds, fps, encoding),
    )


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding("mjpeg"),
        Encoding("mjpeg", jitter_s=0.005),
        Encoding("mjpeg", drop=0.04),
        Encoding("mjpeg", rate_swing=0.1),
    ],
    ids=["steady", "jitter", "drop", "swing"],
)
def test_mean_rate_drops_and_jitter_follow_the_encoding(encoding):
    times = capture_times(np.random.default_rng(0), 400, 30, encoding)
    periods = np.diff(times)
    assert len(times) / 400 == pytest.approx(30 * (1 - encoding.drop), rel=0.01)
    assert np.median(periods) == pytest.approx(1 / 30, rel=0.02)
    assert (periods > 1.7 / 30).any() == (encoding.drop > 0)
    within = periods[periods < 1.7 / 30]
    expected = np.hypot(np.sqrt(2) * encoding.jitter_s, encoding.rate_swing / 30)
    assert within.std() == pytest.approx(expected, rel=0.35, abs=1e-9)


def test_drawn_encodings_are_in_the_range_of_their_quality():
    drawn = {
        quality: [draw_encoding(np.random.default_rng(s), quality) for s in range(300)]
        for quality in ("calm", "complex")
    }
    for encodings in drawn.values():
        assert {encoding.codec for encoding in encodings} == {"libx264", "mjpeg"}
    for encoding in drawn["calm"]:
        assert encoding.drop == encoding.rate_swing == 0
        if encoding.codec == "libx264":
            assert 2 <= float(encoding.options["crf"]) <= 10
    complex_h264 = [encoding for encoding in drawn["complex"] if encoding.codec == "libx264"]
    assert any("b" in encoding.options for encoding in complex_h264)
    seconds = np.array([encoding.key_interval / encoding.fps for encoding in complex_h264])
    assert 0.45 < seconds.min() < 0.8
    assert 5 < seconds.max() < 10.1
    assert 0.25 < (np.abs(seconds - 1) < 0.03).mean() < 0.6
    assert all(24 <= encoding.fps <= 30 for encoding in drawn["complex"])
    small = draw_encoding(np.random.default_rng(0), "complex", width=64, height=64)
    assert small == draw_encoding(np.random.default_rng(0), "complex", width=64, height=64)


def test_downscaled_frames_have_the_compression_errors_of_the_full_size():
    """The mean of twelve pixels has 12 ** -0.5 of their errors, so its quantisation is finer by 1.8 octaves."""
    for seed in range(40):
        full, half, small = (
            draw_encoding(np.random.default_rng(seed), "complex", width=width, height=height)
            for width, height in ((1280, 720), (640, 360), (320, 240))
        )
        assert (full.shrunk, half.shrunk, small.shrunk) == (1, 4, 12)
        assert (full.codec, full.fps, full.key_interval) == (small.codec, small.fps, small.key_interval)
        if "crf" in full.options:
            assert 18 <= float(full.options["crf"]) <= 30
            assert float(half.options["crf"]) == pytest.approx(float(full.options["crf"]) - 6, abs=0.11)
            assert float(small.options["crf"]) == pytest.approx(float(full.options["crf"]) - 10.8, abs=0.11)
        elif "b" in full.options:  # a quarter of the pixels, each with twice the bits
            assert int(half.options["b"]) == pytest.approx(int(full.options["b"]) / 2, rel=1e-3)
        else:
            assert int(small.options["qmax"]) == max(2, round(int(full.options["qmax"]) / 12**0.5))
    calm, calmer = (draw_encoding(np.random.default_rng(1), "calm", width=width) for width in (640, 1280))
    assert (calm.shrunk, calmer.shrunk) == (4, 2)
    assert calm.options == calmer.options


def test_crop_has_the_compression_errors_of_the_whole_frame():
    """Each pixel of the crop is the mean of four of the frame: half the errors, so twice the bits of each pixel."""
    crf, rated, q = (
        replace(encoding, key_interval=15).for_crop(share=1 / 16, binning=4)
        for encoding in (h264(18), RATED, Encoding("mjpeg", {"qmin": "8", "qmax": "8"}, "yuvj422p"))
    )
    assert float(crf.options["crf"]) == 12
    assert {name: int(rated.options[name]) for name in ("b", "bufsize")} == {
        name: max(int(RATED.options[name]) // 8, 8000) for name in ("b", "bufsize")
    }
    assert q.options == {"qmin": "4", "qmax": "4"}
    assert h264(18.0).for_crop(share=0.25, binning=1) == h264(18.0), "smaller, not finer"
    assert float(h264(3).for_crop(share=0.25, binning=4).options["crf"]) == 0, "the smallest crf is 0"


def test_quality_follows_the_bit_rate():
    frames, times = moving(120)
    poor, rich = (
        through_codec(frames, times, replace(RATED, options=RATED.options | rate))
        for rate in (
            {"b": "15000", "maxrate": "20000", "bufsize": "15000"},
            {"b": "300000", "maxrate": "400000", "bufsize": "300000"},
        )
    )
    assert psnr(rich, frames) > psnr(poor, frames) + 3


def test_length_of_zero_is_refused():
    with pytest.raises(ValueError, match="above zero"):
        capture_times(np.random.default_rng(0), 0, 30, Encoding("mjpeg"))
