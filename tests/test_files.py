"""Atomic writes, checks before long work, and locks on folders, also between processes that are killed."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from facepulse._files import (
    LOCK_FILE,
    atomic_path,
    atomic_write,
    check_folder,
    check_writable,
    is_disk_full,
    lock_folder,
)
from facepulse.errors import UsageError


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(UsageError), atomic_write(path) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half")
        raise OSError("the disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("check", [check_writable, lambda path: atomic_write(path).__enter__()])
def test_path_below_a_file_is_refused(tmp_path: Path, check) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        check(tmp_path / "file" / "out.txt")


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        check_writable(tmp_path)


@pytest.mark.parametrize("name", ["plot.png", "file"])
def test_file_in_place_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="give the name of a folder, not of a file"):
        check_folder(tmp_path / name)


def test_check_writes_nothing(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)])
def test_full_disk_is_recognised_as_the_cause_of_another_error(code: int, full: bool) -> None:
    error = UsageError("cannot write")
    error.__cause__ = OSError(code, os.strerror(code))
    assert is_disk_full(error) == full
    assert not is_disk_full(UsageError("cannot write"))


def hold_in_another_process(folder: Path) -> subprocess.Popen[str]:
    """Start a process that locks a folder and keeps the lock until it is ended."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom facepulse._files import lock_folder\n"
        "with lock_folder(Path(sys.argv[1])):\n    print('locked', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_second_run_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with hold_in_another_process(folder) as process:
        try:
            with pytest.raises(UsageError, match=f"another run is writing into {folder}: wait for it"):
                lock_folder(folder).__enter__()
        finally:
            process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    with lock_folder(folder):
        pass


def test_lock_is_released_with_the_block_and_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path):
        raise ZeroDivisionError
    with lock_folder(tmp_path), pytest.raises(UsageError, match="another run"):
        lock_folder(tmp_path).__enter__()
    with lock_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]
    assert LOCK_FILE.startswith(".")


def test_folder_is_not_locked_where_the_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock.lock_descriptor", no_locks)
    with lock_folder(tmp_path), lock_folder(tmp_path):
        pass


def test_lock_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write into .*: give a folder that you may write to"):
        lock_folder(tmp_path / "file" / "run").__enter__()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_lock_in_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    """A process of its own gives up superuser rights, with which every folder can be written."""
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    code = (
        "import os, sys\nfrom pathlib import Path\nimport filelock\nfrom facepulse._files import lock_folder\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "lock_folder(Path('locked')).__enter__()"  # relative: others may not enter the folders above
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "UsageError: cannot write into locked (Permission denied): give a folder that you may" in done.stderr
    assert list(locked.iterdir()) == []


def test_missing_filelock_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facepulse.errors.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs filelock: pip install '.\[bench\]'"):
        lock_folder(tmp_path).__enter__()
