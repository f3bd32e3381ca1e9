"""Files as phones, browsers, video calls and recorders write them are read completely, upright and at their times."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import facepulse
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video
from odd_videos import encode, painted
from small_videos import gradient, write


def read(path: Path) -> tuple[list[Frame], list[str]]:
    with open_video(path) as video:
        return list(video), video.warnings


def test_hdr_video_of_a_phone_is_upright_at_its_variable_times(tmp_path):
    upright = gradient(48, 64)
    times = np.cumsum(np.random.default_rng(0).uniform(0.015, 0.06, 30))
    hlg = "log-level=none:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:range=limited"
    arguments = {"pixel_format": "yuv420p10le", "rotation": -90, "options": {"x265-params": hlg}}
    path = write(tmp_path / "v.mov", [np.rot90(upright)] * 30, times, "libx265", **arguments)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, int(frame.color_trc)) == ("yuv420p10le", 18), "HLG"
    frames, warnings = read(path)
    np.testing.assert_allclose([frame.time for frame in frames], times - times[0], atol=1e-3)
    assert np.corrcoef(frames[0].image.ravel(), upright.ravel())[0, 1] > 0.98
    assert warnings == []


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("browser.webm", "libvpx-vp9", {"live": "1"}),
        ("recorder.mkv", "libx264", {"live": "1"}),
        ("recorder.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("call.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ],
)
def test_live_recording_without_duration_is_read(tmp_path, name, codec, options):
    times = np.arange(60) / 30
    path = write(tmp_path / name, [gradient()] * 60, times, codec, key_interval=20, container_options=options)
    frames, warnings = read(path)
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-3)
    assert warnings == []


def test_short_raw_packet_is_one_damaged_frame(tmp_path):
    path = tmp_path / "v.avi"
    image = gradient()[..., ::-1].tobytes()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        for number in range(10):
            packet = av.Packet(image[:5000] if number == 4 else image)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            packet.time_base = Fraction(1, 30)
            container.mux(packet)
    frames, warnings = read(path)
    np.testing.assert_allclose([frame.time for frame in frames], np.delete(np.arange(10), 4) / 30)
    np.testing.assert_array_equal(frames[-1].image, gradient())
    assert warnings == ["damaged: frames that could not be decoded, skipped: 1"]


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(1, 2)])
def test_pixels_that_are_not_square_keep_their_number(tmp_path, aspect):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient())))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect
    frames, warnings = read(path)
    assert frames[0].image.shape == (48, 64, 3)
    assert warnings == []


def test_negative_start_time_is_the_first_frame(tmp_path):
    arguments = {"container": "mpegts", "container_options": {"avoid_negative_ts": "disabled"}}
    path = encode(tmp_path / "v.ts", [gradient()] * 30, range(-6, 24), **arguments)
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time < 0
    frames, warnings = read(path)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / 30, atol=1e-3)
    assert warnings == []


def test_frames_before_an_edit_list_are_hidden_and_not_missing(tmp_path):
    frames, warnings = read(encode(tmp_path / "v.mp4", [gradient()] * 30, range(-6, 24)))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(24) / 30, atol=1e-3)
    assert warnings == []


def test_xvid_with_b_frames_is_read(tmp_path):
    path = encode(tmp_path / "v.avi", [gradient()] * 60, codec="mpeg4", options={"bf": "2"})
    with av.open(str(path)) as container:
        assert {int(frame.pict_type) for frame in container.decode(video=0)} == {1, 2, 3}, "I, P and B"
    frames, warnings = read(path)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(60) / 30, atol=1e-6)
    assert warnings == []


def test_slow_motion_within_a_video_keeps_its_times(tmp_path):
    times = np.cumsum(np.r_[0, np.full(30, 1 / 30), np.full(60, 1 / 240), np.full(30, 1 / 30)])
    frames, warnings = read(write(tmp_path / "v.mp4", [gradient()] * len(times), times))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-3)
    assert warnings == []


@pytest.mark.slow
def test_retimed_slow_motion_is_withheld_until_its_rate_is_stated(tmp_path):
    path = encode(tmp_path / "v.mp4", painted(fps=60, seconds=10))  # plays for 20 s at 30 fps: 36 bpm
    assert facepulse.measure(path, method="POS").bpm is None
    assert facepulse.measure(path, method="POS", fps=60).bpm == pytest.approx(72, abs=1)
