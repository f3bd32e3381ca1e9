"""Outputs of `facepulse measure`: a summary, JSON lines, CSV files and plots."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from facepulse._files import atomic_write, check_folder, check_writable
from facepulse.cli.console import EXIT_WITHHELD
from facepulse.errors import FacepulseError, UsageError
from facepulse.measurement import Measurement, printable

logger = logging.getLogger(__name__)


@dataclass
class MeasureOutput:
    """Writer of results, used as a context manager.

    The summary and the files of each face are written at once. The JSON is written when the context ends, also by an
    interruption or an error, so that no result is lost.

    Attributes:
        json: file for the JSON lines, "-" for standard output, or None.
        csv: folder for NAME.windows.csv and NAME.waveform.csv, or None.
        plot: folder for NAME.png, or None.
        waveform: True if the JSON has the waveform and the beats.

    Raises:
        UsageError: an output cannot be written.
    """

    json: str | None
    csv: Path | None
    plot: Path | None
    waveform: bool
    _lines: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.json is not None and self.json != "-":
            check_writable(Path(self.json))
        for folder in (self.csv, self.plot):
            if folder is not None:
                check_folder(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._lines or self.json is None:
            return
        if self.json == "-":
            print(*self._lines, sep="\n")
            return
        with atomic_write(Path(self.json)) as temporary:
            temporary.write_text("".join(line + "\n" for line in self._lines), encoding="utf-8")

    def write_failure(self, video: str, error: FacepulseError) -> int:
        """Report a video that could not be measured, and return the exit code."""
        logger.error(str(error))
        failure = {"source": printable(video), "error": printable(str(error)), "exit_code": error.exit_code}
        self._lines.append(json.dumps(failure, ensure_ascii=False))
        return error.exit_code

    def write(self, video: str, results: list[Measurement]) -> int:
        """Write the results of one video, one per face, and return the exit code."""
        code = 0
        for result in results:
            self._summarise(str(result))
            if result.faces > len(results):
                self._summarise("  to measure every face: --faces all")
            self._lines.append(result.to_json(waveform=self.waveform))
            if result.bpm is None:
                logger.error(f"{video}: {result.warnings[0]}")
                code = max(code, EXIT_WITHHELD)
            name = self._distinct_name(video, result.face if len(results) > 1 else None)
            code = max(code, self._write_files(result, name))
        return code

    def _write_files(self, result: Measurement, name: str) -> int:
        try:
            written = [*result.to_csv(self.csv, name)] if self.csv is not None else []
            if self.plot is not None:
                written.append(self.plot / f"{name}.png")
                result.plot(written[-1])
        except UsageError as error:  # the other videos are measured nevertheless
            logger.error(str(error))
            return error.exit_code
        for path in written:
            self._summarise(f"  wrote {path}")
        return 0

    def _summarise(self, text: str) -> None:
        # If the JSON goes to standard output, the summary goes to standard error.
        print(text, file=sys.stderr if self.json == "-" else sys.stdout)

    def _distinct_name(self, video: str, face: int | None) -> str:
        """Name of the files of a face, different from those of all other videos and faces."""
        path = Path(os.path.abspath(video))
        base = path.name if path.is_dir() else path.stem
        if face is not None:
            base = f"{base}.face{face}"
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}-{count}"
        self._names.add(name)
        return name
