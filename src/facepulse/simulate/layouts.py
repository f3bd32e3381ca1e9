"""Layouts of recordings on disk: two of the project's own, and those of three public datasets for their loaders.

* PURE: Stricker et al., IEEE RO-MAN 2014, "Non-contact video-based pulse rate measurement on a mobile service robot".
* UBFC-rPPG: Bobbia et al., Pattern Recognition Letters 2019, "Unsupervised skin tissue segmentation for remote
  photoplethysmography".
* MMPD: Tang et al., IEEE EMBC 2023, "MMPD: multi-domain mobile video physiology dataset".
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from facepulse._files import atomic_path
from facepulse._types import Floats, Frames, Image
from facepulse.errors import UsageError
from facepulse.simulate.presets import Slot
from facepulse.video.writer import VideoWriter

if TYPE_CHECKING:
    from facepulse.simulate.recording import SimulatedRecording

About = Mapping[str, Any]  # the settings of the run: preset, seed, version, ...


@dataclass(frozen=True)
class Layout:
    """One arrangement of recordings on disk.

    Attributes:
        name: key in `LAYOUTS`.
        slot: maps the number of a recording, from 0, to its place.
        write: writes a recording's frames and reference to a path, as a file or a folder.
        bytes_per_pixel: approximate, per frame; None if a codec makes the size small.
    """

    name: str
    slot: Callable[[int], Slot]
    write: Callable[[SimulatedRecording, Iterator[Image], Path, About], None]
    bytes_per_pixel: float | None = None

    def expected_bytes(self, seconds: float) -> float | None:
        """Approximate size of a recording of a length; None if a codec makes it small."""
        slot = self.slot(0)
        if self.bytes_per_pixel is None or slot.width is None or slot.height is None or slot.fps is None:
            return None
        return self.bytes_per_pixel * slot.width * slot.height * slot.fps * seconds


def store(
    layout: Layout, recording: SimulatedRecording, slot: Slot, root: Path, about: About, on_frame: Callable[[], None]
) -> None:
    """Write a recording, which appears at its place once it is complete.

    Args:
        layout: one of `LAYOUTS`.
        recording: to write.
        slot: place in the layout.
        root: folder of the layout; exists.
        about: settings of the run, kept beside the recording if the layout has a place for them.
        on_frame: called after each frame.
    """

    def counted() -> Iterator[Image]:
        for _, frame in zip(recording.times, recording.frames(), strict=True):
            yield frame
            on_frame()

    with atomic_path(root / slot.path, within=root) as path:
        layout.write(recording, counted(), path, about)


# --- native: a video as a user has it, the reference with its own clock, and the description


def _native_slot(index: int) -> Slot:
    return Slot(PurePosixPath(f"simulated-{index:05d}"), subject=index + 1)


def write_video(recording: SimulatedRecording, frames: Iterator[Image], folder: Path) -> Path:
    """Write frames as a video with a recording's encoding and times.

    Args:
        recording: the recording.
        frames: its frames, one per time.
        folder: folder of the video; exists.

    Returns:
        The file, `video` with the encoding's suffix.
    """
    video = folder / f"video{recording.encoding.suffix}"
    with VideoWriter(video, recording.width, recording.height, **recording.encoding.writer_arguments()) as writer:
        for frame, time in zip(frames, recording.times, strict=True):
            writer.write(frame, float(time))
    return video


def _write_native(recording: SimulatedRecording, frames: Iterator[Image], path: Path, about: About) -> None:
    path.mkdir()
    write_video(recording, frames, path)
    reference = np.stack([recording.reference_times, recording.reference_ppg, recording.reference_bpm], axis=1)
    np.savetxt(
        path / "ppg.csv", reference, ["%.6f", "%.6f", "%.3f"], delimiter=",", header="time_s,ppg,bpm", comments=""
    )
    description = {
        **about,
        "subject": recording.subject,
        "mean_bpm": recording.bpm,
        "face_box": recording.face_box(),
        "frames": len(recording.times),
        "fps": _mean_fps(recording.times),
        "width": recording.width,
        "height": recording.height,
        "attributes": asdict(recording.attributes),
        "encoding": asdict(recording.encoding),
    }
    (path / "recording.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


# --- close-up: as native, but no more of the frame than a crop of the face needs, at a third of the computation

# A crop with the usual margin then has 120 pixels; the networks take 128 or fewer.
_CLOSE_UP_FACE = 80


def _close_up_slot(index: int) -> Slot:
    return replace(_native_slot(index), face=_CLOSE_UP_FACE)


# --- PURE: a folder of PNG images, and a JSON file with the packets of the finger clip

_PURE_MOTIONS = (
    "Stationary",
    "Talking",
    "slow translation",
    "fast translation",
    "small rotation",
    "medium rotation",
)
_PURE_MISSING = 31  # 06-02 does not exist
_PURE_EPOCH_NS = 1_390_000_000_000_000_000  # January 2014, when PURE was recorded
_PURE_HZ = 60.0


def _pure_slot(index: int) -> Slot:
    subject, setup = divmod(index if index < _PURE_MISSING else index + 1, len(_PURE_MOTIONS))
    path = PurePosixPath(f"{subject + 1:02d}-{setup + 1:02d}")
    return Slot(path, subject + 1, motion=_PURE_MOTIONS[setup], width=640, height=480, fps=30.0)


def _write_pure(recording: SimulatedRecording, frames: Iterator[Image], path: Path, about: About) -> None:
    images = path / path.name
    images.mkdir(parents=True)
    rng = np.random.default_rng([recording.seed, zlib.crc32(path.name.encode())])
    epoch_ns = _PURE_EPOCH_NS + int(rng.integers(0, 30 * 24 * 3600 * 10**9))
    stamps = [epoch_ns + round(time * 1e9) for time in recording.times.tolist()]
    for frame, stamp in zip(frames, stamps, strict=True):
        _, png = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        (images / f"Image{stamp}.png").write_bytes(png.tobytes())  # unlike cv2.imwrite, raises an error with the reason

    # The clip has a clock of its own: it starts shortly after the camera, and its packets arrive unevenly.
    first = max(float(recording.reference_times[0]), float(recording.times[0])) + rng.uniform(2e-3, 30e-3)
    last = min(float(recording.reference_times[-1]), float(recording.times[-1]) + 0.03)
    times = np.arange(first, last, 1.0 / (_PURE_HZ * rng.uniform(0.998, 1.002)))
    ppg = _at(recording, times, recording.reference_ppg)
    waveform = np.interp(ppg, (ppg.min(), ppg.max()), (10, 110))  # the clip has seven bits
    bpm = _at(recording, times, recording.reference_bpm)
    saturation = int(rng.integers(96, 100))
    packets = [
        {
            "Timestamp": epoch_ns + round(time * 1e9),
            "Value": {"waveform": round(value), "pulseRate": round(rate), "o2saturation": saturation},
        }
        for time, value, rate in zip(
            (times + rng.uniform(0, 1e-3, times.size)).tolist(), waveform.tolist(), bpm.tolist(), strict=True
        )
    ]
    content = {"/FullPackage": packets, "/Image": [{"Timestamp": stamp} for stamp in stamps]}
    (path / f"{path.name}.json").write_text(json.dumps(content), encoding="utf-8")


# --- UBFC-rPPG, dataset 2: an uncompressed AVI, and a text with three lines of one number per frame

_UBFC_IDS = (1, 3, 4, 5, 8, *range(9, 19), 20, *range(22, 28), *range(30, 50))


def _ubfc_slot(index: int) -> Slot:
    subject = _UBFC_IDS[index] if index < len(_UBFC_IDS) else _UBFC_IDS[-1] + 1 + index - len(_UBFC_IDS)
    # Real ones have 29.3 to 29.97 frames per second, all different: multiples of the golden ratio fill a range evenly.
    fps = 29.3 + 0.67 * (index * 0.6180339887 % 1.0)
    return Slot(PurePosixPath(f"subject{subject}"), subject, width=640, height=480, fps=fps)


def _write_ubfc(recording: SimulatedRecording, frames: Iterator[Image], path: Path, about: About) -> None:
    path.mkdir()
    # An AVI only counts frames; their times are in the text.
    fps = _mean_fps(recording.times)
    with VideoWriter(
        path / "vid.avi", recording.width, recording.height, fps=fps, codec="rawvideo", pixel_format="bgr24"
    ) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index / fps)
    times = recording.times
    ppg, bpm = (_at(recording, times, values) for values in (recording.reference_ppg, recording.reference_bpm))
    lines = np.stack([ppg, bpm, times])
    np.savetxt(path / "ground_truth.txt", lines, fmt="%16.7e", delimiter="")


# --- MMPD: one MATLAB file per recording, twenty per subject

_MMPD_MOTIONS = ("Stationary", "Rotation", "Talking", "Walking")
_MMPD_CONDITIONS = (
    *[(light, motion, False) for light in ("LED-low", "LED-high", "Incandescent") for motion in _MMPD_MOTIONS],
    *[(light, "Stationary", True) for light in ("Incandescent", "LED-high", "LED-low", "Nature")],
    *[("Nature", motion, False) for motion in _MMPD_MOTIONS],
)


def _mmpd_slot(index: int) -> Slot:
    subject, number = divmod(index, len(_MMPD_CONDITIONS))
    subject += 1
    path = PurePosixPath(f"subject{subject}", f"p{subject}_{number}.mat")
    return Slot(path, subject, *_MMPD_CONDITIONS[number], width=320, height=240, fps=30.0)


def _write_mmpd(recording: SimulatedRecording, frames: Iterator[Image], path: Path, about: About) -> None:
    from scipy.io import savemat  # takes a third of a second and is needed for this layout alone

    labels = recording.attributes
    # 8-bit numbers, a quarter of the size in the file: 7 MB per second of 320x240 pixels.
    video = np.empty((len(recording.times), recording.height, recording.width, 3), np.uint8)
    if 4 * video.size >= 2**31:
        raise UsageError(
            f"a MATLAB file holds less than 2 GB, and {recording.seconds:g} s take more: give 75 s at most"
        )
    for index, frame in enumerate(frames):
        video[index] = frame
    variables: dict[str, Any] = {
        "GT_ppg": _at(recording, recording.times, recording.reference_ppg)[np.newaxis],
        "light": labels.light,
        "motion": f"{labels.motion} (after exercise)" if labels.exercise else labels.motion,
        "exercise": str(labels.exercise),
        "skin_color": np.array([[labels.skin_color]]),
        "gender": labels.gender,
        "glasser": str(labels.glasser),
        "hair_cover": str(labels.hair_cover),
        "makeup": str(labels.makeup),
    }
    savemat(path, variables, do_compression=True)
    with path.open("r+b") as file:
        # The standard header contains the date: the same seed would give other bytes.
        file.write(f"MATLAB 5.0 MAT-file, simulated by facepulse {about['version']}".ljust(116).encode())
        file.seek(0, os.SEEK_END)
        _append_array(file, "video", video)


def _append_array(file: Any, name: str, values: Frames) -> None:
    """Append 0..255 as single-precision 0..1 to a MATLAB file (format 5), compressed, without a second copy in memory.

    `scipy.io.savemat` would take nine times as much. The tags are those of "MAT-File Format", The MathWorks.

    Args:
        file: open for reading and writing, at its end.
        name: of the variable, at most 8 letters.
        values: (T, H, W, C).
    """
    scale = np.arange(256, dtype=np.float32) / np.float32(255)
    size = 4 * values.size
    head = struct.pack("<4I", 6, 8, 7, 0)  # uint32: class single
    head += struct.pack("<2I4i", 5, 16, *values.shape)  # int32: dimensions
    head += struct.pack("<2I8s", 1, len(name), name.encode())  # int8: name
    head += struct.pack("<2I", 7, size)  # single: the values
    padding = -size % 8
    packer = zlib.compressobj(level=1)
    start = file.tell()
    file.write(struct.pack("<2I", 15, 0))  # compressed; the length is filled in at the end
    file.write(packer.compress(struct.pack("<2I", 14, len(head) + size + padding) + head))  # an array
    for channel in range(values.shape[3]):  # MATLAB's first index runs fastest
        for column in range(values.shape[2]):
            file.write(packer.compress(scale[values[:, :, column, channel].T].tobytes()))
    file.write(packer.compress(bytes(padding)) + packer.flush())
    length = file.tell() - start - 8
    file.seek(start)
    file.write(struct.pack("<2I", 15, length))


# --- all layouts


def _mean_fps(times: Floats) -> float:
    return float((len(times) - 1) / (times[-1] - times[0]))


def _at(recording: SimulatedRecording, times: Floats, values: Floats) -> Floats:
    """Values of the reference, (R,), interpolated at other times, (T,)."""
    return np.asarray(np.interp(times, recording.reference_times, values))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("native", _native_slot, _write_native),
        Layout("close-up", _close_up_slot, _write_native),
        Layout("pure", _pure_slot, _write_pure, bytes_per_pixel=1.5),
        Layout("ubfc-rppg", _ubfc_slot, _write_ubfc, bytes_per_pixel=3.0),
        Layout("mmpd", _mmpd_slot, _write_mmpd, bytes_per_pixel=2.5),
    )
}
