"""Images of a directory, with the times in their names."""

import itertools
import re
import statistics
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np

from facepulse._types import Image
from facepulse.errors import VideoError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
NAMING = "name each by its time, as Image1392643993642815000.png (nanoseconds) or frame_12.345.png (seconds)"


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
    """Find the images of a directory, in order of the last number in each name, and their times.

    Args:
        folder: contains the images, or a directory of the same name that contains them (as in PURE).
        fps: frame rate in Hz; None if the numbers are times.

    Raises:
        VideoError: there are no images, or their names have no numbers or no times.
    """
    images = _images_in(folder) or _images_in(folder / folder.name)
    if not images:
        raise VideoError(
            f"{folder}: a directory without images (png, jpg, ...); give a directory of images or a video file"
        )
    found = [re.findall(r"\d+(?:\.\d+)?", path.stem)[-1:] for path in images]
    if not all(found):
        raise VideoError(f"{folder}: images without a number or a time in their names; {NAMING}")
    stamped = sorted((Decimal(number), path) for (number,), path in zip(found, images, strict=True))
    paths = [path for _, path in stamped]
    if fps is not None:
        return TimedImages(paths, [index / fps for index in range(len(paths))])
    has_point = any("." in number for (number,) in found)
    return TimedImages(paths, _times(folder, [stamp for stamp, _ in stamped], has_point))


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


def _times(folder: Path, stamps: list[Decimal], has_point: bool) -> list[float]:
    # The unit is the one in which the median spacing lies strictly between 1 ms and 1 s. Consecutive numbers (0001.png)
    # fit no unit: a spacing of 1 is 1 ms in milliseconds and 1 s in seconds.
    if len(stamps) == 1:
        return [0.0]
    spacing = statistics.median(later - earlier for earlier, later in itertools.pairwise(stamps))
    powers = [0] if has_point else [9, 6, 3]
    unit = next((unit for p in powers if Decimal("0.001") < spacing * (unit := Decimal(10) ** -p) < 1), None)
    if unit is None:
        raise VideoError(
            f"{folder}: the numbers in the names of the images are not times; {NAMING}, or state their frame rate"
        )
    return [float((stamp - stamps[0]) * unit) for stamp in stamps]
