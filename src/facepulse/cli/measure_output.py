"""Output of `facepulse measure`: text in the order of the videos, and JSON lines."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from facepulse._files import check_writable
from facepulse.cli.json_lines import JsonLines
from facepulse.cli.video_job import Outcome

logger = logging.getLogger(__name__)


class MeasureOutput:
    """Printer of outcomes, which may come in any order.

    The JSON of a video is written to a file at once, so that it is not lost whatever happens to the others. Text, and
    JSON on standard output, waits for the videos before it.

    Args:
        json: file for the JSON lines, "-" for standard output, or None.

    Attributes:
        exit_code: the highest of the outcomes so far.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, json: str | None) -> None:
        self._prints_json = json == "-"
        self._file: JsonLines | None = None
        if json is not None and not self._prints_json:
            check_writable(Path(json))
            self._file = JsonLines(Path(json))
        self._waiting: dict[int, Outcome] = {}
        self._next = 0
        self.exit_code = 0

    def add(self, outcome: Outcome) -> None:
        """Write the JSON of an outcome, and print those whose turn has come.

        Raises:
            UsageError: that of an outcome whose turn has come, or the file cannot be written.
        """
        self.exit_code = max(self.exit_code, outcome.exit_code)
        if self._file is not None and outcome.json:
            self._file.write(outcome.number, outcome.json)
        self._waiting[outcome.number] = outcome
        while self._next in self._waiting:
            self._print(self._waiting.pop(self._next))
            self._next += 1

    def _print(self, outcome: Outcome) -> None:
        if outcome.wrong_usage is not None:
            raise outcome.wrong_usage
        for line in outcome.lines:
            if line.problem:
                logger.error(line.text)
            else:  # if the JSON goes to standard output, the summary goes to standard error
                print(line.text, file=sys.stderr if self._prints_json else sys.stdout)
        if self._prints_json:
            print(*outcome.json, sep="\n")
        sys.stdout.flush()
