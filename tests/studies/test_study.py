"""Studies from data to table: shared trainings, intervals, comparisons with the first row, and failed rows."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facepulse.errors import UsageError
from facepulse.studies import schedule
from facepulse.studies.plan import ALL_MMPD, PURE, STUDIES, Experiment, Trial
from facepulse.studies.published import TABLES
from facepulse.studies.study import NAMES, study
from facepulse.studies.table import fill_table
from facepulse.studies.trials import TrialResult, training_settings
from facepulse.studies.workspace import Workspace
from facepulse.training.settings import Settings, settings_from
from small_cache import SmallRecording, write_cache

RECIPE = {
    "network": {"config": {"stem_width": 2, "width": 4, "head_width": 4}},
    "data": {"frames": 64, "size": 36, "margin": 0.0},
    "optimiser": {"epochs": 1, "clip_norm": 1.0},
}
SHORT = (6.4,)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workspace with prepared recordings of ten people in PURE and four in MMPD."""
    out = tmp_path_factory.mktemp("study")
    rates = np.linspace(55, 110, 10)
    pure = [SmallRecording(f"{n:02}-01", f"{n:02}", bpm, seconds=SHORT) for n, bpm in enumerate(rates, 1)]
    mmpd = [SmallRecording(f"p{n}_{k}", f"{n}", 60.0 + 9 * n + k, seconds=SHORT) for n in range(4) for k in range(2)]
    write_cache(out / "cache", pure, dataset="pure")
    write_cache(out / "cache", mmpd, dataset="mmpd")
    return out


@pytest.fixture(autouse=True)
def no_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = SimpleNamespace(failed=(), newly_prepared=0, already_prepared=8)
    monkeypatch.setattr(schedule, "prepare", lambda *_, **__: summary)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch use one thread: the processes of the test run already use all cores."""
    monkeypatch.setattr(schedule.os, "cpu_count", lambda: 1)


def run(out: Path, names: list[str], *, optimiser: dict[str, float] | None = None, **arguments: Any) -> list[Any]:
    """Run studies on the prepared recordings in `out` with a recipe of one short epoch."""
    for name in ("PURE", "mmpd"):
        (out / "data" / name).mkdir(parents=True, exist_ok=True)
    recipe = settings_from({**RECIPE, "optimiser": {**RECIPE["optimiser"], **(optimiser or {})}}, "a test")
    return list(study(Workspace(out / "data", out), names, recipe=recipe, jobs=1, **arguments))


@pytest.mark.slow
def test_table_is_filled_and_a_second_run_reuses_its_trainings(
    prepared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="facepulse.studies")
    [table] = run(prepared, ["ablation-tsm"], seeds=2)

    assert [row.experiment.label for row in table.rows] == ["with shift", "without shift"]
    assert [len(row.seed_maes) for row in table.rows] == [2, 2]
    assert table.rows[0].difference is None
    for row in table.rows:
        assert row.mae.value == pytest.approx(np.mean(row.seed_maes))
        assert row.mae.interval[0] <= row.mae.value <= row.mae.interval[1]
    second = table.rows[1]
    assert second.difference.value == pytest.approx(second.mae.value - table.rows[0].mae.value)
    assert (second.recordings, second.people) == (8, 4)
    assert [row.mae for row in second.published] == ["about 8.5"]
    assert [row.mae for row in table.rows[0].published] == [7.58]
    assert any("physfsunet-shift-false-on-pure/seed1: MAE" in line and "min left" in line for line in caplog.messages)

    paths = table.write(prepared)
    assert [path.name for path in paths] == ["ablation-tsm.md", "ablation-tsm.html", "ablation-tsm.csv"]
    rows = list(csv.DictReader(paths[2].open()))
    assert [row["row"] for row in rows] == ["with shift", "without shift"]
    assert float(rows[1]["difference"]) == pytest.approx(second.difference.value)
    text = paths[0].read_text()
    assert "about 8.5 (physFSUNet" in text
    assert "protocol: paper" in text
    assert "seeds 0 to 1" in text

    before = {path: path.stat().st_mtime_ns for path in (prepared / "runs").rglob("*.safetensors")}
    assert len(before) == 8  # best and last of four
    [again] = run(prepared, ["ablation-tsm"], seeds=2)
    assert {path: path.stat().st_mtime_ns for path in (prepared / "runs").rglob("*.safetensors")} == before
    assert again.to_markdown() == table.to_markdown()


@pytest.mark.slow
def test_tables_share_their_trainings(prepared: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="facepulse.studies")
    fusion, attention = run(prepared, ["ablation-fusion", "ablation-attention"], seeds=1)

    assert fusion.rows[0].mae == attention.rows[0].mae
    trained = [line for line in caplog.messages if "MAE" in line]
    assert len(trained) == 4  # fusion, raw, differences, no attention


@pytest.mark.slow
def test_table_contains_classical_methods_and_networks(prepared: Path) -> None:
    write_cache(
        prepared / "cache",
        [SmallRecording(f"subject{n}", f"subject{n}", 50.0 + 6 * n) for n in range(1, 11)],
        dataset="ubfc-rppg",
    )
    root = prepared / "data" / "UBFC-rPPG"
    root.mkdir(parents=True)

    [table] = run(prepared, ["table2"], seeds=1, networks=["physfsunet"])

    assert [row.experiment.label for row in table.rows] == ["POS", "CHROM", "GREEN", "physFSUNet", "physFSUNet"]
    assert table.rows[0].mae.value < 1.0
    assert {row.mae for row in table.rows[0].published} == {12.36}
    root.rmdir()


@pytest.mark.slow
def test_row_without_a_result_has_the_reason(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").symlink_to(prepared / "cache")

    [table] = run(tmp_path, ["ablation-tsm"], seeds=1, optimiser={"lr": 1e30, "clip_norm": 0.0})

    assert len(table.failures) == 2
    assert all("became NaN or infinite in epoch 1" in failure for failure in table.failures)
    assert table.rows[0].mae is None
    assert "failed, with shift: the" in table.to_markdown()
    assert "Failed" in table.to_html()


@pytest.mark.slow
def test_attention_is_drawn_and_cost_contains_errors_of_earlier_studies(prepared: Path) -> None:
    figure, costs = run(prepared, ["attention", "cost"], seeds=1, networks=["physfsunet"])

    [path] = figure.write(prepared)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [cost.network for cost in costs.costs] == ["physfsunet"]
    assert costs.costs[0].parameters < 10_000  # of the narrow network in the recipe
    assert costs.maes["physfsunet"] is not None
    names = [path.name for path in costs.write(prepared)]
    assert names == ["cost.md", "cost.html", "cost.csv"]
    assert "| physFSUNet | 831,000 |" in costs.to_markdown()


@pytest.mark.parametrize(
    ("names", "networks", "message"),
    [
        (["table9"], [], "no study is called 'table9': choose one of table1"),
        (["table2"], ["resnet"], "no network is called 'resnet'"),
        (["ablation-tsm"], ["physnet"], "ablation-tsm has none of these networks: it has physfsunet"),
        (["table1"], [], "has no folder ubfc-rppg: put .* there"),
    ],
)
def test_unknown_study_network_or_dataset_is_refused(
    prepared: Path, names: list[str], networks: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(prepared, names, networks=networks)


def test_every_table_of_the_paper_is_a_study() -> None:
    assert set(TABLES) <= set(NAMES)
    for name, table in STUDIES.items():
        rows = table.experiments
        assert len({(row.label, row.train, row.test.label) for row in rows}) == len(rows), name
        runs = [row.run for row in rows if row.train is not None]
        assert len(set(runs)) == len(runs), name
    # Experiments find their published rows by the name of the variant.
    known = {row.variant for table in TABLES.values() for row in table.rows}
    variants = {row.variant for table in STUDIES.values() for row in table.experiments}
    assert variants - known == {"no heart-rate loss", "as coded"}


def settings_of(recipe: dict[str, Any], experiment: Experiment, seed: int = 0) -> Settings:
    return training_settings(Trial(experiment, seed), Workspace(Path("d"), Path("o")), settings_from(recipe, "a test"))


def test_settings_of_a_row_override_those_of_the_recipe() -> None:
    recipe = {"network": {"config": {"width": 8}}, "optimiser": {"epochs": 3}}

    without_shift = Experiment("x", PURE, ALL_MMPD, config={"shift": False}, loss={"name": "mse"})
    varied = settings_of(recipe, without_shift, seed=4)
    assert varied.network.config == {"width": 8, "shift": False}
    assert (varied.loss.name, varied.seed, varied.optimiser.epochs) == ("mse", 4, 3)
    assert (varied.data.caches[0].subset, varied.data.validation[0].subset) == ("train", "validation")

    tscan = Experiment("x", PURE, ALL_MMPD, network="ts-can")
    assert settings_of(recipe, tscan).data.frames == 160
    assert settings_of({"data": {"frames": 128}}, tscan).data.frames == 140  # twice 70, in multiples of 10
    physnet = Experiment("x", PURE, ALL_MMPD, network="physnet")
    assert settings_of(recipe, physnet).network.config == {}  # the config in the recipe is of another network


def test_default_recipe_is_that_of_the_paper() -> None:
    assert settings_of({}, Experiment("x", PURE, ALL_MMPD)).optimiser.epochs == 30


def result(experiment: Experiment, seed: int, errors: dict[str, float]) -> TrialResult:
    """Result with given errors by recording; the first letter of a recording is its subject."""
    rows = [
        {"recording": name, "subject": name[0], "error": error, "bpm": 80.0 + error, "reference_bpm": 80.0}
        for name, error in errors.items()
    ]
    return TrialResult(Trial(experiment, seed), rows)


def test_intervals_are_over_people_and_over_seeds() -> None:
    table = STUDIES["ablation-tsm"]
    first, second = table.experiments
    people = {f"{person}{number}": 2.0 for person in "abcdef" for number in range(2)}
    worse = dict.fromkeys(people, 3.0)
    steady = fill_table(table, [result(first, 0, people), result(second, 0, worse)], {}, simulated=True)
    assert steady.rows[1].difference.value == pytest.approx(1.0)
    assert steady.rows[1].difference.interval == pytest.approx((1.0, 1.0))

    # Different seeds widen an interval even if all people have the same error.
    results = [*(result(first, seed, {name: float(seed) for name in people}) for seed in range(3))]
    seeds = fill_table(table, [*results, result(second, 0, worse)], {}, simulated=True)
    low, high = seeds.rows[0].mae.interval
    assert low < 0.5 < 1.5 < high
    assert "Simulated recordings" in seeds.to_markdown()
    assert "Simulated recordings" not in replace(seeds, simulated=False).to_markdown()


def test_rows_are_compared_on_the_recordings_that_both_have() -> None:
    table = STUDIES["ablation-tsm"]
    first, second = table.experiments
    results = [result(first, 0, {"a1": 1.0, "b1": 1.0, "c1": 9.0}), result(second, 0, {"a1": 2.0, "b1": 2.0})]
    filled = fill_table(table, results, {}, simulated=True)

    assert filled.rows[1].difference.value == pytest.approx(1.0)
