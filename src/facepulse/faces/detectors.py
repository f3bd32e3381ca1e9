"""Face detectors for single images: a Haar cascade, the network RFB-320, and a combination of the two.

A detector is called with an RGB image, uint8 (H, W, 3), and returns its detections, best first: square boxes in the
geometry of the Haar cascade (brows to chin, ear to ear) and scores in 0..1, none below the threshold of the detector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import cv2
import cv2.data
import numpy as np
from cv2.typing import MatLike

from facepulse._types import Image
from facepulse.errors import FacepulseError, UsageError, one_line, shown
from facepulse.faces.tracking import Box, Detection, Detector

# Level weight that maps to a score of 0.5. Of 288 faces pasted into photographs (upright, tilted by 15 degrees, dimmed
# to 12 %, in heavy noise), 96 % have a larger weight; of 249 images without a face (textures, photographs, noise,
# clouds), 1 % have a detection with a larger weight.
HAAR_EVEN_WEIGHT = 2.0
HAAR_MIN_SCORE = 0.5

# RFB-320 detects a face with a score of 0.99 in the highlight of a spoon (and one in 3 % of those 249 images), but real
# faces, even dimmed to 12 % or tilted by 30 degrees, score above this threshold, too.
RFB_MIN_SCORE = 0.95
RFB_WIDTH, RFB_HEIGHT = 320, 240

# Boxes of RFB-320 are as tall as the head. The side of the Haar square around the same face is this multiple of the
# square root of their area (standard deviation 7 %), and its centre lies at this fraction of their height (3 %);
# medians of 120 pairs of boxes on six faces.
RFB_SIDE = 1.04
RFB_CENTRE = 0.476

MAX_OVERLAP = 0.3  # intersection over union above which two boxes show the same face
MAX_GAIN = 20.0  # of `brighten`


class HaarDetector:
    """Boosted cascade of Haar features (Viola and Jones, CVPR 2001), as trained by Lienhart, from OpenCV.

    Candidates are ranked by the margin with which they pass the last stage (level weight in OpenCV); the usual choice,
    the largest box, jumps to false positives. The cascade runs on a downscaled image: first for faces of at least 10 %
    of the frame's long side and, only if there is none, for smaller ones, down to 6 %.

    Raises:
        FacepulseError: OpenCV has no cascade to load.
    """

    def __init__(self) -> None:
        self._cascade = load_cascade("haarcascade_frontalface_default.xml")

    def __call__(self, image: Image) -> list[Detection]:
        """Detect upright frontal faces."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return self._search(grey, long_side=320, scale_step=1.2, sides=(32, 0)) or self._search(
            grey, long_side=400, scale_step=1.15, sides=(24, 52)
        )

    def _search(self, grey: MatLike, long_side: int, scale_step: float, sides: tuple[int, int]) -> list[Detection]:
        height, width = grey.shape
        scale = min(1.0, long_side / max(height, width))
        small_size = max(1, round(width * scale)), max(1, round(height * scale))
        small = brighten(cv2.resize(grey, small_size, interpolation=cv2.INTER_AREA))
        boxes, _, weights = self._cascade.detectMultiScale3(
            small,
            scaleFactor=scale_step,
            minNeighbors=3,
            minSize=(sides[0], sides[0]),
            maxSize=(sides[1], sides[1]),
            outputRejectLevels=True,
        )
        scale_x, scale_y = width / small_size[0], height / small_size[1]
        found = [
            Detection(
                Box(float(x) * scale_x, float(y) * scale_y, float(w) * scale_x, float(h) * scale_y),
                1 / (1 + math.exp(HAAR_EVEN_WEIGHT - float(weight))),
            )
            for (x, y, w, h), weight in zip(boxes, np.ravel(weights), strict=True)
        ]
        return best_of_each_face(found, HAAR_MIN_SCORE)


class RfbDetector:
    """RFB-320, the larger variant of Linzaer's Ultra-Light-Fast-Generic-Face-Detector-1MB (MIT licence beside it).

    It also detects turned and tilted heads, which the Haar cascade misses, but its boxes are less steady.

    Raises:
        FacepulseError: the file of the network is missing from the installation.
    """

    def __init__(self) -> None:
        path = Path(__file__).with_name("rfb_320.onnx")
        if not path.is_file():
            raise FacepulseError(f"{path} is missing: expected the network of the face detector, reinstall facepulse")
        self._network = cv2.dnn.readNetFromONNX(str(path))

    def __call__(self, image: Image) -> list[Detection]:
        """Detect faces of any pose, from about 3 % of the width of the frame."""
        height, width = image.shape[:2]
        # The aspect ratio is kept: squeezed into 4:3, a portrait has wider faces than the network was trained on.
        scale = min(RFB_WIDTH / width, RFB_HEIGHT / height)
        small_size = max(1, round(width * scale)), max(1, round(height * scale))
        padded = np.full((RFB_HEIGHT, RFB_WIDTH, 3), 127, np.uint8)
        padded[: small_size[1], : small_size[0]] = brighten(cv2.resize(image, small_size, interpolation=cv2.INTER_AREA))
        # The graph was converted from TensorFlow: its input has channels last, and its output is a row per candidate of
        # two softmax scores (background, face) and the decoded corners x1, y1, x2, y2 in 0..1.
        self._network.setInput((padded[np.newaxis].astype(np.float32) - 127) / 128)
        rows = self._network.forward()[0]
        to_pixels = np.tile([RFB_WIDTH / scale, RFB_HEIGHT / scale], 2)
        found = [
            Detection(_as_haar(*(row[2:] * to_pixels).tolist()), float(row[1]))
            for row in rows[rows[:, 1] >= RFB_MIN_SCORE]
        ]
        return best_of_each_face(found, RFB_MIN_SCORE)


class AutoDetector:
    """Haar cascade, for its steady boxes, and RFB-320 for images in which the cascade finds no face."""

    def __init__(self) -> None:
        self._haar = HaarDetector()

    @cached_property
    def _rfb(self) -> RfbDetector:
        return RfbDetector()

    def __call__(self, image: Image) -> list[Detection]:
        """Detect faces."""
        return self._haar(image) or self._rfb(image)


DetectorName = Literal["auto", "haar", "rfb"]  # the keys of DETECTORS, for the command line
DETECTORS: Final[dict[str, Callable[[], Detector]]] = {
    "auto": AutoDetector,
    "haar": HaarDetector,
    "rfb": RfbDetector,
}


def get_detector(detector: str | Detector) -> Detector:
    """Create a detector by its name, or check one that is given.

    Args:
        detector: a key of `DETECTORS`; or a function, or an object that is called as one, from an RGB image, uint8
            (H, W, 3), to its detections, best first.

    Returns:
        The detector. If a function fails, or returns something else than detections, it raises `UsageError`.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(detector, str) and detector in DETECTORS:
        return DETECTORS[detector]()
    if isinstance(detector, type):
        raise UsageError(f"the detector {detector.__name__} is a class: give an object of it")
    if callable(detector):
        return _checked(detector)
    raise UsageError(
        f"no detector is called {shown(detector)}: choose one of {', '.join(DETECTORS)}, or give a function of an image"
    )


def _checked(detector: Detector) -> Detector:
    """Return a caller's detector whose errors and invalid detections raise `UsageError` with its name."""
    name = getattr(detector, "__name__", type(detector).__name__)

    def detect(image: Image) -> list[Detection]:
        try:
            found = list(detector(image))
        except Exception as error:  # any: the code is the caller's
            raise UsageError(
                f"the detector {name} failed on an image of shape {image.shape}: {one_line(error)}"
            ) from error
        for each in found:
            if not (isinstance(each, Detection) and isinstance(each.box, Box)):
                raise UsageError(f"the detector {name} returned {shown(each)}: expected a list of Detection")
        return found

    return detect


def load_cascade(name: str) -> cv2.CascadeClassifier:
    """Load one of the cascades that the Python packages of OpenCV 4 contain.

    Raises:
        FacepulseError: this OpenCV has no cascades (from version 5 on), or the file is missing.
    """
    if hasattr(cv2, "CascadeClassifier"):
        cascade = cv2.CascadeClassifier()
        if cascade.load(str(Path(cv2.data.haarcascades) / name)):
            return cascade
    raise FacepulseError(
        f"OpenCV {cv2.__version__} cannot load its face cascade {name}: "
        "expected version 4, install 'opencv-python-headless>=4.10,<5'"
    )


def brighten(image: MatLike) -> Image:
    """Scale the values of an image so that its 98th percentile becomes 255.

    In low light the cascade skips all windows as too flat, and the contrast is lower than any the network was trained
    on; the noise that is amplified as well disturbs neither.

    Args:
        image: uint8 (H, W) or (H, W, 3).
    """
    bright = float(np.percentile(image[::4, ::4], 98))
    return np.asarray(cv2.convertScaleAbs(image, alpha=min(255 / max(bright, 1.0), MAX_GAIN)), np.uint8)


def best_of_each_face(detections: list[Detection], min_score: float) -> list[Detection]:
    """Keep detections of at least `min_score` that do not overlap a better one, best first (NMS)."""
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda detection: detection.score, reverse=True):
        if detection.score >= min_score and not any(same_face(better.box, detection.box) for better in kept):
            kept.append(detection)
    return kept


def same_face(one: Box, other: Box) -> bool:
    """True if two boxes overlap by more than those of neighbours, or the centre of one lies within the other."""
    shared_width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    shared_height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if shared_width <= 0 or shared_height <= 0:
        return False
    shared = shared_width * shared_height
    nested = 2 * max(abs(a - b) for a, b in zip(one.centre, other.centre, strict=True)) < max(one.side, other.side)
    return nested or shared / (one.area + other.area - shared) > MAX_OVERLAP


def _as_haar(left: float, top: float, right: float, bottom: float) -> Box:
    width, height = right - left, bottom - top
    return Box.around((left + right) / 2, top + RFB_CENTRE * height, RFB_SIDE * math.sqrt(width * height))
