"""Training loop: convergence, files of the run folder, and equal weights of resumed and uninterrupted runs."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from facepulse.cli import main
from facepulse.datasets.recording import DatasetError
from facepulse.errors import UsageError
from facepulse.inference.weights import load_model, read_card
from facepulse.training.loop import DivergedError, Trained, train
from small_cache import SmallRecording, write_cache
from small_run import cache, entries, settings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cache(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Trained:
    """Complete run of one epoch, six steps, which no test changes."""
    return train(settings(tmp_path_factory.mktemp("one") / "run", data, optimiser={"epochs": 1}))


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Trained:
    """Complete run of two epochs, which no test changes."""
    return train(settings(tmp_path_factory.mktemp("two") / "run", data))


def weights_of(folder: Path) -> str:
    return read_card(folder / "last.safetensors").sha256


def starts_of(folder: Path) -> list[int]:
    """Read the number of steps that were done when the run was begun and each time that it was resumed."""
    return [start["step"] for start in json.loads((folder / "environment.json").read_text())]


DIVERGED = r"(loss|gradient) became NaN or infinite in epoch \d, step \d+, clips small/.* from frame .*optimiser.lr"


class Stop(Exception):
    pass


def stopped_after(steps: int) -> Any:
    def progress(done: float, total: float | None) -> None:
        if done >= steps:
            raise Stop

    return progress


@pytest.mark.slow
def test_run_converges_and_its_folder_is_complete(tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="facepulse")
    run = settings(tmp_path / "run", data, optimiser={"epochs": 4}, loss={"name": "negative-pearson"})

    trained = train(run)

    lines = [json.loads(line) for line in (trained.folder / "metrics.jsonl").read_text().splitlines()]
    steps, epochs = [line for line in lines if "loss" in line], [line for line in lines if "epoch_loss" in line]
    assert len(steps) == 4 * 6  # 24 clips, 4 per step
    assert epochs[-1]["epoch_loss"] < 0.3 * epochs[0]["epoch_loss"]
    assert trained.mae_bpm < 1.0
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]
    assert trained.mae_bpm == min(line["validation_mae_bpm"] for line in epochs)
    assert [record.name for record in caplog.records] == ["facepulse.training.loop"] * 4
    assert caplog.messages[-1].startswith("epoch 4 of 4: loss ")

    card = read_card(trained.weights)
    assert card.network == "physfsunet"
    assert card.scores == {"validation_mae_bpm": pytest.approx(trained.mae_bpm, abs=1e-4)}
    assert card.training_data == "8 recordings of 8 people of small"
    assert (card.frames, card.size, card.margin, card.fps) == (64, 36, 0.0, 30.0)
    assert load_model(trained.weights)(torch.zeros(1, 3, 64, 36, 36)).shape == (1, 64)

    assert yaml.safe_load((trained.folder / "settings.yaml").read_text())["optimiser"]["epochs"] == 4
    [begun] = json.loads((trained.folder / "environment.json").read_text())
    assert begun["versions"]["torch"]
    hashes = json.loads((trained.folder / "data.json").read_text())
    assert len(hashes["train"]) == 8
    assert set(hashes["validation"]) == {"small/9-a", "small/10-a"}
    assert {path.name for path in trained.folder.iterdir()} >= {"loss.png", "waveforms.png", "checkpoint.pt"}


@pytest.mark.slow
def test_complete_run_is_not_trained_again(data: Path, one_epoch: Trained) -> None:
    before = (one_epoch.folder / "last.safetensors").stat().st_mtime_ns

    second = train(settings(one_epoch.folder, data, optimiser={"epochs": 1}))

    assert second.already
    assert (second.mae_bpm, second.epoch) == (one_epoch.mae_bpm, one_epoch.epoch)
    assert (one_epoch.folder / "last.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_run_resumed_after_any_step_has_the_same_weights_and_metrics(
    tmp_path: Path, data: Path, two_epochs: Trained
) -> None:
    run = settings(tmp_path / "stopped", data, hardware={"checkpoint_minutes": 0})
    stops = sorted(np.random.default_rng(0).choice(np.arange(1, 12), 5, replace=False).tolist())
    for steps in stops:
        with pytest.raises(Stop):
            train(run, progress=stopped_after(steps))

    progress: list[float] = []
    resumed = train(run, progress=lambda done, total: progress.append(done))

    assert progress == list(range(stops[-1], 13)), "it begins with the step that was not saved"
    assert starts_of(resumed.folder) == [0, *(steps - 1 for steps in stops)]

    assert weights_of(resumed.folder) == weights_of(two_epochs.folder)
    assert read_card(resumed.weights).sha256 == read_card(two_epochs.weights).sha256
    metrics = [
        [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in path.open()]
        for path in (two_epochs.folder / "metrics.jsonl", resumed.folder / "metrics.jsonl")
    ]
    assert metrics[0] == metrics[1]


KILLER = """
import os, signal, sys, time
from pathlib import Path
import torch
import facepulse.training.loop
from facepulse.training.settings import read_settings

torch.set_num_threads(1)
settings = read_settings(sys.argv[1])
metrics = Path(settings.out) / "metrics.jsonl"
def run():
    child = os.fork()  # packages are imported once
    if child == 0:
        facepulse.training.loop.train(settings)
        os._exit(0)
    return child
for steps in map(int, sys.argv[2:]):
    child = run()
    while not metrics.exists() or metrics.read_text().count('"loss"') < steps:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it was complete before it could be killed"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
assert os.waitpid(run(), 0)[1] == 0
"""


@pytest.mark.slow
def test_run_killed_at_five_random_steps_has_the_same_weights(tmp_path: Path, data: Path, two_epochs: Trained) -> None:
    path = tmp_path / "killed.yaml"
    path.write_text(yaml.safe_dump(entries(tmp_path / "killed", data, hardware={"checkpoint_minutes": 0})))
    steps = sorted(np.random.default_rng(1).choice(np.arange(1, 12), 5, replace=False).tolist())

    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(path), *map(str, steps)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert done.returncode == 0, done.stderr
    assert weights_of(tmp_path / "killed") == weights_of(two_epochs.folder)
    starts = starts_of(tmp_path / "killed")
    assert len(starts) == 6
    assert all(start >= logged - 1 for start, logged in zip(starts, [1, *steps], strict=True)), "the last one is saved"


@pytest.mark.slow
def test_recomputation_gives_the_same_weights(tmp_path: Path, data: Path, one_epoch: Trained) -> None:
    other = train(settings(tmp_path / "other", data, optimiser={"epochs": 1}, hardware={"recompute": True}))

    first, second = load_model(one_epoch.weights).state_dict(), load_model(other.weights).state_dict()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_workers_give_the_same_weights(tmp_path: Path, data: Path, one_epoch: Trained) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(entries(tmp_path / "run", data, optimiser={"epochs": 1}, hardware={"workers": 2})))

    # In a new process, without the libraries and threads of other tests.
    subprocess.run(
        [sys.executable, "-m", "facepulse", "train", str(path)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert weights_of(tmp_path / "run") == weights_of(one_epoch.folder)


@pytest.mark.slow
def test_mixed_precision_keeps_float32_weights(tmp_path: Path, data: Path) -> None:
    trained = train(settings(tmp_path / "run", data, optimiser={"epochs": 1}, hardware={"precision": "bf16"}))

    assert all(tensor.dtype == torch.float32 for tensor in load_model(trained.weights).parameters())


@pytest.mark.slow
@pytest.mark.parametrize("loss", [{"name": "mse"}, {"name": "negative-pearson"}, {"heart_rate": False}])
def test_every_loss_changes_the_weights(tmp_path: Path, data: Path, one_epoch: Trained, loss: dict) -> None:
    other = train(settings(tmp_path / "other", data, optimiser={"epochs": 1}, loss=loss))

    assert weights_of(other.folder) != weights_of(one_epoch.folder)


@pytest.mark.slow
def test_metrics_are_written_for_tensorboard_if_set(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained = train(settings(tmp_path / "run", data, optimiser={"epochs": 1}, hardware={"tensorboard": True}))

    events = EventAccumulator(str(trained.folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 7))
    assert len(events.Scalars("validation_mae_bpm")) == 1


@pytest.mark.slow
def test_other_network_is_trained_by_its_name(tmp_path: Path, data: Path) -> None:
    trained = train(
        settings(
            tmp_path / "run", data, network={"name": "physnet", "config": {}}, optimiser={"epochs": 1, "batch": 12}
        )
    )

    assert read_card(trained.weights).network == "physnet"


@pytest.mark.slow
def test_run_can_start_from_trained_weights(tmp_path: Path, data: Path, two_epochs: Trained) -> None:
    config = {"stem_width": 2, "width": 4, "head_width": 4}
    network = {"name": "physfsunet", "config": config, "start": str(two_epochs.weights)}
    further = settings(tmp_path / "further", data, network=network, optimiser={"epochs": 1, "lr": 1e-12})
    begun, ended = load_model(two_epochs.weights), load_model(train(further).weights)
    for (name, one), other in zip(begun.named_parameters(), ended.parameters(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    training_data = read_card(tmp_path / "further" / "last.safetensors").training_data
    assert training_data.count("8 recordings of 8 people") == 2, "of both trainings"
    wider = {**network, "config": {**config, "width": 6}}
    with pytest.raises(UsageError, match=r"network.start: .*width=4.*but the network to train is .*width=6"):
        train(settings(tmp_path / "wider", data, network=wider))
    assert not list((tmp_path / "wider").glob("[!.]*"))


@pytest.mark.slow
def test_without_validation_the_last_weights_are_the_best(tmp_path: Path, data: Path) -> None:
    trained = train(settings(tmp_path / "run", data, data={"validation": []}, optimiser={"epochs": 1}))

    assert trained.mae_bpm is None
    assert read_card(trained.weights).sha256 == weights_of(trained.folder)


@pytest.mark.slow
def test_clips_can_come_from_the_simulator_and_be_mixed(tmp_path: Path, data: Path) -> None:
    trained = train(
        settings(
            tmp_path / "run",
            data,
            data={"simulated": [{"preset": "calm", "clips": 2, "seed": 3}], "validation": []},
            optimiser={"epochs": 1, "batch": 13},
        )
    )

    assert "simulated in memory: preset calm, seed 3, 2 clips per epoch" in read_card(trained.weights).training_data


@pytest.mark.slow
def test_diverged_run_stops_names_the_clips_and_keeps_the_weights(tmp_path: Path, data: Path) -> None:
    run = settings(tmp_path / "run", data, optimiser={"lr": 1e30, "epochs": 4, "clip_norm": 0}, loss={"name": "mse"})

    with pytest.raises(
        DivergedError,
        match=DIVERGED,
    ):
        train(run)

    with pytest.raises(DivergedError):  # again when it is resumed
        train(run)


@pytest.mark.slow
def test_other_run_in_the_folder_is_not_overwritten(tmp_path: Path, data: Path, one_epoch: Trained) -> None:
    with pytest.raises(UsageError, match=r"holds a run with optimiser.lr 0.009, not 0.001: give `out` another folder"):
        train(settings(one_epoch.folder, data, optimiser={"epochs": 1, "lr": 1e-3}))

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "face.jpg").touch()
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        train(settings(tmp_path / "photos", data))


def test_changed_data_are_refused(tmp_path: Path) -> None:
    folder = cache(tmp_path)
    run = settings(tmp_path / "run", folder)
    with pytest.raises(Stop):
        train(run, progress=stopped_after(1))
    about = folder / "1-a" / "recording.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "sha256": "0" * 64}))

    with pytest.raises(UsageError, match="the recordings have changed since this run began"):
        train(run)


def test_subject_in_training_and_in_validation_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="subject 9 of small is in training and in validation"):
        train(settings(tmp_path / "run", data, data={"caches": [{"path": str(data)}]}))

    assert not (tmp_path / "run" / "settings.yaml").exists()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"caches": [{"path": "nowhere"}]}}, "nowhere: no such folder"),
        ({"data": {"caches": []}}, "there are no training data"),
        ({"data": {"frames": 4000}}, "none of 8 recordings has 4000 frames"),
        ({"data": {"frames": 66}}, "cannot be trained with these settings: the card's frames is 66"),
        ({"data": {"size": 64}}, "takes crops of 64 px at margin 0, but they have 36 px there"),
        ({"data": {"fps": 25.0}}, "takes crops at 25 fps, but they are at 30"),
        ({"optimiser": {"batch": 25}}, "there are 24 clips, and one step takes 25"),
        ({"hardware": {"device": "cuda"}}, "there is no GPU that torch can use here"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_written(
    tmp_path: Path, data: Path, sections: dict, message: str
) -> None:
    if sections.get("hardware") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises((UsageError, DatasetError), match=message):
        train(settings(tmp_path / "run", data, **sections))

    assert not (tmp_path / "run" / "settings.yaml").exists()


def test_empty_subset_of_a_split_is_named(tmp_path: Path) -> None:
    folder = write_cache(tmp_path, [SmallRecording("1-a", "1")])

    with pytest.raises(UsageError, match="leaves no subject for train"):
        train(settings(tmp_path / "run", folder))


@pytest.mark.slow
def test_full_disk_ends_the_run_with_one_line(tmp_path: Path, data: Path, capsys) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(entries(tmp_path / "run", data, optimiser={"epochs": 1})))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    # No file may grow beyond 4 kB: weights and checkpoint do not fit.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(SystemExit) as run:
            main(["train", str(path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert run.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("facepulse: cannot write ")
    assert error.count("\n") == 1
    assert not list((tmp_path / "run").glob(".*partial*"))
