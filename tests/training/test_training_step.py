"""Benchmark of a training step, on a CPU at a small size."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training_step.py"


@pytest.mark.slow
def test_every_precision_and_variant_is_timed() -> None:
    small = ["--networks", "physnet", "--frames", "8", "--size", "32", "--batch", "1", "--runs", "1", "--recompute"]
    run = subprocess.run([sys.executable, SCRIPT, *small, "--peak-tflops", "1", "2"], capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    rows = [line.split() for line in run.stdout.splitlines() if line.startswith("physnet")]
    assert [row[1] for row in rows] == ["f32", "f32", "bf16", "bf16"]
    assert [row[2] for row in rows[1::2]] == ["recomputed", "recomputed"]
    assert all(row[-1].endswith("x") for row in rows)
    assert rows[0][-1] == "1.00x"
