"""Measurement of one video with all its outputs, in this process or in another one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import facepulse
from facepulse.cli.console import EXIT_WITHHELD
from facepulse.errors import FacepulseError, UsageError
from facepulse.measurement import Measurement, printable
from facepulse.pipeline.extract import Progress
from facepulse.video.source import check_path

FACE = re.compile(r"(\.face\d+)+$")  # end of the names of files of one face of several


class Line(NamedTuple):
    """A line of text for the user: of the summary, or about a problem."""

    text: str
    problem: bool = False


@dataclass
class Outcome:
    """Result of one video: the text to print, the JSON, and the exit code.

    Attributes:
        number: place of the video on the command line, from 0.
        lines: summaries and problems.
        json: lines of JSON, one per face.
        exit_code: of this video alone.
        wrong_usage: the error if the arguments are wrong, probably for every video; None otherwise.
    """

    number: int
    lines: list[Line] = field(default_factory=list)
    json: list[str] = field(default_factory=list)
    exit_code: int = 0
    wrong_usage: UsageError | None = None

    def fail(self, error: FacepulseError) -> None:
        """Add an error that does not keep other videos from being measured."""
        self.lines.append(Line(str(error), problem=True))
        self.exit_code = max(self.exit_code, error.exit_code)


class VideoJob(NamedTuple):
    """One video of the command.

    Attributes:
        number: place on the command line, from 0.
        video: as it was given.
        name: name of its files, without suffix.
    """

    number: int
    video: str
    name: str

    def failure(self, error: FacepulseError) -> Outcome:
        """Return the outcome of a video that could not be measured."""
        found = {"source": printable(self.video), "error": printable(str(error)), "exit_code": error.exit_code}
        outcome = Outcome(self.number, json=[json.dumps(found, ensure_ascii=False)])
        outcome.fail(error)
        return outcome


def video_jobs(videos: Sequence[str]) -> list[VideoJob]:
    """Give every video a name for its files, such that no two faces of any videos have files of the same name."""
    jobs: list[VideoJob] = []
    taken = set()
    for number, video in enumerate(videos):
        path = Path(os.path.abspath(video))
        base = path.name if os.path.isdir(path) else path.stem  # unlike Path.is_dir, raises no error
        name, count = base, 1
        while FACE.sub("", name) in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(FACE.sub("", name))
        jobs.append(VideoJob(number, video, name))
    return jobs


@dataclass(frozen=True)
class VideoMeasurer:
    """Measures videos and writes their files.

    Attributes:
        options: arguments of `facepulse.measure_faces`.
        csv: folder for NAME.windows.csv and NAME.waveform.csv, or None.
        plot: folder for NAME.png, or None.
        waveform: True if the JSON has the waveform and the beats.
    """

    options: Mapping[str, Any]
    csv: Path | None
    plot: Path | None
    waveform: bool

    def loaded(self) -> VideoMeasurer:
        """Load the method, once for all videos.

        Raises:
            UsageError: there is no such method, or it cannot be loaded.
        """
        from facepulse.pipeline.methods import find_method

        return replace(self, options={**self.options, "method": find_method(self.options["method"])})

    def __call__(self, job: VideoJob, progress: Progress | None = None) -> Outcome:
        """Measure the faces of a video."""
        try:
            check_path(job.video)
        except UsageError as error:
            return job.failure(error)
        try:
            results = facepulse.measure_faces(job.video, progress=progress, **self.options)
        except UsageError as error:
            return Outcome(job.number, exit_code=error.exit_code, wrong_usage=error)
        except FacepulseError as error:
            return job.failure(error)
        outcome = Outcome(job.number)
        for result in results:
            outcome.json.append(result.to_json(waveform=self.waveform))
            outcome.lines.append(Line(str(result)))
            if result.faces > len(results):
                outcome.lines.append(Line("  to measure every face: --faces all"))
            if result.bpm is None:
                outcome.lines.append(Line(f"{job.video}: {result.warnings[0]}", problem=True))
                outcome.exit_code = max(outcome.exit_code, EXIT_WITHHELD)
            try:
                written = self._write_files(result, job.name if len(results) == 1 else f"{job.name}.face{result.face}")
            except UsageError as error:
                outcome.fail(error)
            else:
                outcome.lines += [Line(f"  wrote {path}") for path in written]
        return outcome

    def _write_files(self, result: Measurement, name: str) -> list[Path]:
        written = [*result.to_csv(self.csv, name)] if self.csv is not None else []
        if self.plot is not None:
            written.append(self.plot / f"{name}.png")
            result.plot(written[-1])
        return written
