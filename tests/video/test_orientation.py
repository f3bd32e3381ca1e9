"""Frames are upright for each of the eight orientations, wherever a file states it."""

import itertools
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

import facepulse
from facepulse.video.orientation import nearest_orientation
from facepulse.video.reader import open_video
from small_videos import gradient, write

# Parts (a, b, c, d) of the display matrix, and the upright image from the stored one.
EIGHT = {
    (1, 0, 0, 1): lambda stored: stored,
    (0, 1, -1, 0): lambda stored: np.rot90(stored, -1),
    (-1, 0, 0, -1): lambda stored: np.rot90(stored, 2),
    (0, -1, 1, 0): lambda stored: np.rot90(stored),
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (0, 1, 1, 0): lambda stored: stored.swapaxes(0, 1),
    (0, -1, -1, 0): lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
}
INVALID = ["orientation: the display matrix of the file is invalid, frames are left as stored"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("stored") / "v.mp4", [gradient()] * 3, np.arange(3) / 30)


def with_matrix(path: Path, source: Path, matrix: tuple[float, ...]) -> Path:
    """Copy an MP4 with another matrix in its track header (ISO/IEC 14496-12, 8.3.2, version 0)."""
    content = bytearray(source.read_bytes())
    a, b, c, d = (round(65536 * part) for part in matrix)
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def first_image(path: Path) -> tuple[np.ndarray, list[str]]:
    with open_video(path) as video:
        image = next(iter(video)).image
    assert image.flags.c_contiguous
    assert image.shape == (video.height, video.width, 3)
    return image, video.warnings


@pytest.mark.parametrize("matrix", EIGHT)
def test_matrix_of_an_mp4_is_applied(tmp_path, stored, matrix):
    plain, _ = first_image(stored)
    image, warnings = first_image(with_matrix(tmp_path / "v.mp4", stored, matrix))
    np.testing.assert_array_equal(image, EIGHT[matrix](plain))
    assert warnings == []


@pytest.mark.parametrize("name", ["v.mkv", "v.webm", "v.mov"])
@pytest.mark.parametrize(("across", "down"), [(True, False), (False, True)])
def test_reflections_in_other_containers_are_applied(tmp_path, name, across, down):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9" if name == "v.webm" else "libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90, hflip=across, vflip=down)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient())))
        container.mux(stream.encode())
    turned = np.rot90(gradient())
    image, _ = first_image(path)
    expected = np.fliplr(turned) if across else np.flipud(turned)
    assert np.abs(image.astype(int) - expected).mean() < 12


def test_orientation_in_the_h264_stream_is_applied(tmp_path, stored):
    path = tmp_path / "v.mp4"
    with av.open(str(stored)) as source, av.open(str(path), "w") as container:
        read, written = source.streams.video[0], container.add_stream_from_template(source.streams.video[0])
        message = BitStreamFilterContext("h264_metadata=display_orientation=insert:flip=horizontal", read, written)
        for packet in itertools.chain.from_iterable(map(message.filter, source.demux(read))):
            packet.stream = written
            container.mux(packet)
    np.testing.assert_array_equal(first_image(path)[0], np.fliplr(first_image(stored)[0]))


@pytest.mark.parametrize(
    ("matrix", "nearest"),
    [
        ((2, 0, 0, 3), (1, 0, 0, 1)),
        ((-0.5, 0, 0, 0.5), (-1, 0, 0, 1)),
        ((0.1, 3, -2, 0.1), (0, 1, -1, 0)),
        ((0.79, 0.61, -0.61, 0.79), (1, 0, 0, 1)),
        ((0.61, 0.79, 0.79, -0.61), (0, 1, 1, 0)),
        ((0.7071, 0.7071, -0.7071, 0.7071), (1, 0, 0, 1)),
    ],
)
def test_matrix_between_the_eight_is_taken_as_the_nearest(tmp_path, stored, matrix, nearest):
    image, warnings = first_image(with_matrix(tmp_path / "v.mp4", stored, matrix))
    np.testing.assert_array_equal(image, EIGHT[nearest](first_image(stored)[0]))
    assert warnings == []


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 0)])
def test_singular_matrix_leaves_frames_as_stored_with_a_warning(tmp_path, stored, matrix):
    image, warnings = first_image(with_matrix(tmp_path / "v.mp4", stored, matrix))
    np.testing.assert_array_equal(image, first_image(stored)[0])
    assert warnings == INVALID


def test_turns_are_the_nearest_quarter():
    for degrees in range(360):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        orientation = nearest_orientation(*(round(65536 * part) for part in (cosine, -sine, sine, cosine)))
        assert orientation is not None
        if degrees % 90 != 45:
            np.testing.assert_array_equal(orientation.upright(gradient()), np.rot90(gradient(), round(degrees / 90)))


def exif_jpeg(orientation: int) -> bytes:
    jpeg = cv2.imencode(".jpg", gradient()[..., ::-1])[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HHI", orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


# The orientations 1 to 8 of EXIF as display matrices.
EXIF = [(1, 0, 0, 1), (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)]
EXIF += [(0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)]


@pytest.mark.parametrize(("orientation", "matrix"), list(enumerate(EXIF, start=1)))
def test_exif_of_images_in_a_directory_is_applied(tmp_path, orientation, matrix):
    for time in ("0.0", "0.6", "1.2"):
        (tmp_path / f"{time}.jpg").write_bytes(exif_jpeg(orientation))
    image, _ = first_image(tmp_path)
    assert np.abs(image.astype(int) - EIGHT[matrix](gradient())).mean() < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_turns_motion_jpeg(tmp_path, orientation):
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        packet = av.Packet(exif_jpeg(orientation))
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        container.mux(packet)
    image, _ = first_image(path)
    assert np.abs(image.astype(int) - EIGHT[EXIF[orientation - 1]](gradient())).mean() < 3


@pytest.mark.slow
@pytest.mark.parametrize(("matrix", "mirror"), [((-1, 0, 0, 1), np.fliplr), ((1, 0, 0, -1), np.flipud)])
def test_mirrored_face_is_measured(face_video, tmp_path, matrix, mirror):
    with open_video(face_video(72.0, 20.0)) as video:
        frames = list(video)
    stored = [np.ascontiguousarray(mirror(frame.image)) for frame in frames]
    selfie = write(tmp_path / "stored.mp4", stored, [frame.time for frame in frames])
    result = facepulse.measure(with_matrix(tmp_path / "selfie.mp4", selfie, matrix), method="POS")
    assert result.bpm == pytest.approx(72.0, abs=1.0)
    assert np.abs(result.image.astype(int) - frames[0].image).mean() < 3
    x, y, width, height = result.box
    assert abs(x + width / 2 - 160) < 20
    assert abs(y + height / 2 - 125) < 30
