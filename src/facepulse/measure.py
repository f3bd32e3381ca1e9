"""Measure videos: the two functions that do everything."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Literal

from facepulse.errors import UsageError
from facepulse.faces.detectors import get_detector
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, Measurement
from facepulse.pipeline.extract import MINIMUM_S, Progress, extract_traces


def measure(
    video: str | Path,
    *,
    method: str = DEFAULT,
    window_s: float = 10.0,
    detector: str = "auto",
    min_quality: float = QUALITY_THRESHOLD,
    progress: Progress | None = None,
) -> Measurement:
    """Measure the heart rate of the largest face that stays in a video.

    Args:
        video: a file, or a directory of images with timestamps in their names.
        method: a network: a name of `facepulse.list_models()`, a file that `facepulse export` wrote (.onnx) or one of
            weights (.safetensors); or a key of `facepulse.rppg.classical.CLASSICAL`, capitals do not matter. Where a
            network cannot be trusted and POS is sure (0.9), POS is read: the measurement's `method` and `warnings` say
            so.
        window_s: length in seconds of the windows of the heart rate over time, at least 5.
        detector: a key of `facepulse.faces.detectors.DETECTORS`.
        min_quality: 0..1; below it a heart rate is withheld.
        progress: called with the seconds done and the length of the video (None where it is not known).

    Returns:
        The measurement; its `bpm` is None where no pulse can be trusted.

    Raises:
        UsageError: an argument is out of its range.
        VideoError: the video cannot be read.
        NoFaceError: nobody is in it.
        TooShortError: the face is there for less than 5 s without a break.
    """
    return measure_faces(
        video, method=method, window_s=window_s, detector=detector, min_quality=min_quality, progress=progress
    )[0]


def measure_faces(
    video: str | Path,
    *,
    which: Literal["largest", "all"] = "largest",
    method: str = DEFAULT,
    window_s: float = 10.0,
    detector: str = "auto",
    min_quality: float = QUALITY_THRESHOLD,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Measure the largest face that stays in a video, or all faces from left to right.

    Args and errors are those of `measure`.

    Returns:
        A measurement a face.
    """
    from facepulse.pipeline.methods import find_method  # weights and engines are not for who only imports the package

    chosen = find_method(method)
    found = get_detector(detector)
    if which not in ("largest", "all"):
        raise UsageError(f"faces can be 'largest' or 'all', not {which!r}")
    if not MINIMUM_S <= window_s < float("inf"):
        raise UsageError(f"the windows can be {MINIMUM_S:g} s long or longer, not {window_s:g} s")
    if not 0.0 <= min_quality <= 1.0:
        raise UsageError(f"the minimum quality is a number from 0 to 1, not {min_quality:g}")
    # scipy.signal takes half a second to import: it does so while the first frames are decoded.
    loading = Thread(target=import_module, args=("facepulse.pipeline.estimate",))
    loading.start()
    try:
        scene = extract_traces(Path(video), found, chosen, progress)
    finally:
        loading.join()
    from facepulse.pipeline.estimate import read_pulse

    return [read_pulse(scene, face, chosen, window_s, min_quality) for face in scene.measurable(which)]
