"""Detectors on a real face, in conditions that make detection hard, and on images without a face."""

import re
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from facepulse._types import Image
from facepulse.errors import FacepulseError, UsageError
from facepulse.faces import detectors
from facepulse.faces.detectors import (
    DETECTORS,
    HaarDetector,
    RfbDetector,
    best_of_each_face,
    brighten,
    get_detector,
    load_cascade,
)
from facepulse.faces.tracking import Box, Detection
from shared_data import SHARED_DATA

REAL_FACE = SHARED_DATA / "evm_face" / "face.mp4"
# Measured by eye in the frames; the head hardly moves.
LANDMARKS = {"right eye": (168, 222), "left eye": (318, 238), "nose": (232, 318), "mouth": (222, 400)}


@pytest.fixture(scope="module")
def faces() -> list[Image]:
    """One frame per second of the real face."""
    if not REAL_FACE.is_file():
        pytest.skip("the sample video ../shared/data/evm_face/face.mp4 is not here")
    with av.open(str(REAL_FACE)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames[::30]


def put(face: Image, width: int, degrees: float = 0.0) -> Image:
    """Image of 640x480 pixels with the real face in its middle on grey, about `width` pixels wide and tilted."""
    height, full_width = face.shape[:2]
    mask = np.zeros((height, full_width), np.float32)
    cv2.ellipse(mask, ((236, 280), (460, 560), 0), 1.0, -1)
    turn = cv2.getRotationMatrix2D((236, 280), degrees, width / 395)
    turn[:, 2] += (320 - 236, 240 - 280)
    blurred = cv2.GaussianBlur(face, (0, 0), max(0.1, 0.3 * 395 / width))
    head = cv2.warpAffine(blurred, turn, (640, 480)).astype(np.float32)
    cover = cv2.warpAffine(mask, turn, (640, 480))[..., None]
    return np.rint(head * cover + 120 * (1 - cover)).astype(np.uint8)


def assert_found(found: list[Detection], x: float, y: float, side: float) -> None:
    assert len(found) == 1
    box = found[0].box
    assert box.centre == pytest.approx((x, y), abs=0.12 * side)
    assert box.side == pytest.approx(side, rel=0.25)
    assert 0.5 <= found[0].score <= 1.0


@pytest.mark.parametrize("name", DETECTORS)
def test_real_face_is_found_with_eyes_nose_and_mouth_inside(name: str, faces: list[Image]) -> None:
    detect = DETECTORS[name]()
    found = [detect(face) for face in faces]
    assert [len(detections) for detections in found] == [1] * len(faces)
    boxes = [detections[0].box for detections in found]
    for box in boxes:
        for landmark, (x, y) in LANDMARKS.items():
            assert box.x < x < box.x + box.width, landmark
            assert box.y < y < box.y + box.height, landmark
    centres = np.array([box.centre for box in boxes])
    assert (centres.std(axis=0) < 0.02 * np.mean([box.side for box in boxes])).all()


def test_both_detectors_give_nearly_the_same_square(faces: list[Image]) -> None:
    # A box that jumps when one detector replaces the other would shift the trace.
    haar, rfb = HaarDetector(), RfbDetector()
    for width in (300, 200, 120):
        image = put(faces[0], width)
        one, other = haar(image)[0].box, rfb(image)[0].box
        assert one.width == pytest.approx(one.height)
        assert other.width == pytest.approx(other.height)
        assert other.side == pytest.approx(one.side, rel=0.15)
        assert other.centre == pytest.approx(one.centre, abs=0.07 * one.side)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("width", [300, 100, 50])
def test_large_and_small_faces_are_found(name: str, width: int, faces: list[Image]) -> None:
    assert_found(DETECTORS[name]()(put(faces[0], width)), 320, 240, width)


@pytest.mark.parametrize("name", DETECTORS)
def test_face_in_low_light_is_found(name: str, faces: list[Image]) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (480, 640, 3))
    dark = np.clip(put(faces[0], 200) * 0.12 + noise, 0, 255).astype(np.uint8)
    assert_found(DETECTORS[name]()(dark), 320, 240, 200)


def test_tilted_head_is_found_by_the_network_and_by_auto(faces: list[Image]) -> None:
    for degrees in (-35, 35):
        image = put(faces[0], 200, degrees)
        assert HaarDetector()(image) == []  # otherwise the next lines would not test what `auto` adds
        for name in ("rfb", "auto"):
            assert_found(DETECTORS[name]()(image), 320, 240, 200)


def test_face_in_a_portrait_frame_is_found(faces: list[Image]) -> None:
    image = put(faces[0], 200)
    for name in DETECTORS:
        detect = DETECTORS[name]()
        tall = detect(np.ascontiguousarray(np.pad(image, ((320, 320), (0, 0), (0, 0)), mode="edge")[:, 140:500]))
        assert tall[0].box.centre == pytest.approx((180, 560), abs=25)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_no_face_in_noise_clouds_gradients_or_darkness(name: str) -> None:
    detect = DETECTORS[name]()
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 640)[None, :, None]
    clouds = [cv2.GaussianBlur(rng.normal(0, 1, (480, 640, 3)), (0, 0), width) for width in (5, 15, 40, 80)]
    stripes = 128 + 100 * np.sin(np.arange(480) / 9)[:, None, None]
    images = [
        rng.uniform(0, 256, (480, 640, 3)),
        np.clip(rng.normal(8, 6, (480, 640, 3)), 0, 255),
        np.zeros((480, 640, 3)),
        np.full((480, 640, 3), 255.0),
        np.broadcast_to(ramp, (480, 640, 3)),
        np.broadcast_to(stripes, (480, 640, 3)),
        *(255 * (cloud - cloud.min()) / np.ptp(cloud) for cloud in clouds),
    ]
    for number, image in enumerate(images):
        assert detect(image.astype(np.uint8)) == [], f"image {number}"


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(("seed", "blur"), [(6, 15), (20, 7), (57, 25), (8, 15), (58, 25)])
def test_clouds_that_resemble_a_face_score_below_the_threshold(name: str, seed: int, blur: int) -> None:
    # Chosen because one of the detectors has a candidate with a low score in each.
    cloud = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (480, 640, 3)), (0, 0), blur)
    assert DETECTORS[name]()((255 * (cloud - cloud.min()) / np.ptp(cloud)).astype(np.uint8)) == []


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (23, 641), (2000, 3), (3, 2000)])
def test_tiny_and_elongated_images_have_no_face(name: str, shape: tuple[int, int]) -> None:
    assert DETECTORS[name]()(np.full((*shape, 3), 90, np.uint8)) == []


def test_opencv_without_cascades_raises_a_one_line_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(FacepulseError, match=r"no_such_cascade\.xml.*install 'opencv-python-headless>=4"):
        load_cascade("no_such_cascade.xml")
    monkeypatch.setattr(cv2.data, "haarcascades", f"{tmp_path}/")
    with pytest.raises(FacepulseError, match="cannot load its face cascade"):
        HaarDetector()
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(FacepulseError, match="expected version 4"):
        HaarDetector()


def test_missing_network_raises_a_one_line_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(detectors, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(FacepulseError, match=r"rfb_320\.onnx is missing.*reinstall"):
        RfbDetector()


def test_network_comes_with_its_licence() -> None:
    text = (Path(detectors.__file__).parent / "rfb_320.LICENSE").read_text()
    assert "MIT License" in text
    assert "Linzaer" in text


def test_best_of_each_face_keeps_neighbours_and_drops_overlapping_boxes() -> None:
    face, neighbour = Detection(Box(100, 100, 100, 100), 0.9), Detection(Box(205, 100, 90, 90), 0.6)
    shifted, nested = Detection(Box(120, 110, 110, 110), 0.8), Detection(Box(150, 140, 30, 30), 0.7)
    faint = Detection(Box(400, 100, 100, 100), 0.4)
    assert best_of_each_face([nested, neighbour, faint, shifted, face], min_score=0.5) == [face, neighbour]


def test_brighten_changes_dark_images_only() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    assert np.abs(brighten(ramp).astype(int) - ramp).max() <= 8
    assert brighten(ramp // 10).max() == 255
    assert brighten(np.zeros((8, 8), np.uint8)).max() == 0


# --- what stands for a detector

IMAGE = np.zeros((48, 64, 3), np.uint8)
FOUND = Detection(Box(8.0, 8.0, 32.0, 32.0), 0.9)


def test_detector_is_found_by_its_name() -> None:
    for name, kind in DETECTORS.items():
        assert type(get_detector(name)) is kind


def test_function_or_object_is_a_detector() -> None:
    class Everywhere:
        def __call__(self, image: Image) -> list[Detection]:
            return [FOUND]

    for given in (lambda image: [FOUND], lambda image: (FOUND,), Everywhere()):
        assert get_detector(given)(IMAGE) == [FOUND]
    assert get_detector(lambda image: [])(IMAGE) == []


@pytest.mark.parametrize("given", ["yolo", "", None, 3, ["haar"], np.zeros((48, 64))], ids=repr)
def test_object_that_is_no_detector_is_refused(given: Any) -> None:
    with pytest.raises(UsageError) as refused:
        get_detector(given)
    expected = "no detector is called .*: choose one of auto, haar, rfb, or give a function of an image"
    assert re.fullmatch(expected, str(refused.value))


def test_class_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^the detector HaarDetector is a class: give an object of it$"):
        get_detector(HaarDetector)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (lambda image: image.nothing, r"failed on an image of shape \(48, 64, 3\): AttributeError: 'numpy.ndarray' "),
        (lambda image, scale: [], r"failed on an image of shape \(48, 64, 3\): TypeError: .* missing 1 required"),
        (lambda image: None, r"failed on an image of shape \(48, 64, 3\): TypeError: 'NoneType' .* not iterable"),
        (lambda image: [(8, 8, 32, 32)], r"returned \(8, 8, 32, 32\): expected a list of Detection$"),
        (lambda image: [Detection((8, 8, 32, 32), 0.9)], r"returned Detection\(.*: expected a list of Detection$"),
        (lambda image: np.zeros((1, 4)), r"returned array\(.*: expected a list of Detection$"),
    ],
)
def test_detector_that_fails_or_returns_something_else_is_named_in_one_line(detector: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^the detector <lambda> {message}") as raised:
        get_detector(detector)(IMAGE)
    assert "\n" not in str(raised.value)
