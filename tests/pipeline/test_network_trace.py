"""Waveform of a network from the clips of a face: the same as from each whole segment at once."""

from types import SimpleNamespace

import numpy as np
import pytest

from facepulse.faces.crops import FaceClip
from facepulse.inference.engine import Engine
from facepulse.pipeline.network_trace import NetworkTrace


class MeanNetwork:
    """Stands in for a network: the mean of each frame."""

    metadata: dict[str, str] = {}  # noqa: RUF012
    precision = "f32"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return frames.mean(axis=(2, 3, 4), dtype=np.float32)


ENGINE = Engine("torch", SimpleNamespace(multiple=4, frames=64, fps=25.0, output="waveform"), MeanNetwork())  # type: ignore[arg-type]


def frames_of(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (length, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [1, 13, 64, 500])
def test_waveform_does_not_depend_on_the_size_of_the_clips(size: int) -> None:
    trace = NetworkTrace(ENGINE)
    for segment, length in enumerate((150, 40)):
        frames = frames_of(length, segment)
        for start in range(0, length, size):
            trace.push(FaceClip(frames[start : start + size], 10.0 * segment + start / 25.0, 25.0, segment))
    first, second = trace.segments
    assert (first.start_s, first.fps, second.start_s) == (0.0, 25.0, 10.0)
    assert np.array_equal(first.waveform, ENGINE(frames_of(150, 0)).astype(np.float64))
    assert np.array_equal(second.waveform, ENGINE(frames_of(40, 1)).astype(np.float64))


def test_segment_too_short_for_a_network_has_a_constant_waveform() -> None:
    trace = NetworkTrace(ENGINE)
    trace.push(FaceClip(frames_of(7, 0), 0.0, 25.0, 0))
    trace.push(FaceClip(frames_of(100, 1), 5.0, 25.0, 1))
    short, long = trace.segments
    assert short.waveform.shape == (7,)
    assert not short.waveform.any()
    assert long.waveform.any()


def test_trace_without_clips_has_no_segments() -> None:
    assert NetworkTrace(ENGINE).segments == []


def test_discarded_samples_do_not_change_the_others() -> None:
    trace = NetworkTrace(ENGINE)
    trace.push(FaceClip(frames_of(50, 0), 0.0, 25.0, 0))
    trace.push(FaceClip(frames_of(500, 1), 5.0, 25.0, 1))
    whole = trace.segments[1].waveform
    trace.discard(15.0)
    [segment] = trace.segments
    assert segment.start_s == pytest.approx(15.0)
    assert np.array_equal(segment.waveform, whole[250:])
    assert len(trace._stream._windows) < 10, "windows before them are discarded"
