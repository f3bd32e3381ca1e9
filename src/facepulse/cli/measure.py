"""The command measure."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse._files import check_folder
from facepulse.cli.console import progress_bar
from facepulse.cli.measure_output import MeasureOutput
from facepulse.cli.video_job import Outcome, VideoJob, VideoMeasurer, video_jobs
from facepulse.cli.workers import measure_in_processes
from facepulse.faces.detectors import DetectorName
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, printable


def measure(
    *videos: Annotated[str, Parameter(required=True)],
    fps: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    method: str = DEFAULT,
    fallback: Literal["POS", "none"] = "POS",
    window_s: Annotated[float, Parameter(alias="--window", validator=Number(gte=5))] = 10.0,
    faces: Literal["largest", "all"] = "largest",
    detector: DetectorName = "auto",
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    waveform: Annotated[bool, Parameter(negative=())] = False,
    csv: Path | None = None,
    plot: Path | None = None,
    jobs: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
) -> int:
    """Measure the heart rate in videos, or in directories of images with timestamps in their names.

    Example: facepulse measure face.mp4 --json - --plot plots

    Example: facepulse measure recordings/*.mp4 --jobs 4 --json results.jsonl

    Exit codes: 0 measured; 1 the process of a video was killed; 2 wrong usage; 3 unreadable or empty input; 4 no face
    found; 5 too short to measure; 6 quality too low, heart rate withheld. All videos are measured, and the highest
    code is returned.

    Args:
        videos: Video files, or directories of images.
        fps: Frame rate in Hz that replaces the timestamps of all videos, if there are none or they are wrong.
        method: Name of a method in `facepulse models`, or file of a network: .onnx, .safetensors, or .pth of
            rPPG-Toolbox.
        fallback: POS: if the quality of a network is too low and that of POS is 0.9 or more, POS replaces it, and a
            note says so; none: nothing replaces the method.
        window_s: Length in seconds of the windows of the heart rate over time.
        faces: largest: the largest face; all: every face, numbered from left to right.
        detector: Face detector: haar; rfb, for turned heads and low light; auto: haar, and rfb if haar finds no face.
        min_quality: Withhold heart rates with a quality (0 to 1) below this.
        json: Write one JSON object per line, for each video and face, to this file, as soon as a video is measured; or
            to standard output with `-`. An earlier file is replaced.
        waveform: Add the waveform, its times and the beats to the JSON.
        csv: Write NAME.windows.csv and NAME.waveform.csv into this directory.
        plot: Write NAME.png into this directory.
        jobs: Number of videos at a time, each in a process with one thread; the output is the same, in the same order.
    """
    for folder in (csv, plot):
        if folder is not None:
            check_folder(folder)
    output = MeasureOutput(json)
    measurer = VideoMeasurer(
        {
            "fps": fps,
            "method": method,
            "fallback": None if fallback == "none" else fallback,
            "faces": faces,
            "window_s": window_s,
            "detector": detector,
            "min_quality": min_quality,
        },
        csv,
        plot,
        waveform,
    )
    with closing(_outcomes(video_jobs(videos), measurer, jobs)) as outcomes:
        for outcome in outcomes:
            output.add(outcome)
    return output.exit_code


def _outcomes(videos: Sequence[VideoJob], measurer: VideoMeasurer, jobs: int) -> Generator[Outcome]:
    """Measure videos one after another in this process, or several at a time in others."""
    loaded = measurer.loaded()  # a wrong method is an error before any process starts
    if jobs == 1 or len(videos) == 1:
        for video in videos:
            with progress_bar(printable(Path(video.video).name)) as progress:
                outcome = loaded(video, progress)
            yield outcome
        return
    with (
        progress_bar("measuring", "videos") as progress,
        closing(measure_in_processes(videos, measurer, jobs)) as outcomes,
    ):
        for done, outcome in enumerate(outcomes, start=1):
            yield outcome
            if progress is not None:
                progress(done, len(videos))
