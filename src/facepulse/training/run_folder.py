"""The folder of a run, which is the truth about it: what was asked, on what it ran, what happened, and the weights."""

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
ENVIRONMENT = "environment.json"  # versions, processor, git revision; one entry for each time that it was started
DATA = "data.json"  # recordings and the hashes of their arrays
METRICS = "metrics.jsonl"  # a line a step, and a line an epoch
CHECKPOINT = "checkpoint.pt"  # all that it takes to go on
BEST, LAST = "best.safetensors", "last.safetensors"
DONE = "result.json"  # is there when the run has come to its end

PACKAGES = ("torch", "numpy", "scipy", "opencv-python-headless", "av", "safetensors")
# What may differ when a run goes on: it moves work about, and changes nothing that is learnt.
FREE = ("device", "compile", "recompute", "workers", "checkpoint_minutes", "tensorboard")


class RunFolder:
    """Reads and writes a run's folder.

    Args:
        path: the folder; made with the first file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of the run, once it has come to its end."""
        if not (self.path / DONE).is_file():
            return None
        found: dict[str, Any] = json.loads((self.path / DONE).read_text(encoding="utf-8"))
        return found

    def check(self, settings: Settings, ranks: int, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """Make sure that the run in the folder, if there is one, is this one.

        Args:
            settings: of this run.
            ranks: processes that train it.
            data: hashes of its recordings.

        Returns:
            The checkpoint to go on from; None to begin.

        Raises:
            UsageError: it is another run, or was trained by another number of processes, or on data that have changed.
        """
        if not (self.path / SETTINGS).is_file():
            if self.path.is_dir() and any(not file.name.startswith(".") for file in self.path.iterdir()):
                raise UsageError(f"{self.path} is not empty and holds no run: give `out` an empty or new folder")
            return None
        there, here = _fixed(read_settings(self.path / SETTINGS)), _fixed(settings)
        if differing := sorted(key for key in {*there, *here} if there.get(key) != here.get(key)):
            key = differing[0]
            raise UsageError(
                f"{self.path} holds a run with {key} {there.get(key)}, not {here.get(key)}: give `out` another folder, "
                "or remove that one"
            )
        if not (self.path / DATA).is_file():
            return None  # killed before its first step
        if json.loads((self.path / DATA).read_text(encoding="utf-8")) != data:
            raise UsageError(f"{self.path}: the recordings have changed since this run was begun: give another `out`")
        checkpoint = self.read_checkpoint()
        if checkpoint is not None and checkpoint["ranks"] != ranks:
            raise UsageError(
                f"{self.path}: the run was begun by {checkpoint['ranks']} processes and cannot go on with {ranks}: "
                "start as many, or give another `out`"
            )
        return checkpoint

    def read_checkpoint(self) -> dict[str, Any] | None:
        """What `write_checkpoint` wrote last; None before the first."""
        path = self.path / CHECKPOINT
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError) as error:
            raise UsageError(f"{path} is damaged: remove {self.path} and train again") from error
        return state

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint, whole or not at all."""
        # torch's own writer does not say why it failed: the disk has to be told apart from everything else.
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        with atomic_write(self.path / CHECKPOINT) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def begin(self, settings: Settings, ranks: int, data: Mapping[str, Any], step: int) -> None:
        """Write what is known before the first step, and drop metrics of steps that will be taken again.

        Args:
            settings: of the run.
            ranks: processes that train it.
            data: hashes of its recordings.
            step: steps that are done.
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
        """Add a line to the metrics."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """The metrics so far; a last line that a kill has cut off is left out."""
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
        """Say that the run has come to its end, and what came of it."""
        if not (self.path / BEST).is_file():
            with atomic_write(self.path / BEST) as temporary:
                shutil.copyfile(self.path / LAST, temporary)
        self._write_json(DONE, result)

    def _write_json(self, name: str, value: Any) -> None:
        with atomic_write(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def environment(ranks: int) -> dict[str, Any]:
    """Where and with what a run is computed.

    Args:
        ranks: processes that train it.
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
    """Of the checkout that this code is in; None for an installed package."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True
        )
    except OSError:
        return None
    return found.stdout.strip() or None


def _fixed(settings: Settings) -> dict[str, Any]:
    """What makes a run what it is: key with dots to value."""
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
