"""The command measure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

import facepulse
from facepulse.cli.console import progress_bar
from facepulse.cli.measure_output import MeasureOutput
from facepulse.errors import FacepulseError, UsageError
from facepulse.faces.detectors import DetectorName
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, Measurement, printable
from facepulse.video.source import check_path


def measure(
    *videos: Annotated[str, Parameter(required=True)],
    method: str = DEFAULT,
    window: Annotated[float, Parameter(validator=Number(gte=5))] = 10.0,
    faces: Literal["largest", "all"] = "largest",
    detector: DetectorName = "auto",
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    waveform: Annotated[bool, Parameter(negative=())] = False,
    csv: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Measure the heart rate in videos, or in directories of images with timestamps in their names.

    Example: facepulse measure face.mp4 --json - --plot plots

    Exit codes: 0 measured; 2 wrong usage; 3 unreadable or empty input; 4 no face found; 5 too short to measure;
    6 quality too low, heart rate withheld. All videos are measured, and the highest code is returned.

    Args:
        videos: Video files, or directories of images.
        method: Name of a method in `facepulse models`, or file of a network: .onnx, .safetensors, or .pth of
            rPPG-Toolbox. If the quality of a network is too low and that of POS is 0.9 or more, POS replaces it, and a
            note says so.
        window: Length in seconds of the windows of the heart rate over time.
        faces: largest: the largest face; all: every face, numbered from left to right.
        detector: Face detector: haar; rfb, for turned heads and low light; auto: haar, and rfb if haar finds no face.
        min_quality: Withhold heart rates with a quality (0 to 1) below this.
        json: Write one JSON object per line, for each video and face, to this file, or to standard output with `-`.
        waveform: Add the waveform, its times and the beats to the JSON.
        csv: Write NAME.windows.csv and NAME.waveform.csv into this directory.
        plot: Write NAME.png into this directory.
    """
    measure_faces = partial(
        facepulse.measure_faces,
        method=method,
        window_s=window,
        which=faces,
        detector=detector,
        min_quality=min_quality,
    )
    code = 0
    with MeasureOutput(json, csv, plot, waveform) as output:
        for video in videos:
            code = max(code, _measure_one(video, measure_faces, output))
    return code


def _measure_one(video: str, measure_faces: Callable[..., list[Measurement]], output: MeasureOutput) -> int:
    """Measure one video, write its results and return the exit code."""
    try:
        check_path(video)
    except UsageError as error:
        return output.write_failure(video, error)
    try:
        with progress_bar(printable(Path(video).name)) as progress:
            results = measure_faces(video, progress=progress)
    except UsageError:
        raise  # the arguments are wrong for every video
    except FacepulseError as error:
        return output.write_failure(video, error)
    return output.write(video, results)
