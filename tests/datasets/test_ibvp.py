"""iBVP: a row of the reference per image, including samples of bad quality."""

from pathlib import Path

import numpy as np
import pytest

from dataset_writers import find, images, pulse, read, times_of, write_ibvp
from facepulse.datasets import DatasetError


def test_frames_and_reference_are_those_written_including_bad_samples(tmp_path: Path) -> None:
    write_ibvp(tmp_path)
    [recording] = find("ibvp", tmp_path)
    frames, labels, _ = read(recording)
    assert (recording.name, recording.subject) == ("p01_a", "p01")
    np.testing.assert_array_equal([frame.image for frame in frames], images(60))
    np.testing.assert_allclose(times_of(frames), np.arange(60) / 30)
    np.testing.assert_array_equal(labels.ppg.times, np.arange(60) / 30)
    np.testing.assert_allclose(labels.ppg.values, pulse(labels.ppg.times), atol=1e-6)
    assert labels.attributes == {"task": "slow breathing"}
    assert labels.notes == ("ppg: samples of bad quality (SQ2 up to 0.3), kept: 25%",)


def test_unreadable_image_leaves_a_gap_and_missing_image_is_noted(tmp_path: Path) -> None:
    folder = write_ibvp(tmp_path)
    (folder / "p01_a_rgb" / "10.bmp").write_bytes(b"BM")
    frames, _, warnings = read(find("ibvp", tmp_path)[0])
    np.testing.assert_allclose(times_of(frames), np.delete(np.arange(60), 10) / 30)
    assert warnings == ["damaged: images that could not be read, skipped: 1"]
    (folder / "p01_a_rgb" / "59.bmp").unlink()
    assert (
        "ppg: 60 samples for 59 frames, assumed to have the same duration"
        in find("ibvp", tmp_path)[0].read_labels().notes
    )


def test_missing_images_or_malformed_reference_is_an_error_in_one_line(tmp_path: Path) -> None:
    folder = write_ibvp(tmp_path)
    [recording] = find("ibvp", tmp_path)
    (folder / "p01_a_bvp.csv").write_text("BVP\n1\n")
    with pytest.raises(DatasetError, match=r"p01_a_bvp\.csv: expected a header and rows of BVP") as error:
        recording.read_labels()
    assert "\n" not in str(error.value)
    for image in (folder / "p01_a_rgb").iterdir():
        image.unlink()
    with pytest.raises(DatasetError, match=r"p01_a_rgb: contains no image; expected \.bmp"):
        recording.open_frames()
