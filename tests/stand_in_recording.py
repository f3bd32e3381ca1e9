"""A recording without rendering, for the tests of code that handles recordings."""

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from facepulse.simulate.codec import REPEATABLE, Encoding
from small_videos import gradient


@dataclass(frozen=True)
class StandInAttributes:
    light: str = "LED-low"
    motion: str = "Stationary"
    exercise: bool = False
    skin_color: int = 4
    gender: str = "female"
    glasser: bool = True
    hair_cover: bool = False
    makeup: bool = True


ENCODING = Encoding("libx264", {"preset": "ultrafast", "crf": "10", **REPEATABLE})


@dataclass(frozen=True)
class StandInRecording:
    name: str = "stand-in"
    subject: int = 1
    seed: int = 0
    seconds: float = 2.0
    width: int = 64
    height: int = 48
    fps: float = 30.0
    bpm: float = 72.0
    attributes: StandInAttributes = StandInAttributes()
    encoding: Encoding = ENCODING
    slowness_s: float = 0.0  # per frame
    reference_hz: float = 100.0

    @property
    def times(self) -> np.ndarray:
        """Capture times with jitter; the tenth frame is lost."""
        rng = np.random.default_rng(self.seed)
        times = np.arange(round(self.seconds * self.fps)) / self.fps
        times[1:] += rng.uniform(-0.1, 0.1, len(times) - 1) / self.fps
        return np.delete(times, 10)

    @property
    def reference_times(self) -> np.ndarray:
        return np.arange(0.0, self.times[-1] + 1 / self.reference_hz, 1 / self.reference_hz)

    @property
    def reference_ppg(self) -> np.ndarray:
        return np.sin(2 * np.pi * self.bpm / 60 * self.reference_times)

    @property
    def reference_bpm(self) -> np.ndarray:
        return self.bpm + self.reference_times

    def face_box(self, index: int = 0) -> tuple[float, float, float, float]:
        """An arbitrary box, since there is no face."""
        return 8.0, 4.0, 32.0, 32.0

    def frames(self) -> Iterator[np.ndarray]:
        """Yield an image with different corners that moves to the right by one pixel per frame."""
        image = gradient(self.width, self.height)
        image[0, 0] = self.seed % 256
        for index in range(len(self.times)):
            time.sleep(self.slowness_s)
            yield np.roll(image, index, axis=1)


def make_recording(preset: str, seed: int, index: int, *, split: str, slot: Any, seconds: float) -> StandInRecording:
    attributes = StandInAttributes(slot.light or "Nature", slot.motion or "Stationary", bool(slot.exercise))
    return StandInRecording(
        slot.path.name, slot.subject, 1000 * seed + index, seconds, attributes=attributes, fps=slot.fps or 30.0
    )


def make_slow_recording(*arguments: Any, **options: Any) -> StandInRecording:
    return replace(make_recording(*arguments, **options), slowness_s=0.004)


class FullDisk(StandInRecording):
    def frames(self) -> Iterator[np.ndarray]:
        yield from islice(super().frames(), 5)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def make_on_a_full_disk(*arguments: Any, **options: Any) -> StandInRecording:
    """Make recordings of which all but the first raise the error of a full disk."""
    recording = make_recording(*arguments, **options)
    return recording if recording.seed == 0 else FullDisk(**vars(recording))


def contents(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder, by their relative paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
