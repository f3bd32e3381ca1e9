"""Models on prepared crops: networks, and classical methods as run time or as the literature applies them."""

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
from facepulse.inference.engine import Engine
from facepulse.pipeline.estimate import region_waveforms
from facepulse.pipeline.methods import find_method
from facepulse.rppg.classical import ClassicalMethod
from facepulse.rppg.protocols import Protocol
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import calibrated_quality
from facepulse.rppg.regions import estimate_rate
from facepulse.rppg.spectrum import heart_rate

CHUNK = 256  # frames at a time, so that memory does not grow with length


@dataclass(frozen=True, eq=False)
class Prediction:
    """Waveforms of a segment.

    Attributes:
        waveform: (T,) BVP of the face.
        regions: (K, T) BVP of K facial regions, from whose cross-spectra the heart rate is estimated; None if it is
            estimated from `waveform` alone.
        rgb: (T, K, 3) traces of the regions for the colour test; None for no test.
    """

    waveform: Floats
    regions: Floats | None = None
    rgb: Floats | None = None

    def cut(self, begin: int, end: int) -> Prediction:
        """Return the samples from `begin` up to, not including, `end`."""
        return Prediction(
            self.waveform[begin:end],
            None if self.regions is None else self.regions[:, begin:end],
            None if self.rgb is None else self.rgb[begin:end],
        )

    def heart_rate(self, fps: float, protocol: Protocol) -> tuple[float, float | None]:
        """Estimate the heart rate in bpm and its quality, 0..1; the quality is None without regions."""
        if self.regions is None:
            return heart_rate(self.waveform, fps, protocol), None
        estimate = estimate_rate([self.regions], fps, protocol)
        if self.rgb is not None:
            estimate = with_color_test(estimate, [self.rgb], fps, protocol)
        return estimate.bpm, calibrated_quality(estimate)


class Predictor(Interface):
    """Model that predicts waveforms from prepared crops."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def description(self) -> str:
        """Input and method, in one line."""

    @property
    def card(self) -> Mapping[str, Any] | None:
        """The model card of a network; None for a classical method."""

    def check(self, settings: CacheSettings) -> None:
        """Raise `UsageError` if the model cannot take crops that were prepared with these settings."""

    def predict(self, frames: Frames, settings: CacheSettings) -> Prediction:
        """Predict the waveforms of a segment of at least five seconds from its crops, uint8 (T, size, size, 3)."""


def find_predictor(model: str, protocol: Protocol) -> Predictor:
    """Find the predictor of a name or path.

    Args:
        model: a key of `facepulse.rppg.classical.CLASSICAL`, a name of `facepulse.list_models("weights")`, or a file of
            weights (.safetensors, or .pth of rPPG-Toolbox) or of an exported network (.onnx).
        protocol: determines the input of a classical method: under `facepulse` the skin pixels of four facial regions,
            as at run time; under all others the mean RGB of the whole crop, as in the literature.

    Raises:
        UsageError: it is none of these, or the file cannot be loaded.
    """
    method = find_method(model, precision="f32")  # the same figures on every machine
    if method.engine is not None:
        return NetworkPredictor(method.engine)
    classical = method.classical
    return RegionPredictor(classical) if protocol.name == "facepulse" else ClassicalPredictor(classical)


@dataclass(frozen=True)
class _ClassicalPredictor:
    """Common base of the predictors of classical methods."""

    method: ClassicalMethod

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.name

    @property
    def card(self) -> None:
        """None: classical methods have no model card."""

    def check(self, settings: CacheSettings) -> None:
        """Accept crops of any size."""


@dataclass(frozen=True)
class RegionPredictor(_ClassicalPredictor):
    """A classical method on the skin pixels of the face and of its regions, as in `facepulse measure`.

    Unlike there, the rhythm of a codec's key frames is not removed: prepared crops have no key-frame times.
    """

    description: str = "skin of the face, heart rate from the cross-spectra of four regions"

    def predict(self, frames: Frames, settings: CacheSettings) -> Prediction:
        """See `Predictor.predict`."""
        trace = SkinTrace()
        for start in range(0, len(frames), CHUNK):
            chunk = within_margin(frames[start : start + CHUNK], settings.margin)
            trace.push(FaceClip(chunk, start / settings.fps, settings.fps, segment=0))
        [segment] = trace.segments
        waveforms = region_waveforms(self.method, segment.rgb, settings.fps)
        return Prediction(waveforms[0], waveforms[1:], segment.rgb[:, 1:])


@dataclass(frozen=True)
class ClassicalPredictor(_ClassicalPredictor):
    """A classical method on the mean RGB of whole crops, with hair and background, as in tables of the literature."""

    description: str = "mean RGB of the whole crop"

    def predict(self, frames: Frames, settings: CacheSettings) -> Prediction:
        """See `Predictor.predict`."""
        chunks = (frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK))
        rgb = np.concatenate([chunk.mean(axis=(1, 2), dtype=np.float64) for chunk in chunks])
        return Prediction(self.method.waveform(rgb, settings.fps))


@dataclass(frozen=True)
class NetworkPredictor:
    """A network on windows of the length, size, margin and frame rate of its training, joined by overlap-add."""

    engine: Engine

    @property
    def name(self) -> str:
        """Name of the weights."""
        return self.engine.card.name

    @property
    def description(self) -> str:
        """Input of the network, and the engine that runs it."""
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
        """See `Predictor.check`: the frame rate has to match exactly, and crops are only scaled down."""
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
        raise UsageError(f"{card.name} takes crops {problem}: prepare the recordings again for it")

    def predict(self, frames: Frames, settings: CacheSettings) -> Prediction:
        """See `Predictor.predict`."""
        card = self.engine.card
        crops = within_margin(frames, settings.margin, card.margin)
        if crops.shape[1] != card.size:
            size = (card.size, card.size)
            crops = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in crops])
        return Prediction(self.engine(crops).astype(np.float64))
