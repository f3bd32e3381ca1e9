"""Images of a directory: times and order of the files, and one clear line if their names have no times."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from facepulse.errors import VideoError
from facepulse.video.images import find_images


def touch(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_times_of_pure_are_those_of_the_nanoseconds(tmp_path: Path) -> None:
    stamps = 1392643993642815000 + np.cumsum(np.random.default_rng(0).integers(20_000_000, 50_000_000, 100))
    found = find_images(touch(tmp_path, [f"Image{stamp}.png" for stamp in stamps[::-1]]))
    assert found.times == [float(Decimal(int(stamp - stamps[0])) * Decimal("1e-9")) for stamp in stamps]
    assert [path.name for path in found.paths] == [f"Image{stamp}.png" for stamp in stamps]


def test_stated_rate_keeps_the_order_of_times_and_of_counts(tmp_path: Path) -> None:
    names = [f"12-30-{59 + i / 10:.1f}.png" if i < 10 else f"12-31-{i / 10 - 1:04.1f}.png" for i in range(20)]
    found = find_images(touch(tmp_path, names), fps=20)
    assert [path.name for path in found.paths] == names
    assert found.times == [i / 20 for i in range(20)]
    (tmp_path / names[0]).rename(tmp_path / "7.png")  # of another pattern
    found = find_images(tmp_path, fps=20)
    assert [path.name for path in found.paths] == ["7.png", *names[1:]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001", "0002"], "the numbers in the names of the images are not times"),
        (["frame_9999999999999999999999.9", "frame_9999999999999999999999.95"], "are not times"),
        (["1700000000000", "1700000000033_left"], r"several patterns \(1700000000000 and 1700000000033_left\)"),
        (["left", "right"], "images without a number or a time in their names"),
    ],
)
def test_other_names_are_refused_with_an_example_and_the_way_out(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(VideoError, match=message) as caught:
        find_images(touch(tmp_path, [f"{name}.png" for name in names]))
    line = str(caught.value)
    assert line.startswith(f"{tmp_path}: ")
    assert line.endswith(
        "; name each by its time, as Image1392643993642815000.png (nanoseconds since 1970), frame_12.345.png (seconds) "
        "or 2026-11-29_12-30-52.300.png, or state their frame rate (fps)"
    )


def test_directory_of_other_files_names_their_kind(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"without images \(png, jpg, ...\), most of its files are \.jp2; give"):
        find_images(touch(tmp_path, ["1.jp2", "2.jp2", "notes.txt"]))
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match=r"without images \(png, jpg, ...\); give"):
        find_images(empty)
