"""Folder of a run: settings, environment, data hashes, metrics, checkpoint, weights and result."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from facepulse import __version__
from facepulse._files import atomic_write
from facepulse.errors import UsageError
from facepulse.training.settings import Settings, read_settings

SETTINGS = "settings.yaml"  # resolved: every field
ENVIRONMENT = "environment.json"  # versions, processor, git revision; one entry per start
DATA = "data.json"  # recordings and the hashes of their arrays
METRICS = "metrics.jsonl"  # a line per step and a line per epoch
CHECKPOINT = "checkpoint.pt"  # state from which the run is resumed
BEST, LAST = "best.safetensors", "last.safetensors"
DONE = "result.json"  # written when the run is complete

PACKAGES = ("torch", "numpy", "scipy", "opencv-python-headless", "av", "safetensors")
# Settings of hardware that may change when a run is resumed: they do not affect the weights.
FREE = ("device", "compile", "recompute", "workers", "checkpoint_minutes", "tensorboard")


class RunFolder:
    """Reads and writes a run's folder.

    Args:
        path: the folder; created with the first file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def result(self) -> dict[str, Any] | None:
        """Result of the run; None until it is complete."""
        if not (self.path / DONE).is_file():
            return None
        found: dict[str, Any] = json.loads((self.path / DONE).read_text(encoding="utf-8"))
        return found

    def check(self, settings: Settings, ranks: int, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """Check that the folder is empty or holds a run with the same settings and data.

        Args:
            settings: settings of this run.
            ranks: number of processes.
            data: hashes of the recordings.

        Returns:
            The checkpoint from which to resume; None to begin.

        Raises:
            UsageError: the folder holds another run, one of another number of processes, or one on data that have
                changed.
        """
        if not (self.path / SETTINGS).is_file():
            if self.path.is_dir() and any(not file.name.startswith(".") for file in self.path.iterdir()):
                raise UsageError(f"{self.path} is not empty and holds no run: give `out` an empty or new folder")
            return None
        stored, current = _fixed(read_settings(self.path / SETTINGS)), _fixed(settings)
        if changed := sorted(key for key in {*stored, *current} if stored.get(key) != current.get(key)):
            key = changed[0]
            raise UsageError(
                f"{self.path} holds a run with {key} {stored.get(key)}, not {current.get(key)}: give `out` another "
                "folder, or remove that one"
            )
        if not (self.path / DATA).is_file():
            return None  # killed before its first step
        if json.loads((self.path / DATA).read_text(encoding="utf-8")) != data:
            raise UsageError(f"{self.path}: the recordings have changed since this run began: give another `out`")
        checkpoint = self.read_checkpoint()
        if checkpoint is not None and checkpoint["ranks"] != ranks:
            raise UsageError(
                f"{self.path}: the run began with {checkpoint['ranks']} processes and cannot be resumed with {ranks}: "
                "start as many, or give another `out`"
            )
        return checkpoint

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Return the last checkpoint written; None before the first."""
        path = self.path / CHECKPOINT
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError) as error:
            raise UsageError(f"{path} is damaged: remove {self.path} and train again") from error
        return state

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint atomically."""
        # torch's own writer does not report why it failed, and a full disk needs a message of its own.
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        with atomic_write(self.path / CHECKPOINT) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def begin(self, settings: Settings, ranks: int, data: Mapping[str, Any], step: int) -> None:
        """Write settings, data hashes and environment, and drop the metrics of steps that will be repeated.

        Args:
            settings: settings of the run.
            ranks: number of processes.
            data: hashes of the recordings.
            step: steps done.
        """
        if not (self.path / DATA).is_file():
            with atomic_write(self.path / SETTINGS) as temporary:
                temporary.write_text(settings.to_yaml(), encoding="utf-8")
            self._write_json(DATA, data)
        starts = []
        if (self.path / ENVIRONMENT).is_file():
            starts = json.loads((self.path / ENVIRONMENT).read_text(encoding="utf-8"))
        self._write_json(ENVIRONMENT, [*starts, {"step": step, **environment(ranks)}])
        kept = [line for line in self.read_metrics() if line["step"] <= step]
        with atomic_write(self.path / METRICS) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Append a line to the metrics."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the metrics so far, without a last line that was cut off when the process was killed."""
        if not (self.path / METRICS).is_file():
            return []
        lines = []
        for text in (self.path / METRICS).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def finish(self, result: Mapping[str, Any]) -> None:
        """Mark the run as complete and write its result."""
        if not (self.path / BEST).is_file():
            with atomic_write(self.path / BEST) as temporary:
                shutil.copyfile(self.path / LAST, temporary)
        self._write_json(DONE, result)

    def _write_json(self, name: str, value: Any) -> None:
        with atomic_write(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def environment(ranks: int) -> dict[str, Any]:
    """Describe software and hardware of a run.

    Args:
        ranks: number of processes.
    """
    versions = {"facepulse": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "command": sys.argv,
        "versions": versions,
        "git": _git_revision(),
        "machine": platform.platform(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "processes": ranks,
    }


def _git_revision() -> str | None:
    """Return the git revision of this checkout; None for an installed package."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True
        )
    except OSError:
        return None
    return found.stdout.strip() or None


def _fixed(settings: Settings) -> dict[str, Any]:
    """Return the settings that must not change when a run is resumed: dotted key to value."""
    return {
        key: value
        for key, value in _flat(settings.to_dict()).items()
        if key != "out" and key.removeprefix("hardware.") not in FREE
    }


def _flat(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{where}{key}."))
        else:
            flat[f"{where}{key}"] = value
    return flat
