"""Model card: description of trained weights, needed to apply them and to interpret their quality."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

MINIMUM_SIZE: Final = 32  # pixels, required by every network: four halvings leave 2x2 pixels to average

METADATA_KEY: Final = "facepulse.card"  # key of the card in the metadata of weights and exported networks


@dataclass(frozen=True)
class ModelCard:
    """Model card stored inside every file of weights and every exported network.

    Attributes:
        name: name of the weights, `architecture.tag` for those that come with the package.
        network: the architecture, a key of `facepulse.inference.registry.NETWORKS`.
        config: values for the fields of the network's config; those not named keep their default.
        multiple: the length of a clip must be a multiple of this number of frames.
        frames: length in frames of the clips on which the network was trained, and of the windows in which it is run.
        size: side of the face crops in pixels.
        margin: widening of the face box to each side, as a fraction of its size.
        fps: clock rate of the frames in Hz.
        normalisation: description of how the network itself normalises frames of 0..255; callers do not normalise.
        training_data: data on which the network was trained.
        protocol: conditions of the scores: data, windows, and a named protocol of `facepulse.rppg.protocols`.
        scores: metric to value, with the unit in the metric's name.
        licence: licence of the weights, an SPDX identifier if there is one.
        quality_model: coefficients of the quality of its heart rates, the fields of
            `facepulse.rppg.quality.QualityModel`; if empty, those of the classical methods are used.
        output: "waveform", or "derivative" if the network was trained on differences of the reference, as in
            rPPG-Toolbox.
        sha256: hash of the tensors, in hexadecimal; empty until they are saved.

    Raises:
        ValueError: the value of a field is of another type or out of range.
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
            self._require(name, "a mapping of names to values", isinstance(getattr(self, name), Mapping))
        self._require("multiple", "a number of frames, at least 1", _is_whole(self.multiple, 1))
        low = 2 * self.multiple
        fits = _is_whole(self.frames, low) and self.frames % low == 0
        self._require("frames", f"a multiple of {low}, so that windows overlap by half", fits)
        self._require("size", f"a number of pixels, at least {MINIMUM_SIZE}", _is_whole(self.size, MINIMUM_SIZE))
        self._require("margin", "a fraction, at least 0", _is_finite(self.margin) and self.margin >= 0)
        self._require("fps", "a positive rate in Hz", _is_finite(self.fps) and self.fps > 0)
        for name in ("scores", "quality_model"):
            self._require(name, "finite numbers", all(_is_finite(value) for value in getattr(self, name).values()))
        self._require("output", "'waveform' or 'derivative'", self.output in ("waveform", "derivative"))
        digest = isinstance(self.sha256, str) and re.fullmatch("([0-9a-f]{64})?", self.sha256) is not None
        self._require("sha256", "64 hexadecimal digits", digest)

    def _require(self, field: str, expected: str, valid: bool) -> None:
        if not valid:
            raise ValueError(f"the card's {field} is {getattr(self, field)!r}: expected {expected}")

    def to_json(self) -> str:
        """Format the card as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse a card that `to_json` formatted.

        Raises:
            ValueError: the text is not a JSON object, or a field is missing, unknown or out of range.
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
