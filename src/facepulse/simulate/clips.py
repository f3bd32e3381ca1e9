"""Training clips straight from the simulator: crops of a face and the BVP waveform, without a file in between.

Only the crop is rendered, at its final size, and then encoded and decoded as the whole video would be. The result has
the form of a prepared recording: a square around the face, a fixed size, a uniform clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facepulse._types import Floats32, Frames
from facepulse.simulate.codec import through_codec
from facepulse.simulate.recording import Attributes, SimulatedRecording, make_recording
from facepulse.simulate.render import View


@dataclass(frozen=True)
class TrainingClip:
    """One clip with its ground truth.

    Attributes:
        frames: uint8 (T, size, size, 3), RGB.
        ppg: float32 (T,) blood volume of the face at the frames' times, systole upwards, about 1 peak to peak.
        fps: frame rate in Hz.
        bpm: mean heart rate over the clip.
        attributes: labels of the recording.
    """

    frames: Frames
    ppg: Floats32
    fps: float
    bpm: float
    attributes: Attributes


def training_clip(
    preset: str,
    seed: int,
    index: int,
    *,
    split: str = "train",
    frames: int = 160,
    size: int = 128,
    fps: float = 30.0,
    margin: float = 0.25,
) -> TrainingClip:
    """Simulate one clip; the same arguments give the same bytes in any process and in any order.

    Args:
        preset: key of `presets.PRESETS`.
        seed: of the set of clips.
        index: of the clip in the set, from 0.
        split: subset from which the person is drawn, one of `head.SPLITS`.
        frames: length T.
        size: side of the crop in pixels.
        fps: rate in Hz.
        margin: widening of the face box to each side, as a fraction of its size, as in `faces.crops`.
    """
    times = np.arange(frames) / fps
    recording = make_recording(preset, seed, index, split=split, seconds=frames / fps, times=times)
    view = _crop(recording, size, margin, np.random.default_rng([*recording.entropy, 20]))
    rendered = np.stack(list(recording.render(view)))
    encoding = recording.encoding.for_crop(size * size / (recording.width * recording.height), view.binning)
    return TrainingClip(
        frames=through_codec(rendered, times, encoding),
        ppg=recording.heartbeat.volume(times).astype(np.float32),
        fps=fps,
        bpm=recording.bpm,
        attributes=recording.attributes,
    )


def _crop(recording: SimulatedRecording, size: int, margin: float, rng: np.random.Generator) -> View:
    """View of a box around the face, with about the position and size errors of a detector."""
    x, y, side, _ = recording.face_box()
    middle = np.array([x, y]) + side / 2 + rng.normal(0.0, 0.03 * side, 2)
    wide = side * (1 + 2 * margin) * float(np.exp(rng.normal(0.0, 0.06)))
    left, top = middle - wide / 2
    return replace(recording.view, window=(float(left), float(top), wide, wide), shape=(size, size))
