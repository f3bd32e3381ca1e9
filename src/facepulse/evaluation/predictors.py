"""From prepared crops to waveforms: classical methods as run time or as the literature reads them, and networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from typing import Protocol as Interface

import cv2
import numpy as np

from facepulse._types import Floats, Frames
from facepulse.datasets.cache import CacheSettings, margin_edge, within_margin
from facepulse.errors import UsageError
from facepulse.faces.crops import FaceClip
from facepulse.faces.skin import SkinTrace
from facepulse.inference.engine import Engine, find_engine
from facepulse.inference.weights import list_models
from facepulse.pipeline.estimate import region_waveforms
from facepulse.rppg.classical import CLASSICAL, ClassicalMethod, find_classical
from facepulse.rppg.protocols import Protocol
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import estimate_rate
from facepulse.rppg.spectrum import heart_rate

CHUNK = 256  # frames at a time, so that memory does not grow with length


@dataclass(frozen=True, eq=False)
class Reading:
    """The pulse in a segment.

    Attributes:
        waveform: (T,).
        regions: (K, T), the waveforms of those regions of the face that have to agree on a heart rate; None where the
            waveform alone is read.
        colours: (T, K, 3), the regions' own; None where nobody looked.
    """

    waveform: Floats
    regions: Floats | None = None
    colours: Floats | None = None

    def cut(self, begin: int, end: int) -> Reading:
        """The samples from `begin` to before `end`."""
        return Reading(
            self.waveform[begin:end],
            None if self.regions is None else self.regions[:, begin:end],
            None if self.colours is None else self.colours[begin:end],
        )

    def heart_rate(self, fps: float, protocol: Protocol) -> tuple[float, float | None]:
        """Bpm, and how far to trust it (0..1; None where there are no regions to agree)."""
        if self.regions is None:
            return heart_rate(self.waveform, fps, protocol), None
        agreement = estimate_rate([self.regions], fps, protocol)
        if self.colours is not None:
            agreement = with_color_test(agreement, [self.colours], fps, protocol)
        return agreement.bpm, calibrated_quality(agreement)


class Predictor(Interface):
    """A model that reads prepared recordings."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def how(self) -> str:
        """How it reads, in one line."""

    @property
    def card(self) -> Mapping[str, Any] | None:
        """The model card of a network."""

    def check(self, settings: CacheSettings) -> None:
        """Make sure that it can read crops which were made this way; raises `UsageError`."""

    def read(self, frames: Frames, settings: CacheSettings) -> Reading:
        """Crops of a segment, uint8 (T, size, size, 3), at least five seconds, to the pulse in it."""


def find_predictor(model: str, protocol: Protocol) -> Predictor:
    """The reader that a name or a path stands for.

    Args:
        model: a key of `facepulse.rppg.classical.CLASSICAL`, a name of `facepulse.list_models()`, or a file of weights
            (.safetensors) or of an exported network (.onnx).
        protocol: decides from what a classical method reads: under `facepulse` from the skin in four regions of the
            face, as run time does; under all others from the mean colour of the whole crop, as the literature does.

    Raises:
        UsageError: it is none of these, or the file cannot be loaded.
    """
    if model.upper() in CLASSICAL:
        method = find_classical(model)
        return RegionPredictor(method) if protocol.name == "facepulse" else ClassicalPredictor(method)
    engine = find_engine(model, precision="f32")  # the same figures on every machine
    if engine is not None:
        return NetworkPredictor(engine)
    raise UsageError(
        f"no model is called {model!r}: give a classical method ({', '.join(CLASSICAL)}), a .safetensors or .onnx "
        "file, "
        f"or the name of weights ({', '.join(list_models()) or 'none in this installation'})"
    )


@dataclass(frozen=True)
class _ClassicalPredictor:
    """What both ways to read by a classical method have in common."""

    method: ClassicalMethod

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name

    @property
    def card(self) -> None:
        """Methods have none."""

    def check(self, settings: CacheSettings) -> None:
        """Crops of any size do."""


@dataclass(frozen=True)
class RegionPredictor(_ClassicalPredictor):
    """A classical method on the skin of the face and of its regions, as `facepulse measure` reads it.

    Only the rhythm of a codec's key frames stays in: crops do not know where those were.
    """

    how: str = "skin of the face, heart rate where four regions agree"

    def read(self, frames: Frames, settings: CacheSettings) -> Reading:
        """See `Predictor.read`."""
        trace = SkinTrace()
        for start in range(0, len(frames), CHUNK):
            chunk = within_margin(frames[start : start + CHUNK], settings.margin)
            trace.push(FaceClip(chunk, start / settings.fps, settings.fps, segment=0))
        [part] = trace.segments
        waves = region_waveforms(self.method, part.rgb, settings.fps)
        return Reading(waves[0], waves[1:], part.rgb[:, 1:])


@dataclass(frozen=True)
class ClassicalPredictor(_ClassicalPredictor):
    """A classical method on the mean colour of whole crops, with hair and background, as in the literature's tables."""

    how: str = "mean colour of the whole crop"

    def read(self, frames: Frames, settings: CacheSettings) -> Reading:
        """See `Predictor.read`."""
        chunks = (frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK))
        rgb = np.concatenate([chunk.mean(axis=(1, 2), dtype=np.float64) for chunk in chunks])
        return Reading(self.method.waveform(rgb, settings.fps))


@dataclass(frozen=True)
class NetworkPredictor:
    """A network on windows of the length, size, margin and rate that it was trained on, joined by overlap-add."""

    engine: Engine

    @property
    def name(self) -> str:
        """What its weights are called."""
        return self.engine.card.name

    @property
    def how(self) -> str:
        """Its input, and what runs it."""
        card = self.engine.card
        return (
            f"{card.network} in half-overlapping windows of {card.frames} frames of {card.size} px, margin "
            f"{card.margin:g}, by {self.engine.name} in {self.engine.precision}"
        )

    @property
    def card(self) -> Mapping[str, Any]:
        """The model card."""
        return asdict(self.engine.card)

    def check(self, settings: CacheSettings) -> None:
        """See `Predictor.check`: the rate has to be the network's own, and crops can only lose pixels."""
        card = self.engine.card
        side = settings.size - 2 * margin_edge(settings.size, settings.margin, card.margin)
        if settings.fps != card.fps:
            problem = f"at {card.fps:g} fps, but they are at {settings.fps:g}"
        elif side > settings.size:
            problem = f"with a margin of {card.margin:g}, but they have {settings.margin:g}"
        elif side < card.size:
            problem = f"of {card.size} px at margin {card.margin:g}, but they have {side} px there"
        else:
            return
        raise UsageError(f"{card.name} reads crops {problem}: prepare the recordings anew for it")

    def read(self, frames: Frames, settings: CacheSettings) -> Reading:
        """See `Predictor.read`."""
        card = self.engine.card
        crops = within_margin(frames, settings.margin, card.margin)
        if crops.shape[1] != card.size:
            to = (card.size, card.size)
            crops = np.stack([cv2.resize(frame, to, interpolation=cv2.INTER_AREA) for frame in crops])
        return Reading(self.engine(crops).astype(np.float64))
