"""The file of JSON lines: complete at every moment, in the order of the videos."""

import os
from pathlib import Path

import pytest

from facepulse.cli.json_lines import JsonLines
from facepulse.errors import UsageError


def test_lines_are_appended_and_late_ones_inserted(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines.json"
    lines = JsonLines(path)
    contents = []
    for number, texts in ((1, ["b"]), (2, ["c", "d"]), (0, ["a"]), (4, ["f"]), (3, ["é"])):
        lines.write(number, texts)
        contents.append(path.read_text(encoding="utf-8").split("\n"))
    assert contents == [
        ["b", ""],
        ["b", "c", "d", ""],
        ["a", "b", "c", "d", ""],
        ["a", "b", "c", "d", "f", ""],
        ["a", "b", "c", "d", "é", "f", ""],
    ]
    assert [file.name for file in path.parent.iterdir()] == ["lines.json"]


def test_earlier_file_is_replaced_by_the_first_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    path.write_text("of an earlier run, without an end of line")
    lines = JsonLines(path)
    assert path.read_text().startswith("of an earlier run")
    lines.write(3, ["d"])
    assert path.read_text() == "d\n"


def test_full_disk_leaves_complete_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.json"
    lines = JsonLines(path)
    lines.write(0, ["first"])

    class Full:
        """A file on a disk with space for three more bytes."""

        def __init__(self, file) -> None:
            self._file = file

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, text: bytes) -> int:
            return self._file.write(text[:3])

        def __getattr__(self, name: str):
            return getattr(self._file, name)

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda *arguments, **options: Full(opened(*arguments, **options)))
    with pytest.raises(UsageError, match=r"cannot write .*lines\.json \(No space left"):
        lines.write(1, ["second"])
    monkeypatch.undo()
    assert path.read_text() == "first\n"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_folder_that_vanishes_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lines.json"
    lines = JsonLines(path)
    lines.write(0, ["first"])
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(UsageError, match="cannot write"):
        lines.write(1, ["second"])
