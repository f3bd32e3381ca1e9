"""Traces of a face whose content is known, in place of those of a video, and a network in place of a trained one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from facepulse.faces.skin import REGIONS
from facepulse.pipeline.extract import Segment
from facepulse.pipeline.methods import Method
from facepulse.rppg.classical import CLASSICAL

FPS, SECONDS = 30.0, 20.0
SKIN = np.array([170.0, 120.0, 95.0])
PULSE = np.array([0.3, 1.0, 0.5])  # relative change of each colour
KEY_TIMES = tuple(np.arange(0.0, SECONDS, 1.0))
TIMES = np.arange(round(SECONDS * FPS)) / FPS

CONTENTS = ("pulse", "noise", "key frames", "grey", "constant", "lamp")


def face_segment(content: str, bpm: float = 72.0, seed: int = 0) -> Segment:
    """Simulate the traces of a face.

    Args:
        content: "pulse"; "noise" without one; "key frames", noise and a jump at each of `KEY_TIMES`; "grey", a pulse
            without colour; "constant"; "lamp", changes of brightness that all regions share.
        bpm: heart rate of the pulse.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    shape = (len(TIMES), len(REGIONS), 3)
    rgb = SKIN + 0.2 * rng.standard_normal(shape)
    if content in ("pulse", "grey"):
        rgb -= 0.005 * np.sin(2 * np.pi * bpm / 60 * TIMES)[:, None, None] * PULSE * SKIN
    if content == "grey":
        rgb = np.repeat(rgb[..., 1:2], 3, axis=-1)
    if content == "key frames":
        rgb += 0.6 * (TIMES % 1.0 < 0.1)[:, None, None] * PULSE
    if content == "constant":
        rgb = np.broadcast_to(SKIN, shape).copy()
    if content == "lamp":
        rgb = np.broadcast_to(SKIN * (1 + 0.01 * rng.standard_normal((len(TIMES), 1, 1))), shape).copy()
    return Segment(TIMES, rgb, FPS)


def with_network(segment: Segment, bpm: float, seed: int = 0) -> tuple[Segment, Method]:
    """Add the noisy waveform of a network that predicts a heart rate of its own, and return the network, too."""
    noise = 0.3 * np.random.default_rng(seed).standard_normal(len(TIMES))
    quality_model = {"intercept": 2.0, "coherence": 0.8, "rate": 2.0, "length": 1.0, "network": 0.8}
    engine = SimpleNamespace(card=SimpleNamespace(name="net", fps=FPS, quality_model=quality_model))
    waveform = np.sin(2 * np.pi * bpm / 60 * TIMES) + noise
    return replace(segment, waveform=waveform), Method(CLASSICAL["POS"], engine)  # type: ignore[arg-type]
