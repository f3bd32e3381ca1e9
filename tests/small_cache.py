"""Writer of small caches, as of `facepulse prepare`, whose crops change colour with a known pulse."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facepulse._files import atomic_path
from facepulse.datasets.cache import (
    DESCRIPTION,
    FRAMES,
    LABELS,
    CacheSettings,
    FramesWriter,
    content_hash,
    write_settings,
)
from facepulse.faces.skin import REGIONS

SKIN = np.array([170.0, 120.0, 95.0])
ABSORPTION = np.array([0.33, 0.77, 0.53])  # of blood, in the RGB of a camera


@dataclass(frozen=True)
class SmallRecording:
    """Content of a recording.

    Attributes:
        name: of the recording.
        subject: identifier of the person.
        bpm: heart rate of the pulse in the crops.
        reference_bpm: heart rate of the reference PPG; negative for that of the crops, None for no reference PPG.
        seconds: length of each segment.
        strength: amplitude of the pulse, as a fraction of the light.
        device_bpm: constant heart rate of the device, instead of a reference PPG.
        attributes: of the recording.
        reference_gap_s: first and last second of a gap in the reference.
    """

    name: str
    subject: str
    bpm: float = 72.0
    reference_bpm: float | None = -1.0
    seconds: Sequence[float] = (12.0,)
    strength: float = 0.02
    device_bpm: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    reference_gap_s: tuple[float, float] | None = None


FOUR = (
    SmallRecording("1-a", "1", 63.0, attributes={"light": "bright", "skin_color": 3}),
    SmallRecording("1-b", "1", 75.0, attributes={"light": "dim", "skin_color": 3}),
    SmallRecording("2-a", "2", 90.0, attributes={"light": "bright", "skin_color": 5}),
    SmallRecording("10-a", "10", 111.0, attributes={"light": "dim", "skin_color": 5}),
)


def write_cache(
    root: Path,
    recordings: Sequence[SmallRecording] = FOUR,
    *,
    size: int = 36,
    margin: float = 0.0,
    fps: float = 30.0,
    dataset: str = "small",
) -> Path:
    """Write the recordings and return the folder of their dataset."""
    folder = root / dataset
    folder.mkdir(parents=True, exist_ok=True)
    write_settings(folder, CacheSettings(size=size, margin=margin, fps=fps, detector="haar"))
    for number, recording in enumerate(recordings):
        _write(folder, recording, size, fps, dataset, number)
    return folder


def waveform(bpm: float, times: np.ndarray) -> np.ndarray:
    """Compute a pulse with a harmonic, systole up."""
    phase = 2 * np.pi * bpm / 60 * times
    return np.sin(phase) + 0.3 * np.sin(2 * phase - 1.0)


def _write(folder: Path, recording: SmallRecording, size: int, fps: float, dataset: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = [round(seconds * fps) for seconds in recording.seconds]
    segment = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    times = np.arange(sum(counts)) / fps + 3.0 * segment  # between segments no face was found for 3 s
    texture = SKIN + rng.normal(0, 6, (size, size, 1))
    light = 1 - recording.strength * waveform(recording.bpm, times)[:, None, None, None] * ABSORPTION
    with atomic_path(folder / recording.name) as temporary:
        temporary.mkdir()
        writer = FramesWriter(temporary / FRAMES, size)
        for change in light:
            noisy = texture * change + rng.normal(0, 1.5, (*texture.shape[:2], 3))
            writer.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[None])
        writer.close()
        labels = {
            "times": times,
            "segment": segment,
            "boxes": np.tile(np.float32([40, 30, 90, 90]), (len(times), 1)),
            "rgb": SKIN * light[:, 0] + rng.normal(0, 0.1, (len(times), len(REGIONS), 3)),
            "key_times": np.zeros(0),
            "anchor_times": np.zeros(0),
        }
        if recording.device_bpm is not None:
            labels["bpm"] = np.full(len(times), recording.device_bpm, np.float32)
        elif recording.reference_bpm is not None:
            true_bpm = recording.bpm if recording.reference_bpm < 0 else recording.reference_bpm
            labels["ppg"] = waveform(true_bpm, times - 0.15).astype(np.float32)  # later at the finger
            if recording.reference_gap_s is not None:
                labels["ppg"][(times >= recording.reference_gap_s[0]) & (times < recording.reference_gap_s[1])] = np.nan
        np.savez(temporary / LABELS, **labels)
        description = {
            "dataset": dataset,
            "name": recording.name,
            "subject": recording.subject,
            "attributes": dict(recording.attributes),
            "video_fps": fps,
            "clock_quality": 1.0,
            "notes": [],
            "alignment": None,
            "sha256": content_hash(temporary),
        }
        (temporary / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
