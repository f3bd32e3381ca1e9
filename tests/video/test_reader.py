"""Real files and codecs: frames written with known times and colours are read back with them."""

import os
import re
import struct
import tempfile
import wave
import weakref
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.errors import UsageError, VideoError
from facepulse.video.frames import Frame
from facepulse.video.reader import open_video
from facepulse.video.writer import VideoWriter
from small_videos import gradient, write


def noise(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def read(path: Path, **arguments) -> tuple[list[Frame], list[str]]:
    with open_video(path, **arguments) as video:
        frames = list(video)
        for frame in frames:
            assert frame.image.dtype == np.uint8
            assert frame.image.flags.c_contiguous
            assert frame.image.shape == (video.height, video.width, 3)
        return frames, video.warnings


def times_of(frames: list[Frame]) -> list[float]:
    return [frame.time for frame in frames]


# --- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "name_read"),
    [
        ("v.mp4", "libx264", "h264"),
        ("v.mov", "libx264", "h264"),
        ("v.mkv", "libx264", "h264"),
        ("v.mkv", "ffv1", "ffv1"),
        ("v.mp4", "libx265", "hevc"),
        ("v.mp4", "mjpeg", "mjpeg"),
        ("v.webm", "libvpx-vp9", "vp9"),
    ],
)
def test_variable_frame_rate_keeps_its_times(tmp_path, name, codec, name_read):
    random = np.random.default_rng(1)
    times = np.arange(60) / 30 + random.uniform(0, 0.02, 60)
    times = np.delete(times, random.choice(np.arange(1, 60), 12, replace=False))
    path = write(tmp_path / name, [gradient()] * len(times), times, codec)
    frames, warnings = read(path)
    np.testing.assert_allclose(times_of(frames), times - times[0], atol=1e-3)
    assert warnings == []
    with open_video(path) as video:
        assert video.codec == name_read
        assert video.expected_frames in (None, len(times))
        assert video.duration_s == pytest.approx(times[-1], abs=0.1)


@pytest.mark.parametrize("codec", ["mjpeg", "libx264", "ffv1"])
def test_avi_times_are_multiples_of_its_period(tmp_path, codec):
    frames, warnings = read(write(tmp_path / "v.avi", [gradient()] * 20, np.arange(20) / 25, codec, fps=25))
    np.testing.assert_allclose(times_of(frames), np.arange(20) / 25, atol=1e-6)
    assert warnings == []


@settings(max_examples=15)
@given(st.lists(st.floats(min_value=0.0011, max_value=3), min_size=1, max_size=30))
def test_any_increasing_times_are_read_back(gaps):
    times = np.cumsum(gaps)
    with tempfile.TemporaryDirectory() as folder:
        frames, warnings = read(write(Path(folder) / "v.mp4", [gradient(32, 32)] * len(times), times))
    np.testing.assert_allclose(times_of(frames), times - times[0], atol=1e-3)
    assert warnings == []


def test_frames_without_increasing_times_are_dropped_with_one_warning(tmp_path):
    # Matroska stores milliseconds, so frames 0.1 ms apart have the same time.
    times = sorted([*np.arange(10) / 30, 0.1001, 0.2001])
    frames, warnings = read(write(tmp_path / "v.mkv", [gradient()] * 12, times, "mjpeg"))
    assert len(frames) == 10
    assert np.all(np.diff(times_of(frames)) > 0)
    assert warnings == ["timestamps: frames not later than the one before, dropped: 2"]


def test_avi_keeps_the_times_of_dropped_frames_free(tmp_path):
    times = np.delete(np.arange(30) / 30, [10, 11, 12, 20])
    frames, warnings = read(write(tmp_path / "v.avi", [gradient()] * 26, times, "mjpeg"))
    np.testing.assert_allclose(times_of(frames), times, atol=1e-6)
    assert warnings == []


@pytest.mark.parametrize(("name", "codec"), [("v.h264", "libx264"), ("v.hevc", "libx265"), ("v.mjpeg", "mjpeg")])
def test_raw_stream_needs_a_stated_rate(tmp_path, name, codec):
    path = write(tmp_path / name, [gradient(128, 96)] * 50, np.arange(50) / 30, codec)
    assert_refused(path, r"raw stream without timestamps; state its frame rate \(fps\)")
    frames, warnings = read(path, fps=12.5)
    np.testing.assert_allclose(times_of(frames), np.arange(50) / 12.5)
    assert warnings == [STATED]


STATED = "timestamps: frame rate of 12.5 Hz as stated, those of the source are not used"


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "libx264"), ("v.mkv", "ffv1"), ("v.h264", "libx264")])
def test_stated_rate_replaces_the_timestamps(tmp_path, name, codec):
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.1, 30))
    path = write(tmp_path / name, noise(30), times, codec, key_interval=10)
    expected, _ = read(path, fps=30)
    frames, warnings = read(path, fps=12.5)
    np.testing.assert_allclose(times_of(frames), np.arange(30) / 12.5)
    np.testing.assert_array_equal([frame.image for frame in frames], [frame.image for frame in expected])
    assert [frame.key for frame in frames] == [frame.key for frame in expected]
    assert warnings == [STATED]
    with open_video(path, fps=12.5) as video:
        assert video.duration_s in (None, 30 / 12.5), "if the number of frames is known"


def test_truncation_is_reported_in_spite_of_a_stated_rate(tmp_path):
    path = write(tmp_path / "v.webm", noise(60), np.arange(60) / 10, "libvpx-vp9")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    _, warnings = read(path)
    assert warnings[0].startswith("truncated")
    assert read(path, fps=12.5)[1] == [STATED, *warnings]


def test_key_times_are_those_of_key_frames(tmp_path):
    scenes = [gradient()] * 45 + [255 - gradient()] * 45  # the scene change at frame 45 must not become a key frame
    arguments = {"key_interval": 30, "options": {"preset": "veryfast"}}
    path = write(tmp_path / "v.mp4", scenes, np.arange(90) / 30, **arguments)
    with open_video(path) as video:
        keys = [frame.time for frame in video if frame.key]
    np.testing.assert_allclose(video.timing.key_times, [0, 1, 2], atol=1e-3)
    assert keys == video.timing.key_times


@pytest.mark.parametrize(("codec", "key_interval"), [("mjpeg", None), ("libx264", 1)])
def test_key_times_are_empty_if_every_frame_is_a_key_frame(tmp_path, codec, key_interval):
    path = write(tmp_path / "v.mp4", noise(10), np.arange(10) / 30, codec, key_interval=key_interval)
    with open_video(path) as video:
        assert all(frame.key for frame in video)
        assert video.timing.key_times == []


def test_anchor_times_are_those_of_i_and_p_frames(tmp_path):
    options = {"preset": "veryfast", "bf": "3", "b_strategy": "0"}
    path = write(tmp_path / "v.mp4", [gradient()] * 41, np.arange(41) / 15, options=options)
    with open_video(path) as video:
        anchors = [frame.time for frame in video if frame.anchor]
    np.testing.assert_allclose(video.timing.anchor_times, np.arange(0, 41, 4) / 15, atol=1e-3)
    assert anchors == video.timing.anchor_times


@pytest.mark.parametrize(("codec", "options"), [("mjpeg", {}), ("libx264", {"bf": "0"}), ("libvpx-vp9", {})])
def test_anchor_times_are_empty_without_b_frames(tmp_path, codec, options):
    path = write(tmp_path / "v.mkv", noise(10), np.arange(10) / 30, codec, options=options)
    with open_video(path) as video:
        assert all(frame.anchor for frame in video)
        assert video.timing.anchor_times == []


# --- pixels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "colour", [(200, 120, 90), (90, 60, 45), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]
)
@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("v.mp4", "libx264", "yuv420p"),
        ("v.mp4", "libx264", "yuv444p"),
        ("v.mp4", "libx264", "yuv420p10le"),
        ("v.avi", "mjpeg", "yuvj420p"),
        ("v.avi", "ffv1", "yuv420p"),
        ("v.mkv", "ffv1", "bgr0"),
        ("v.mkv", "ffv1", "yuva420p"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
        ("v.mp4", "mpeg4", "yuv420p"),
    ],
)
def test_colours_are_read_back(tmp_path, name, codec, pixel_format, colour):
    image = np.full((48, 64, 3), colour, np.uint8)
    frames, _ = read(write(tmp_path / name, [image] * 2, [0, 1 / 30], codec, pixel_format=pixel_format))
    np.testing.assert_allclose(frames[-1].image.astype(int), image, atol=4)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("v.mp4", "libx264", "yuv444p"),
        ("v.mp4", "libx265", "yuv420p10le"),
        ("v.avi", "mjpeg", "yuvj420p"),
        ("v.mkv", "ffv1", "yuv420p"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_odd_frame_sizes_are_read_back(tmp_path, name, codec, pixel_format):
    image = gradient(321, 241) if codec != "libx265" else gradient(322, 242)
    frames, warnings = read(write(tmp_path / name, [image] * 3, np.arange(3) / 30, codec, pixel_format=pixel_format))
    assert frames[-1].image.shape == image.shape
    assert np.abs(frames[-1].image.astype(int) - image).mean() < 2
    assert warnings == []


def test_greyscale_is_read_as_rgb(tmp_path):
    image = np.repeat(gradient()[..., :1], 3, axis=2)
    frames, _ = read(write(tmp_path / "v.mp4", [image] * 3, np.arange(3) / 30, pixel_format="gray"))
    assert np.abs(frames[-1].image.astype(int) - image).mean() < 2


@pytest.mark.parametrize("rotation", [90, 180, 270, -90])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_rotated_frames_are_upright(tmp_path, name, rotation):
    upright = gradient()
    stored = np.rot90(upright, -(rotation // 90))
    path = write(tmp_path / name, [stored] * 3, np.arange(3) / 30, rotation=rotation)
    frames, _ = read(path)
    assert np.abs(frames[-1].image.astype(int) - upright).mean() < 2
    _, reference = cv2.VideoCapture(str(path)).read()  # OpenCV rotates as well, which checks the sign
    assert np.abs(reference[..., ::-1].astype(int) - upright).mean() < 3


@pytest.mark.slow
def test_4k_is_scaled_down(tmp_path):
    image = gradient(3840, 2160)
    path = write(tmp_path / "v.mp4", [image] * 3, np.arange(3) / 30)
    frames, _ = read(path)
    assert frames[-1].image.shape == (720, 1280, 3)
    assert np.abs(frames[-1].image.astype(int) - gradient(1280, 720)).mean() < 2
    frames, _ = read(path, max_side=4000)
    assert frames[-1].image.shape == image.shape


def test_rotated_4k_is_scaled_down(tmp_path):
    upright = gradient(720, 1280)
    path = write(tmp_path / "v.mp4", [np.rot90(upright)] * 2, [0, 0.1], rotation=-90)
    frames, _ = read(path, max_side=320)
    assert frames[-1].image.shape == (320, 180, 3)
    assert np.abs(frames[-1].image.astype(int) - gradient(180, 320)).mean() < 2


def test_frames_keep_the_size_of_the_first_if_the_resolution_changes(tmp_path):
    streams = [write(tmp_path / f"{w}.h264", [gradient(w, h)] * 5, np.arange(5) / 30) for w, h in [(64, 48), (96, 80)]]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(stream.read_bytes() for stream in streams))
    frames, _ = read(path, fps=30)
    assert len(frames) == 10
    assert np.abs(frames[-1].image.astype(int) - gradient()).mean() < 4


def test_reader_holds_no_frames(tmp_path):
    path = write(tmp_path / "v.mp4", [gradient()] * 200, np.arange(200) / 30)
    images: list[weakref.ref[np.ndarray]] = []
    most = 0
    with open_video(path) as video:
        for frame in video:
            images.append(weakref.ref(frame.image))
            most = max(most, sum(image() is not None for image in images))
    assert len(images) == 200
    assert most <= 3


def test_closing_early_ends_the_iteration(tmp_path):
    path = write(tmp_path / "v.mp4", [gradient()] * 20, np.arange(20) / 30)
    with open_video(path) as video:
        first = next(iter(video))
    assert list(video) == []
    assert first.image.mean() > 0
    unused = open_video(path)
    unused.close()
    assert list(unused) == []


@pytest.mark.parametrize("name", ["mein gesicht äöü 脸.mp4", "12:30 %d.mp4", "http:face.mp4"])
def test_unusual_file_names(tmp_path, name):
    frames, warnings = read(write(tmp_path / name, [gradient()] * 5, np.arange(5) / 30))
    assert len(frames) == 5
    assert warnings == []


def test_photograph_is_one_frame(tmp_path):
    path = tmp_path / "face.jpg"
    cv2.imwrite(str(path), gradient()[..., ::-1])
    frames, _ = read(path)
    assert len(frames) == 1
    assert np.abs(frames[0].image.astype(int) - gradient()).mean() < 3


def test_tag_that_is_not_utf8_is_tolerated(tmp_path):
    path = write(tmp_path / "v.mp4", [gradient()] * 5, np.arange(5) / 30)
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"\xff\xfe\xff\xfe"))
    assert len(read(path)[0]) == 5


# --- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "warning"),
    [
        ("v.mp4", "libx264", r"truncated: \d+ of 120 frames could be decoded"),
        ("v.mp4", "mjpeg", r"truncated: \d+ of 120 frames could be decoded"),
        ("v.avi", "mjpeg", r"truncated: \d+ of 120 frames could be decoded"),
        ("v.mkv", "libx264", r"truncated: \d\.\d of 4\.0 s could be decoded"),
    ],
)
def test_truncated_file_gives_its_decodable_frames_and_a_warning(tmp_path, name, codec, warning):
    index_first = {"movflags": "faststart"} if name.endswith("mp4") else None
    path = write(tmp_path / name, noise(120), np.arange(120) / 30, codec, container_options=index_first)
    assert read(path)[1] == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 57 // 100])
    frames, warnings = read(path)
    assert 55 <= len(frames) <= 72
    assert re.fullmatch(warning, warnings[0])
    if "frames" in warning:
        assert f" {len(frames)} of " in warnings[0]


def test_file_without_its_index_is_refused(tmp_path):
    path = write(tmp_path / "v.mp4", noise(30), np.arange(30) / 30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(VideoError, match=r"index \(moov\) is missing"):
        open_video(path)


def test_damaged_packets_are_skipped_and_counted(tmp_path):
    path = write(tmp_path / "v.mp4", noise(40), np.arange(40) / 30, "mjpeg")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for index in (10, 11, 25):
        position, size = places[index]
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    frames, warnings = read(path)
    expected = np.delete(np.arange(40), [10, 11, 25]) / 30
    np.testing.assert_allclose(times_of(frames), expected, atol=1e-3)
    assert warnings == ["damaged: frames that could not be decoded, skipped: 3"]


def test_damaged_frame_does_not_shift_later_ones_on_a_stated_rate(tmp_path):
    path = write(tmp_path / "v.mp4", noise(20), np.arange(20) / 25, "mjpeg")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = places[7]
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    frames, warnings = read(path, fps=12.5)
    times = times_of(frames)
    # The decoder is a few frames ahead when it finds the damage.
    np.testing.assert_allclose([*times[:3], *times[7:]], np.array([0, 1, 2, *range(8, 20)]) / 12.5)
    assert warnings == [STATED, "damaged: frames that could not be decoded, skipped: 1"]


def test_half_decoded_frames_are_skipped_and_counted(tmp_path):
    path = write(tmp_path / "v.mp4", noise(40), np.arange(40) / 30)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = places[20]
    data[position + size // 2 : position + size] = bytes(size - size // 2)
    path.write_bytes(data)
    frames, warnings = read(path)
    np.testing.assert_allclose(times_of(frames), np.delete(np.arange(40), 20) / 30, atol=1e-3)
    assert warnings == ["damaged: frames that could not be decoded, skipped: 1"]


def test_file_without_decodable_frames_is_refused(tmp_path):
    path = write(
        tmp_path / "v.mp4", noise(10), np.arange(10) / 30, "mjpeg", container_options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises(VideoError, match="no frame could be decoded"):
        open_video(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"this is not a video\n" * 50, "not a video"),
        ("notes.txt", b"this is not a video\n" * 50, "no video stream"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "give a video|cannot be read"),
        ("zeros.mp4", bytes(5000), "not a video"),
        ("head.mp4", b"\0\0\0\x10ftypisom\0\0\0\0", "index"),
    ],
)
def test_files_other_than_videos_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    assert_refused(path, message)


def test_sound_file_is_refused(tmp_path):
    path = tmp_path / "voice.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    assert_refused(path, "no video stream")


def test_sound_file_with_cover_art_is_refused(tmp_path):
    cover_image = cv2.imencode(".png", gradient())[1].tobytes()
    cover = struct.pack(">II9sIIIIII", 3, 9, b"image/png", 0, 64, 48, 24, 0, len(cover_image)) + cover_image
    info = struct.pack(">HH6xQ16x", 4096, 4096, 44100 << 44 | 15 << 36)
    blocks = [b"fLaC", struct.pack(">I", len(info)), info, struct.pack(">I", 0x86000000 | len(cover)), cover]
    path = tmp_path / "song.flac"
    path.write_bytes(b"".join(blocks))
    with av.open(str(path)) as container:
        assert container.streams.video  # FFmpeg lists the cover as a video stream
    assert_refused(path, "no video stream")


def test_missing_files_pipes_and_devices_are_refused(tmp_path):
    assert_refused(tmp_path / "nothing.mp4", "no such file")
    assert_refused(tmp_path / ("a" * 300), "cannot be read")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert_refused(tmp_path / "pipe.mp4", "pipe")
    assert_refused(Path(os.devnull), "device")


def test_missing_permissions_are_named():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)  # not tmp_path, which other users may not even enter
        locked = write(folder / "v.mp4", [gradient()], [0])
        locked.chmod(0)
        images = folder / "images"
        images.mkdir(mode=0)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root may read everything
        try:
            assert_refused(locked, "no permission")
            assert_refused(images, "no permission")
            with pytest.raises(UsageError, match="cannot be written"), VideoWriter(folder / "w.mp4", 64, 48) as writer:
                writer.write(gradient(), 0)
        finally:
            os.seteuid(user)
            images.chmod(0o700)
            folder.chmod(0o700)


def assert_refused(path: Path, message: str) -> None:
    with pytest.raises(VideoError, match=message) as caught:
        open_video(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- directories of images -----------------------------------------------------------------------------------------


def save(folder: Path, names: list[str], image: np.ndarray | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), (gradient() if image is None else image)[..., ::-1])
    return folder


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("Image{:d}.png", 10**9),
        ("cam2_{:d}.bmp", 10**6),
        ("{:d}.PNG", 10**3),
        ("frame_{:.3f}.png", None),
    ],
)
def test_times_are_read_from_names_in_any_unit(tmp_path, pattern, unit):
    # From 9.9 s on, so that alphabetical order would be wrong.
    times = 9.9 + np.round(np.arange(20) / 30, 3)
    names = [
        pattern.format(time if unit is None else 1_700_000_000 * unit + round(time * unit)) for time in times.tolist()
    ]
    with open_video(save(tmp_path, names)) as video:
        frames = list(video)
    np.testing.assert_allclose(times_of(frames), times - times[0], atol=1e-9)
    np.testing.assert_array_equal(frames[0].image, gradient())
    assert (video.codec, video.expected_frames, video.timing.key_times, video.warnings) == ("images", 20, [], [])
    assert video.duration_s == pytest.approx(times[-1] - times[0])


def test_nanoseconds_of_the_epoch_keep_their_precision(tmp_path):
    start, step = 1392643993642815000, 33_333_333
    folder = tmp_path / "01-01"
    save(folder / "01-01", [f"Image{start + i * step}.png" for i in range(5)])  # nested as in PURE
    frames, _ = read(folder)
    np.testing.assert_allclose(times_of(frames), np.arange(5) * step * 1e-9, rtol=0, atol=1e-12)


def test_unreadable_images_and_those_of_another_size_are_skipped(tmp_path):
    names = [f"{1_700_000_000_000 + i * 33}.png" for i in range(10)]
    save(tmp_path, names)
    (tmp_path / names[3]).write_bytes(b"not an image")
    (tmp_path / names[4]).write_bytes(b"")
    save(tmp_path, [names[7]], gradient(32, 32))
    (tmp_path / "._0.png").write_bytes(b"left by another system")
    (tmp_path / "data.json").write_text("{}")
    frames, warnings = read(tmp_path)
    np.testing.assert_allclose(times_of(frames), np.delete(np.arange(10), [3, 4, 7]) * 0.033)
    assert warnings == [
        "damaged: images that could not be read, skipped: 2",
        "images of another size than the first, skipped: 1",
    ]


def test_stated_rate_orders_images_by_number_and_keeps_the_place_of_unreadable_ones(tmp_path):
    for number in range(12):
        save(tmp_path, [f"take2_{number}.png"], np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "take2_3.png").write_bytes(b"not an image")
    frames, warnings = read(tmp_path, fps=12.5)
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11], "2 is before 10"
    np.testing.assert_allclose(times_of(frames), np.delete(np.arange(12), 3) / 12.5)
    assert warnings == [STATED, "damaged: images that could not be read, skipped: 1"]


def test_images_are_scaled_down(tmp_path):
    frames, _ = read(save(tmp_path, ["1700000000000.jpg", "1700000000040.jpg"], gradient(640, 480)), max_side=320)
    assert frames[0].image.shape == (240, 320, 3)
    assert np.abs(frames[0].image.astype(int) - gradient(320, 240)).mean() < 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "without images"),
        (["0001.png", "0002.png", "0003.png"], "are not times; name each by its time"),
        (["shot.0001.png", "shot.0002.png"], "are not times"),
        (["left.png", "right.png"], "without a number or a time in their names; name each"),
    ],
)
def test_directories_without_timed_images_are_refused(tmp_path, names, message):
    assert_refused(save(tmp_path, names), message)


def test_directory_with_unreadable_images_only_is_refused(tmp_path):
    (tmp_path / "1700000000000.png").write_bytes(b"no")
    (tmp_path / "1700000000033.png").write_bytes(b"no")
    assert_refused(tmp_path, "no frame could be decoded")
