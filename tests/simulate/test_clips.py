"""Training clips: the crop, its waveform, and no file on disk."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from facepulse.simulate.clips import training_clip
from simulated_people import needs_heads

pytestmark = needs_heads

# In a fresh process: one clip to load and compile what is needed, then another while file access is recorded.
RECORDED = """
import hashlib, os, sys
from facepulse.simulate.clips import training_clip

training_clip("complex", 0, 0, frames=3, size=48)
written = []

def record(event, arguments):
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(str(arguments[0]))
    elif event in ("os.mkdir", "os.rename", "subprocess.Popen"):
        written.append(event)

sys.addaudithook(record)
clip = training_clip("complex", 4, 9, frames=12, size=48)
print(hashlib.sha256(clip.frames.tobytes() + clip.ppg.tobytes()).hexdigest(), *written)
"""


def test_shape_type_and_ground_truth():
    clip = training_clip("calm", 1, 2, frames=45, size=56, fps=25.0)
    assert clip.frames.shape == (45, 56, 56, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.ppg.shape == (45,)
    assert clip.ppg.dtype == np.float32
    assert clip.fps == 25
    assert 40 < clip.bpm < 170
    assert 0.7 < np.ptp(clip.ppg) < 1.8, "about 1 peak to peak over two seconds"
    assert clip.attributes.light in ("Nature", "LED-high")
    spread = clip.frames.reshape(-1, 3).std(axis=0)
    assert (spread > 10).all(), "an image, not a plain field"


@pytest.mark.slow
def test_bytes_are_the_same_in_a_fresh_process_and_no_file_is_written(tmp_path: Path):
    clip = training_clip("complex", 4, 9, frames=12, size=48)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    fresh = subprocess.run(
        [sys.executable, "-c", RECORDED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    expected = hashlib.sha256(clip.frames.tobytes() + clip.ppg.tobytes()).hexdigest()
    assert fresh.stdout.split() == [expected], "and nothing written"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_index_seed_and_split_each_give_another_clip():
    first = training_clip("calm", 4, 9, frames=3, size=48)
    others = [
        training_clip("calm", 4, 10, frames=3, size=48),
        training_clip("calm", 5, 9, frames=3, size=48),
        training_clip("calm", 4, 9, split="test", frames=3, size=48),
    ]
    assert len({clip.frames.tobytes() for clip in (first, *others)}) == 4


@pytest.mark.slow
def test_green_falls_as_blood_volume_rises():
    band = butter(2, [0.7, 3.0], "band", fs=30, output="sos")

    def within(curve):
        return sosfiltfilt(band, curve)[8:-8]

    clips = [training_clip("calm", 0, index, frames=150, size=64) for index in (1, 3, 5, 7)]
    # The middle of the face, which no edge crosses.
    greens = [within(np.log(clip.frames[:, 19:46, 19:45, 1].mean(axis=(1, 2)))) for clip in clips]
    waveforms = [within(clip.ppg) for clip in clips]
    alike = np.corrcoef([-green for green in greens], waveforms)[: len(clips), len(clips) :]
    own, others = np.diag(alike), alike[~np.eye(len(clips), dtype=bool)]
    assert own.min() > 0.4, own
    assert np.median(own) > 0.6, own
    assert np.abs(others).mean() < 0.35, others
    for green, waveform in zip(greens, waveforms, strict=True):
        assert 1e-3 < -np.polyfit(waveform, green, 1)[0] < 2e-2, "between 0.1 and 2 %, as in real faces"


def test_wider_margin_shows_less_skin():
    near, far = (training_clip("calm", 0, 3, frames=3, size=64, margin=margin).frames for margin in (0.0, 1.0))

    def skin(frames):
        image = frames.astype(float)
        return ((image[..., 0] > 1.15 * image[..., 2]) & (image[..., 0] > image[..., 1])).mean()

    assert skin(near) > 1.5 * skin(far)
