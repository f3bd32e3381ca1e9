from pathlib import Path

import pytest

from facepulse._files import atomic_path, atomic_write, check_writable
from facepulse.errors import UsageError


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(UsageError), atomic_write(path) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half")
        raise OSError("the disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("check", [check_writable, lambda path: atomic_write(path).__enter__()])
def test_a_path_below_a_file_is_refused(tmp_path: Path, check) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        check(tmp_path / "file" / "out.txt")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        check_writable(tmp_path)


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "out.txt")
    assert list(tmp_path.iterdir()) == []


def test_folder_is_replaced_once_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "set" / "recording"
    for content in ("old", "new"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
            assert not (target / content).exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.mkdir()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(target.parent.iterdir()) == [target]
