"""What a training run is: every choice a field with its unit, read from one YAML file and checked before any work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

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
    """What is trained.

    Attributes:
        name: key of `facepulse.inference.registry.NETWORKS`.
        config: values for the fields of its config; those not named keep their default.
        start: weights to begin with, of the same network and config: a file, or a name of `facepulse.list_models()`.
            Without any it begins at random.
    """

    name: str = "physfsunet"
    config: dict[str, Any] = {}
    start: str = ""

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            raise ValueError(f"name {self.name!r} is no network: choose one of {', '.join(NETWORKS)}")
        try:
            NETWORKS[self.name].load().config(**self.config)
        except (TypeError, ValueError) as error:
            raise ValueError(f"config does not fit {self.name}: {error}") from error


class Cache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prepared recordings of one dataset.

    Attributes:
        path: what `facepulse prepare` wrote: the folder of one dataset in the cache.
        split: one of `facepulse.datasets.splits.SPLITS`, with the number of the fold where it has several: `5-fold/2`.
        subset: of the split; of no meaning for `all`.
        where: attribute to wanted values.
        weight: how often each clip is seen in an epoch; 0.5 takes another half each time.
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
    """Clips drawn in memory by the simulator, new ones in every epoch.

    Attributes:
        preset: calm or complex.
        clips: how many an epoch.
        seed: of the people and all else that is drawn.
    """

    preset: Literal["calm", "complex"]
    clips: int
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(self, "clips", 1)
        _at_least(self, "seed", 0)


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is learnt from, and what chooses the best weights.

    Attributes:
        caches: prepared recordings to learn from.
        simulated: clips from the simulator to learn from as well, or instead.
        validation: prepared recordings of other people; without any, the last weights are the best.
        frames: length of a clip.
        size: side of the crops in pixels.
        margin: widening of the face box to each side, as a fraction of its size.
        fps: rate of the crops in Hz.
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
    """What is minimised; see `facepulse.training.losses`.

    Attributes:
        name: the paper's `hybrid`, or one of the simple losses it is compared with.
        alpha: α of the hybrid.
        lambda_: λ of its β.
        theta: θ of its β.
        heart_rate: the hybrid has its heart-rate term.
        as_coded: the hybrid's frequency terms as in the code that the paper builds on, faults included.
    """

    name: Literal["hybrid", "negative-pearson", "mse"] = "hybrid"
    alpha: float = HybridLoss.alpha
    lambda_: float = msgspec.field(default=HybridLoss.lambda_, name="lambda")
    theta: float = HybridLoss.theta
    heart_rate: bool = HybridLoss.heart_rate
    as_coded: bool = HybridLoss.as_coded

    def __post_init__(self) -> None:
        for name in ("alpha", "lambda_", "theta"):
            _above_zero(self, name)


class Optimiser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW under OneCycle; the defaults are the paper's.

    Attributes:
        lr: highest learning rate.
        weight_decay: of AdamW.
        batch: clips a step in each process.
        epochs: how often the data are gone through.
        clip_norm: longest gradient; longer ones are shortened to it. 0 leaves them as they are.
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
    """How weights are compared: by the error of heart rates, never by a loss.

    Attributes:
        protocol: key of `facepulse.rppg.spectrum.PROTOCOLS`.
        window_s: length in seconds of the windows whose mean absolute error decides.
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
    """How it is computed; nothing here is meant to change what is learnt.

    Attributes:
        device: auto is a GPU where there is one.
        precision: f32, or bf16 where automatic mixed precision allows it.
        compile: through `torch.compile`.
        recompute: keep only what goes into each convolution block, and compute the rest once more: less memory, a third
            more time.
        workers: processes that read, draw and augment clips; 0 does it in the training process.
        checkpoint_minutes: the longest time that a kill can cost.
        tensorboard: write the curves for TensorBoard as well.
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
    """A training run.

    Attributes:
        out: the run's folder.
        seed: the same seed gives the same weights, on the same machine with the same number of threads.
        network: what is trained.
        data: on what.
        loss: to what end.
        augmentation: how clips are varied; all off in the paper's recipe.
        optimiser: by what steps.
        validation: how the best weights are found.
        hardware: on what it is computed.
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
        """Every field as plain values, as YAML and JSON have them."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    def to_yaml(self) -> str:
        """The file that `read_settings` reads back."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def read_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings from a YAML file; what it does not name keeps its default.

    Args:
        path: the file.
        overrides: what stands in for values of the file, as on the command line: `--optimiser.lr`, `1e-3`, ...; values
            are YAML.

    Raises:
        UsageError: the file cannot be read, a key is unknown, a value is of the wrong type or out of its range.
    """
    path = Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): give a YAML file of settings") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {error}") from error
    if entries is None:
        entries = {}
    if not isinstance(entries, dict):
        raise UsageError(f"{path} holds {type(entries).__name__}: expected settings, a key and a value a line")
    for key, value in _pairs(overrides):
        _put(entries, key, value)
    return settings_from(entries, str(path))


def settings_from(entries: Mapping[str, Any], source: str) -> Settings:
    """Settings from plain values.

    Args:
        entries: as in the YAML file.
        source: where they come from, for the blame.

    Raises:
        UsageError: a key is unknown, a value is of the wrong type or out of its range.
    """
    _check_keys(Settings, entries, "", source)
    try:
        # Not strict, for YAML 1.1 reads 9e-3 as text.
        return msgspec.convert(entries, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        where = where.strip("`.")
        raise UsageError(f"{source}: {f'{where}: ' if where else ''}{message}") from error


def _check_keys(section: Any, entries: Any, where: str, source: str) -> None:
    """Name a key that no section knows, with those that it could have been."""
    if get_origin(section) is tuple and isinstance(entries, list):
        for number, entry in enumerate(entries):
            _check_keys(get_args(section)[0], entry, f"{where}[{number}]", source)
    if not (isinstance(section, type) and issubclass(section, msgspec.Struct) and isinstance(entries, Mapping)):
        return
    types = get_type_hints(section)
    known = {field.encode_name: types[field.name] for field in msgspec.structs.fields(section)}
    for key, value in entries.items():
        if key not in known:
            there = ", ".join(known)
            raise UsageError(f"{source}: {f'{where}.{key}' if where else key} is no setting: there are {there}")
        _check_keys(known[key], value, f"{where}.{key}" if where else key, source)


def _pairs(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """`--a.b value` and `--a.b=value` as keys and values."""
    pairs = []
    words = list(overrides)
    while words:
        word = words.pop(0)
        key, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not key:
            raise UsageError(f"{word!r} is no setting: give --section.key value")
        if not equals:
            if not words:
                raise UsageError(f"{word} has no value: give --section.key value")
            text = words.pop(0)
        try:
            pairs.append((key, yaml.safe_load(text)))
        except yaml.YAMLError as error:
            raise UsageError(f"--{key}: {text!r} is no YAML") from error
    return pairs


def _put(entries: dict[str, Any], key: str, value: Any) -> None:
    """Set a value in nested mappings by a key with dots."""
    *sections, last = key.split(".")
    for section in sections:
        inner = entries.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--{key}: {section} is no section of settings")
        entries = inner
    entries[last] = value
