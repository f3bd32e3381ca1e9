"""Measure the heart rate in videos: traces of faces, then estimates, then measurements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Literal

from numpy.typing import ArrayLike

from facepulse.errors import UsageError
from facepulse.faces.detectors import get_detector
from facepulse.faces.tracking import Detector
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, Measurement
from facepulse.pipeline.extract import Progress, check_window_and_quality, extract_traces, select_faces
from facepulse.video.source import VideoSource, open_source

if TYPE_CHECKING:
    from facepulse.pipeline.methods import Fallback, MethodLike


def measure(
    video: VideoSource,
    *,
    fps: float | None = None,
    times: ArrayLike | None = None,
    method: MethodLike = DEFAULT,
    fallback: Fallback = "POS",
    window_s: float = 10.0,
    detector: str | Detector = "auto",
    min_quality: float = QUALITY_THRESHOLD,
    progress: Progress | None = None,
) -> Measurement:
    """Measure the heart rate of the largest face that stays in a video.

    Args:
        video: path of a file, or of a directory of images with timestamps in their names; array (T, H, W, 3), RGB,
            uint8 from 0 to 255 or floating point from 0 to 1 or from 0 to 255 (the first frame decides, and a highest
            value between 1 and 16 is an error); list or iterator of such images (H, W, 3); or list or iterator of
            `Frame`s, which have times of their own. Larger frames than 1280 pixels are scaled down.
        fps: frame rate in Hz of an array or of images. For a path it replaces the timestamps of the source, if there
            are none or they are wrong, and `warnings` say so.
        times: seconds, (T,), one for each image, in place of `fps`.
        method: a network: a name of `facepulse.list_models("weights")`, a file that `facepulse export` wrote (.onnx),
            one of weights (.safetensors, or .pth of rPPG-Toolbox), or what `facepulse.load_model` returned; or a
            classical method: a key of `facepulse.rppg.classical.CLASSICAL`, in upper or lower case, or any function
            ``(rgb (T, 3), fps) -> (T,)`` from the mean RGB of skin and its rate in Hz to the blood volume pulse. More
            in `facepulse.pipeline.methods.find_method`.
        fallback: "POS": if the quality of a network is below `min_quality` and that of POS is high (0.9), POS measures
            instead, and the measurement's `method` and `warnings` say so. None: the network always measures.
        window_s: length in seconds of the windows of the heart rate over time, at least 5.
        detector: a key of `facepulse.faces.detectors.DETECTORS`, or any function from an RGB image, uint8 (H, W, 3), to
            a list of `facepulse.faces.tracking.Detection`.
        min_quality: 0..1; below it a heart rate is withheld. If that of the whole video is withheld, the heart rate of
            a window needs a quality of 0.9 or more.
        progress: called with the seconds done and the length of the video (None if it is not known).

    Returns:
        The measurement; its `bpm` is None if the quality is below `min_quality`.

    Raises:
        UsageError: an argument is out of its range, no method or detector has that name, its weights cannot be loaded,
            or a given function raised an error or returned something else than it has to; or the video is of another
            kind, has images that are not RGB, or times that are missing, decreasing or not in seconds.
        VideoError: the video cannot be read.
        NoFaceError: it shows no face.
        TooShortError: the face is in view for less than 5 s without a break.
    """
    return measure_faces(
        video,
        fps=fps,
        times=times,
        method=method,
        fallback=fallback,
        window_s=window_s,
        detector=detector,
        min_quality=min_quality,
        progress=progress,
    )[0]


def measure_faces(
    video: VideoSource,
    *,
    fps: float | None = None,
    times: ArrayLike | None = None,
    faces: Literal["largest", "all"] = "largest",
    method: MethodLike = DEFAULT,
    fallback: Fallback = "POS",
    window_s: float = 10.0,
    detector: str | Detector = "auto",
    min_quality: float = QUALITY_THRESHOLD,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Measure the largest face that stays in a video, or all faces from left to right.

    Arguments and errors are those of `measure`.

    Returns:
        One measurement per face.
    """
    # Engines and weights would slow down `import facepulse`.
    from facepulse.pipeline.methods import check_fallback, find_method

    found_method, found_detector = find_method(method), get_detector(detector)
    check_fallback(fallback)
    if faces not in ("largest", "all"):
        raise UsageError(f"faces can be 'largest' or 'all', not {faces!r}")
    check_window_and_quality(window_s, min_quality)

    # Frames -> boxes -> clips -> RGB traces and the network's waveform.
    with _imported_meanwhile("scipy.signal"):
        traces = extract_traces(open_source(video, fps=fps, times=times), found_detector, found_method, progress)
    selected = select_faces(traces, faces)

    # Traces -> heart rate and quality -> measurement.
    from facepulse.pipeline.estimate import estimate
    from facepulse.pipeline.result import to_measurement

    estimates = [
        estimate(
            face.segments,
            found_method,
            timing=traces.timing,
            min_quality=min_quality,
            fallback=fallback,
        )
        for face in selected
    ]
    return [to_measurement(traces, face, found, window_s) for face, found in zip(selected, estimates, strict=True)]


@contextmanager
def _imported_meanwhile(module: str) -> Iterator[None]:
    """Import a module in a second thread: scipy.signal takes half a second, in which the first frames are decoded."""
    thread = Thread(target=import_module, args=(module,))
    thread.start()
    try:
        yield
    finally:
        thread.join()
