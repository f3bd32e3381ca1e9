"""Training by two processes under torchrun, compared with one process and twice the batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from facepulse.cli import main
from facepulse.inference.weights import load_model, read_card
from facepulse.training.distributed import join_ranks
from facepulse.training.loop import train
from small_run import cache, entries, settings

HASH = """
import sys, torch
from facepulse.training import loop, setup
from facepulse.training.settings import read_settings
from facepulse.inference.weights import digest
seen = {}
shared = setup.DistributedDataParallel
def keep(network, **options):
    seen["network"] = network
    return shared(network, **options)
setup.DistributedDataParallel = keep
torch.set_num_threads(1)
loop.train(read_settings(sys.argv[1]))
print("weights", digest({name: tensor.numpy() for name, tensor in seen["network"].state_dict().items()}))
"""


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_two_processes_reach_the_error_of_one_process_with_twice_the_batch(tmp_path: Path, capsys) -> None:
    data = cache(tmp_path)
    steps = {"epochs": 4}
    loss = {"name": "negative-pearson"}  # converges within these steps
    # Dropout draws per process: without it only the batch statistics differ.
    network = {"config": {"stem_width": 2, "width": 4, "head_width": 4, "dropout": 0.0}}
    path = tmp_path / "two.yaml"
    path.write_text(
        yaml.safe_dump(entries(tmp_path / "two", data, optimiser={**steps, "batch": 2}, network=network, loss=loss))
    )
    script = tmp_path / "script.py"
    script.write_text(HASH)

    run = torchrun(str(script), str(path))

    assert run.returncode == 0, run.stderr
    hashes = [line for line in run.stdout.splitlines() if line.startswith("weights")]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1

    one = train(settings(tmp_path / "one", data, optimiser={**steps, "batch": 4}, network=network, loss=loss))
    two = read_card(tmp_path / "two" / "best.safetensors").scores["validation_mae_bpm"]
    assert two == pytest.approx(one.mae_bpm, abs=1.0)
    assert two < 1.0
    assert load_model(tmp_path / "two" / "last.safetensors")(torch.zeros(1, 3, 64, 36, 36)).isfinite().all()

    with pytest.raises(SystemExit) as alone:
        main(["train", str(path), "--optimiser.batch", "2"])
    assert alone.value.code == 2
    assert "began with 2 processes and cannot be resumed with 1" in capsys.readouterr().err


def test_single_process_needs_no_communication() -> None:
    with join_ranks("cpu") as ranks:
        assert (ranks.rank, ranks.size, ranks.first) == (0, 1, True)
        assert ranks.gather([1, 2]) == [1, 2]
        assert ranks.broadcast("x") == "x"
        assert ranks.mean(torch.tensor(3.0)) == 3.0
