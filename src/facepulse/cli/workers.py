"""Worker processes that measure several videos at the same time, one each."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait

import cv2

from facepulse._processes import end_with_parent, signals_blocked
from facepulse.cli.video_job import Outcome, VideoJob, VideoMeasurer
from facepulse.errors import FacepulseError

# Numbers of threads of numpy, torch and the engines, which are read when a process starts.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measure_in_processes(jobs: Sequence[VideoJob], measurer: VideoMeasurer, processes: int) -> Generator[Outcome]:
    """Measure videos in worker processes with one thread each, which end when the iteration is closed.

    Args:
        jobs: the videos.
        measurer: copied to each process, which loads the method once.
        processes: number of videos at a time.

    Yields:
        The outcomes as soon as they are known. If a worker is killed, its video has an error, and a new worker takes
        its place.
    """
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_Worker(measurer))
                workers[-1].begin(waiting.popleft())
            ready = wait([worker.connection for worker in workers])
            for worker in [worker for worker in workers if worker.connection in ready]:
                job, outcome = worker.job, worker.outcome()
                if outcome is not None and waiting:
                    worker.begin(waiting.popleft())
                else:
                    workers.remove(worker)
                    worker.end()
                yield outcome or job.failure(_killed(job.video))
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that measures one video after another.

    Attributes:
        connection: becomes ready when the outcome of the video is there, or the process has ended.
        job: the video at work.
    """

    job: VideoJob

    def __init__(self, measurer: VideoMeasurer) -> None:
        # A forked process would inherit locks that threads of this one hold; a spawned one starts anew.
        context = get_context("spawn")
        self.connection, other_end = context.Pipe()
        self._process = context.Process(target=_work, args=(other_end, measurer), daemon=True)
        with signals_blocked(), _one_thread():
            self._process.start()
        other_end.close()

    def begin(self, job: VideoJob) -> None:
        """Begin to measure a video."""
        self.job = job
        with suppress(OSError):  # a process that was killed has no outcome either
            self.connection.send(job)

    def outcome(self) -> Outcome | None:
        """Wait for the outcome; None if the process was killed."""
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, OSError):
            return None
        return outcome

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: Connection, measurer: VideoMeasurer) -> None:
    """Measure the videos that come through a connection, until it is closed."""
    end_with_parent()
    cv2.setNumThreads(1)
    measurer = measurer.loaded()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(measurer(job))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Set the environment of processes that start now to one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _killed(video: str) -> FacepulseError:
    return FacepulseError(
        f"{video}: the process that measured it was killed, perhaps because memory ran out: repeat it with fewer --jobs"
    )
