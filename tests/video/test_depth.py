"""Images of 16 bits of which a camera uses only the lower ones keep their 8 most significant bits."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facepulse.errors import VideoError
from facepulse.video.depth import Depth, has_16_bits
from facepulse.video.reader import open_video
from small_videos import gradient


def filled(bits: int) -> np.ndarray:
    """The gradient as uint16 values of some number of bits."""
    return gradient().astype(np.uint16) << (bits - 8)


def raw_video(path: Path, pixel_format: str, images: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=30)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixel_format
        for number, image in enumerate(images):
            packet = av.Packet(image.tobytes())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            container.mux(packet)
    return path


def write_images(folder: Path, images: list[np.ndarray], suffix: str) -> Path:
    for number, image in enumerate(images):
        content = cv2.imencode(suffix, image[..., ::-1])[1].tobytes()
        (folder / f"{number / 2}{suffix}").write_bytes(content)
    return folder


def read(path: Path) -> tuple[list[np.ndarray], list[str]]:
    with open_video(path) as video:
        return [frame.image for frame in video], video.warnings


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".nut"])
def test_lower_bits_are_those_that_are_kept(tmp_path, bits, suffix):
    images = [filled(bits)] * 10
    path = (
        raw_video(tmp_path / "v.nut", "rgb48le", images) if suffix == ".nut" else write_images(tmp_path, images, suffix)
    )
    found, warnings = read(path)
    for image in found:
        np.testing.assert_allclose(image, gradient(), atol=1)
    assert (len(found), warnings) == (10, [])


@pytest.mark.parametrize("pixel_format", ["gray16le", "bayer_rggb16le"])
def test_raw_frames_of_12_bits_use_the_whole_range(tmp_path, pixel_format):
    images = [filled(12)[..., 1]] * 3
    found, _ = read(raw_video(tmp_path / "v.nut", pixel_format, images))
    assert np.abs(found[0][..., 1].astype(int) - gradient()[..., 1]).mean() < 2


def test_dark_beginning_of_a_directory_has_the_scale_of_all(tmp_path):
    found, _ = read(
        write_images(tmp_path, [np.zeros_like(filled(12))] + [filled(12) // 20] * 20 + [filled(12)] * 20, ".png")
    )
    np.testing.assert_array_equal(found[-1], gradient())
    assert found[1].max() < 255 // 16


def test_later_frames_of_more_bits_are_not_clipped_and_reported(tmp_path):
    found, warnings = read(raw_video(tmp_path / "v.nut", "rgb48le", [filled(12) // 20] * 3 + [filled(12)] * 3))
    np.testing.assert_allclose(found[-1], gradient(), atol=1)
    assert warnings == ["depth: later frames have values of more bits than the first, which are too bright beside them"]


def test_black_images_have_no_depth():
    depth = Depth()
    assert not depth.add(np.zeros((2, 2, 3), np.uint16))
    assert depth.to_8_bits(np.zeros((2, 2, 3), np.uint16)).dtype == np.uint8
    assert not depth.add(filled(12))
    assert depth.bits == 12


def test_formats_that_state_their_depth_are_left_to_the_decoder():
    assert not any(
        map(has_16_bits, ["rgb24", "yuv420p10le", "gray10le", "gray12le", "gbrp12le", "p016le", "rgbaf16le"])
    )


def test_images_of_other_values_are_refused_in_one_line(tmp_path):
    folder = write_images(tmp_path, [gradient().astype(np.float32) / 255] * 3, ".tif")
    with pytest.raises(VideoError, match=r"0\.tif: its values are of the type float32; save images of 8 or 16 bits"):
        read(folder)
