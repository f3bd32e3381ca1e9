"""What has to be known about trained weights to run them and to trust them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

MINIMUM_SIZE: Final = 32  # what every network here asks for: space is halved four times

METADATA_KEY: Final = "facepulse.card"  # under which weights and exported networks carry their card


@dataclass(frozen=True)
class ModelCard:
    """The model card that travels inside every file of weights and every exported network.

    Attributes:
        name: what the weights are called.
        network: the network's key in `facepulse.models.MODELS`.
        config: values for the fields of the network's configuration; those not named keep their default.
        multiple: the network takes clips of a multiple of this number of frames.
        frames: length in frames of the windows that it was trained on.
        size: side of the face crops in pixels.
        margin: widening of the face box to each side, as a fraction of its size.
        fps: clock rate of the frames in Hz.
        normalisation: what happens to frames of 0..255 inside the network, in words: no caller has to do it.
        training_data: data that the network was trained on.
        protocol: how the scores were taken: data, windows, a named protocol of `facepulse.rppg.spectrum`.
        scores: metric to value, the unit in the metric's name.
        licence: of the weights, an SPDX identifier where there is one.
        quality_model: coefficients of the quality of its heart rates, the fields of
            `facepulse.rppg.quality.QualityModel`; empty where none were fitted, and then those of the classical methods
            are used.
        output: "waveform", or "derivative" where the network was trained on differences of its reference, as those of
            rPPG-Toolbox were.
        sha256: of the tensors, in hexadecimal; empty until they are saved.

    Raises:
        ValueError: a field does not hold what it should.
    """

    name: str
    network: str
    config: Mapping[str, Any]
    multiple: int
    frames: int
    size: int
    margin: float
    fps: float
    normalisation: str
    training_data: str
    protocol: str
    scores: Mapping[str, float]
    licence: str
    quality_model: Mapping[str, float] = field(default_factory=dict)
    output: str = "waveform"
    sha256: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "network", "normalisation", "training_data", "protocol", "licence"):
            self._require(name, "text", isinstance(text := getattr(self, name), str) and bool(text.strip()))
        for name in ("config", "scores", "quality_model"):
            self._require(name, "a mapping from names to values", isinstance(getattr(self, name), Mapping))
        self._require("multiple", "a number of frames from 1 up", _is_whole(self.multiple, 1))
        low = 2 * self.multiple
        fits = _is_whole(self.frames, low) and self.frames % low == 0
        self._require("frames", f"a multiple of {low}, so that windows can overlap by half", fits)
        self._require("size", f"a number of pixels from {MINIMUM_SIZE} up", _is_whole(self.size, MINIMUM_SIZE))
        self._require("margin", "a fraction from 0 up", _is_finite(self.margin) and self.margin >= 0)
        self._require("fps", "a positive rate in Hz", _is_finite(self.fps) and self.fps > 0)
        for name in ("scores", "quality_model"):
            self._require(name, "finite numbers", all(_is_finite(value) for value in getattr(self, name).values()))
        self._require("output", "'waveform' or 'derivative'", self.output in ("waveform", "derivative"))
        digest = isinstance(self.sha256, str) and re.fullmatch("([0-9a-f]{64})?", self.sha256) is not None
        self._require("sha256", "64 hexadecimal digits", digest)

    def _require(self, field: str, wanted: str, fits: bool) -> None:
        if not fits:
            raise ValueError(f"the card's {field} is {getattr(self, field)!r}: expected {wanted}")

    def to_json(self) -> str:
        """The card as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` has written.

        Raises:
            ValueError: it is no JSON object, or a field is missing, unknown or out of its range.
        """
        entries = json.loads(text)
        if not isinstance(entries, dict):
            raise ValueError(f"the card is {entries!r}: expected a JSON object")
        names = {field.name for field in fields(cls)}
        for problem, differing in (("lacks", names - set(entries)), ("has an unknown", set(entries) - names)):
            if differing:
                raise ValueError(f"the card {problem} {', '.join(sorted(differing))}")
        return cls(**entries)


def _is_whole(value: object, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
