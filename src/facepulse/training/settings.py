"""Settings of a training run: one field per choice, read from a YAML file and checked before any work starts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec
import yaml

from facepulse.datasets.splits import SPLITS
from facepulse.errors import UsageError
from facepulse.inference.registry import NETWORKS
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.training.augmentation import Augmentation
from facepulse.training.losses import HybridLoss

Subset = Literal["train", "validation", "test"]


def _at_least(section: msgspec.Struct, name: str, low: int) -> None:
    if getattr(section, name) < low:
        raise ValueError(f"{name} must be {low} or above, not {getattr(section, name)}")


def _above_zero(section: msgspec.Struct, name: str) -> None:
    if not 0 < getattr(section, name) < math.inf:
        raise ValueError(f"{name.strip('_')} must be above 0, not {getattr(section, name):g}")


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Network to train.

    Attributes:
        name: key of `facepulse.inference.registry.NETWORKS`.
        config: values for fields of its config; the others keep their default.
        start: initial weights, of the same network and config: a file, or a name of `facepulse.list_models("weights")`.
            Without any the initial weights are random.
    """

    name: str = "physfsunet"
    config: dict[str, Any] = {}
    start: str = ""

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            raise ValueError(f"name {self.name!r} is not a network: choose one of {', '.join(NETWORKS)}")
        try:
            NETWORKS[self.name].load().config(**self.config)
        except (TypeError, ValueError) as error:
            raise ValueError(f"config does not fit {self.name}: {error}") from error


class Cache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prepared recordings of one dataset.

    Attributes:
        path: folder of one dataset in the cache, written by `facepulse prepare`.
        split: one of `facepulse.datasets.splits.SPLITS`, with the number of the fold if it has several: `5-fold/2`.
        subset: subset of the split; ignored for `all`.
        where: attribute to accepted values.
        weight: number of times that each clip is used per epoch; with 0.5 each epoch takes the other half.
    """

    path: str
    split: str = "all"
    subset: Subset = "train"
    where: dict[str, tuple[str, ...]] = {}
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.split.partition("/")[0] not in SPLITS:
            raise ValueError(f"split {self.split!r} is unknown: choose one of {', '.join(SPLITS)}")
        _above_zero(self, "weight")


class Simulated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clips simulated in memory, new ones in every epoch.

    Attributes:
        preset: calm or complex.
        clips: clips per epoch.
        seed: seed of the people and everything else that is drawn.
    """

    preset: Literal["calm", "complex"]
    clips: int
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(self, "clips", 1)
        _at_least(self, "seed", 0)


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training and validation data.

    Attributes:
        caches: prepared recordings to train on.
        simulated: clips from the simulator to train on as well, or instead.
        validation: prepared recordings of other people; without any, the last weights count as the best.
        frames: length of a clip in frames.
        size: side of the crops in pixels.
        margin: enlargement of the face box on each side, as a fraction of its size.
        fps: frame rate of the crops in Hz.
    """

    caches: tuple[Cache, ...] = ()
    simulated: tuple[Simulated, ...] = ()
    validation: tuple[Cache, ...] = ()
    frames: int = 160
    size: int = 128
    margin: float = 0.25
    fps: float = 30.0

    def __post_init__(self) -> None:
        _at_least(self, "frames", 32)
        _at_least(self, "size", 32)
        _above_zero(self, "fps")
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"margin must be a fraction from 0 up, not {self.margin:g}")


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Loss function; see `facepulse.training.losses`.

    Attributes:
        name: the paper's `hybrid`, or one of the simple losses it is compared with.
        alpha: α of the hybrid.
        lambda_: λ of its β.
        theta: θ of its β.
        heart_rate: True for the hybrid with its heart-rate term.
        as_published_code: True for the hybrid's frequency terms as in RhythmFormer's code, which the paper builds on,
            faults included.
    """

    name: Literal["hybrid", "negative-pearson", "mse"] = "hybrid"
    alpha: float = HybridLoss.alpha
    lambda_: float = msgspec.field(default=HybridLoss.lambda_, name="lambda")
    theta: float = HybridLoss.theta
    heart_rate: bool = HybridLoss.heart_rate
    as_published_code: bool = HybridLoss.as_published_code

    def __post_init__(self) -> None:
        for name in ("alpha", "lambda_", "theta"):
            _above_zero(self, name)


class Optimiser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW with a OneCycle schedule; the defaults are the paper's.

    Attributes:
        lr: highest learning rate.
        weight_decay: weight decay of AdamW.
        batch: clips per step in each process.
        epochs: number of passes through the data.
        clip_norm: norm to which longer gradients are clipped; 0 for no clipping.
    """

    lr: float = 9e-3
    weight_decay: float = 0.0
    batch: int = 4
    epochs: int = 30
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        _above_zero(self, "lr")
        _at_least(self, "batch", 1)
        _at_least(self, "epochs", 1)
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or above, not {getattr(self, name):g}")


class Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choice of the best weights: by the error of heart rates, not by the loss.

    Attributes:
        protocol: key of `facepulse.rppg.protocols.PROTOCOLS`.
        window_s: length in seconds of the windows over which the mean absolute error is computed.
        every: epochs between two validations; the last epoch is always validated.
    """

    protocol: str = "facepulse"
    window_s: float = 10.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol {self.protocol!r} is unknown: choose one of {', '.join(PROTOCOLS)}")
        if not 5 <= self.window_s < math.inf:
            raise ValueError(f"window_s must be 5 or above, not {self.window_s:g}")
        _at_least(self, "every", 1)


class Hardware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hardware and execution; these settings are not meant to change the result.

    Attributes:
        device: cpu, cuda, or auto for a GPU if there is one.
        precision: f32, or bf16 for automatic mixed precision.
        compile: True to use `torch.compile`.
        recompute: True to store only the input of each convolution block and to compute the rest again for the
            gradient: less memory, a third more time.
        workers: processes that read and augment clips; 0 for none besides the training process.
        checkpoint_minutes: minutes between checkpoints, and so the longest time that is lost if the process is killed.
        tensorboard: True to write the metrics for TensorBoard as well.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["f32", "bf16"] = "f32"
    compile: bool = False
    recompute: bool = False
    workers: int = 0
    checkpoint_minutes: float = 5.0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _at_least(self, "workers", 0)
        if not 0 <= self.checkpoint_minutes < math.inf:
            raise ValueError(f"checkpoint_minutes must be 0 or above, not {self.checkpoint_minutes:g}")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a training run.

    Attributes:
        out: folder of the run.
        seed: seed of initial weights, order, augmentation and dropout. The same seed gives the same weights on the same
            machine with the same number of threads.
        network: network to train.
        data: training and validation data.
        loss: loss function.
        augmentation: random changes of clips; all off in the paper's recipe.
        optimiser: optimiser and schedule.
        validation: choice of the best weights.
        hardware: hardware and execution.
    """

    out: str = ""
    seed: int = 0
    network: Network = Network()
    data: Data = Data()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    optimiser: Optimiser = Optimiser()
    validation: Validation = Validation()
    hardware: Hardware = Hardware()

    def __post_init__(self) -> None:
        _at_least(self, "seed", 0)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values for YAML and JSON."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    def to_yaml(self) -> str:
        """Format all fields as YAML for `read_settings`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def read_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """Read settings from a YAML file; fields that it does not name keep their default.

    Args:
        path: the file.
        overrides: words of a command line that replace values of the file: `--optimiser.lr`, `1e-3`, ...; values are
            YAML.

    Raises:
        UsageError: the file cannot be read, a key is unknown, a value is of the wrong type or out of its range.
    """
    path = Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): give a YAML file of settings") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if entries is None:
        entries = {}
    if not isinstance(entries, dict):
        raise UsageError(f"{path} holds {type(entries).__name__}: expected settings, one key and value per line")
    for key, value in _pairs(overrides):
        _put(entries, key, value)
    return settings_from(entries, str(path))


def settings_from(entries: Mapping[str, Any], source: str) -> Settings:
    """Create settings from plain values.

    Args:
        entries: values as in the YAML file.
        source: name of their source for error messages.

    Raises:
        UsageError: a key is unknown, a value is of the wrong type or out of its range.
    """
    try:
        # Not strict, because YAML 1.1 parses 9e-3 as text.
        return msgspec.convert(entries, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        where = where.strip("`.")
        if unknown := re.search("unknown field `(.+)`", message):
            key = f"{where}.{unknown[1]}" if where else unknown[1]
            raise UsageError(f"{source}: {key} is not a setting: choose from {', '.join(_keys(where))}") from error
        raise UsageError(f"{source}: {f'{where}: ' if where else ''}{message}") from error


def _keys(where: str) -> list[str]:
    """Return the keys of the section at a path such as `data.caches[1]`."""
    section: Any = Settings
    for name, index in re.findall(r"(\w+)(\[\d+\])?", where):
        section = get_type_hints(section)[name]
        section = get_args(section)[0] if index else section
    return [field.encode_name for field in msgspec.structs.fields(section)]


def _pairs(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Parse `--a.b value` and `--a.b=value` into keys and values."""
    pairs = []
    words = list(overrides)
    while words:
        word = words.pop(0)
        key, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not key:
            raise UsageError(f"{word!r} is not a setting: give --section.key value")
        if not equals:
            if not words:
                raise UsageError(f"{word} has no value: give --section.key value")
            text = words.pop(0)
        try:
            pairs.append((key, yaml.safe_load(text)))
        except yaml.YAMLError as error:
            raise UsageError(f"--{key}: {text!r} is not valid YAML") from error
    return pairs


def _put(entries: dict[str, Any], key: str, value: Any) -> None:
    """Set a value in nested mappings by a dotted key."""
    *sections, last = key.split(".")
    for section in sections:
        inner = entries.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--{key}: {section} is not a section of settings")
        entries = inner
    entries[last] = value
