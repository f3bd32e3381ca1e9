"""Images of a directory, with the times in their names."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse._types import Image
from facepulse.errors import VideoError
from facepulse.video.depth import Depth
from facepulse.video.image_names import NotTimesError, number_order, times_in_names

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
SAMPLES = 8  # images that show the depth of the others
NAMING = (
    "name each by its time, as Image1392643993642815000.png (nanoseconds since 1970), frame_12.345.png (seconds) or "
    "2026-11-29_12-30-52.300.png, or state their frame rate (fps)"
)


@dataclass(frozen=True)
class TimedImages:
    """Images of a directory in order of time.

    Attributes:
        paths: of the files.
        times: seconds from the first image, one per file.
    """

    paths: list[Path]
    times: list[float]


def find_images(folder: Path, fps: float | None = None) -> TimedImages:
    """Find the images of a directory and their times, in order of time.

    Args:
        folder: contains the images, or a directory of the same name that contains them (as in PURE).
        fps: frame rate in Hz, which replaces the times in the names; names without times are sorted by their numbers.

    Raises:
        VideoError: there are no images, or their names have no numbers or no times.
    """
    images = _images_in(folder) or _images_in(folder / folder.name)
    if not images:
        raise VideoError(
            f"{folder}: a directory without images (png, jpg, ...){_other_files(folder)}; give a directory of images "
            "or a video file"
        )
    if not all(re.search(r"\d", path.stem) for path in images):
        raise VideoError(f"{folder}: images without a number or a time in their names; {NAMING}")
    images = [images[index] for index in number_order([path.stem for path in images])]
    try:
        stamped = sorted(zip(times_in_names([path.stem for path in images]), images, strict=True), key=lambda s: s[0])
    except NotTimesError as error:
        if fps is None:
            raise VideoError(f"{folder}: {error}; {NAMING}") from None
        return TimedImages(images, [index / fps for index in range(len(images))])
    paths = [path for _, path in stamped]
    if fps is not None:
        return TimedImages(paths, [index / fps for index in range(len(paths))])
    start, _ = stamped[0]
    return TimedImages(paths, [float(time - start) for time, _ in stamped])


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # Hidden files are left out: on disks of other systems, macOS writes a ._ file beside each image.
    return [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]


def _other_files(folder: Path) -> str:
    suffixes = Counter(path.suffix for path in folder.iterdir() if path.is_file() and path.suffix)
    return "".join(f", most of its files are {suffix}" for suffix, _ in suffixes.most_common(1))


def read_images(paths: Sequence[Path]) -> Iterator[Image | None]:
    """Read image files as uint8 (H, W, 3), RGB; None stands for one that cannot be read.

    Images of 16 bits are converted by the depth of some of them, from the first to the last.

    Raises:
        VideoError: the values of an image are neither 8 nor 16 bits.
    """
    depth = _depth(paths)
    for path in paths:
        image = read_image(path)
        if image is not None and image.dtype == np.uint16:
            depth.add(image)
            image = depth.to_8_bits(image)
        if image is not None and image.dtype != np.uint8:
            raise VideoError(f"{path}: its values are of the type {image.dtype}; save images of 8 or 16 bits, as PNG")
        yield image


def _depth(paths: Sequence[Path]) -> Depth:
    depth = Depth()
    # If the first image has 8 bits, the others have as well.
    for index in np.unique(np.linspace(0, len(paths) - 1, SAMPLES, dtype=int)):
        sample = read_image(paths[index])
        if sample is None or sample.dtype != np.uint16:
            break
        depth.add(sample)
    return depth


def read_image(path: Path) -> NDArray[Any] | None:
    """Read an image file as RGB (H, W, 3) of the type in which it is stored; return None if it cannot be read."""
    try:
        # Not imread: on Windows it cannot open names beyond ASCII.
        bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except (OSError, cv2.error):
        return None
    if bgr is None or bgr.dtype not in (np.uint8, np.uint16):
        return bgr
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
