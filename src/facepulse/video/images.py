"""Images of a directory, with the times in their names."""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facepulse._types import Image
from facepulse.errors import VideoError
from facepulse.video.image_names import NotTimesError, number_order, times_in_names

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
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
            f"{folder}: a directory without images (png, jpg, ...); give a directory of images or a video file"
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


def read_rgb(path: Path) -> Image | None:
    """Read an image file as uint8 (H, W, 3), RGB; return None if it cannot be read."""
    try:
        # Not imread: on Windows it cannot open names beyond ASCII.
        bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
