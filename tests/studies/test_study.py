"""A study from its data to its table: trained once, compared row by row, and honest about what has no result."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facepulse.errors import UsageError
from facepulse.studies import trials
from facepulse.studies.plan import ALL_MMPD, PURE, STUDIES, Arm
from facepulse.studies.published import TABLES
from facepulse.studies.study import NAMES, study
from facepulse.studies.table import fill
from facepulse.studies.trials import Bench, Score, Trial
from facepulse.training.settings import Settings, settings_from
from small_cache import SmallRecording, write_cache

RECIPE = {
    "network": {"config": {"stem_width": 2, "width": 4, "head_width": 4}},
    "data": {"frames": 64, "size": 36, "margin": 0.0},
    "optimiser": {"epochs": 1, "clip_norm": 1.0},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of ten people of PURE and four of MMPD, as if they had been prepared."""
    out = tmp_path_factory.mktemp("study")
    rates = np.linspace(55, 110, 10)
    write_cache(
        out / "cache", [SmallRecording(f"{n:02}-01", f"{n:02}", bpm) for n, bpm in enumerate(rates, 1)], dataset="pure"
    )
    write_cache(
        out / "cache",
        [SmallRecording(f"p{n}_{k}", f"{n}", 60.0 + 9 * n + k) for n in range(4) for k in range(2)],
        dataset="mmpd",
    )
    return out


@pytest.fixture(autouse=True)
def nothing_to_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = SimpleNamespace(failed=(), written=0, already=8)
    monkeypatch.setattr(trials, "prepare", lambda *_, **__: summary)


def bench(prepared: Path, **sections: Any) -> Bench:
    for name in ("PURE", "mmpd"):
        (prepared / "data" / name).mkdir(parents=True, exist_ok=True)
    recipe = {name: {**values, **sections.get(name, {})} for name, values in RECIPE.items()}
    return Bench(prepared / "data", prepared, settings_from(recipe, "a test"), jobs=1)


def test_a_table_is_filled_and_what_is_there_is_not_done_again(prepared: Path) -> None:
    said: list[str] = []
    [table] = study(bench(prepared), ["ablation-tsm"], seeds=2, say=said.append)

    assert [line.arm.label for line in table.lines] == ["with shift", "without shift"]
    assert [len(line.seed_maes) for line in table.lines] == [2, 2]
    assert table.lines[0].difference is None
    for line in table.lines:
        assert line.mae.value == pytest.approx(np.mean(line.seed_maes))
        assert line.mae.interval[0] <= line.mae.value <= line.mae.interval[1]
    second = table.lines[1]
    assert second.difference.value == pytest.approx(second.mae.value - table.lines[0].mae.value)
    assert (second.recordings, second.people) == (8, 4)
    assert [row.mae for row in second.published] == ["about 8.5"]
    assert [row.mae for row in table.lines[0].published] == [7.58]
    assert any("physfsunet-shift-false-on-pure/seed1: MAE" in line and "min left" in line for line in said)

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
    [again] = study(bench(prepared), ["ablation-tsm"], seeds=2, say=said.append)
    assert {path: path.stat().st_mtime_ns for path in (prepared / "runs").rglob("*.safetensors")} == before
    assert again.to_markdown() == table.to_markdown()


def test_tables_share_what_they_train(prepared: Path) -> None:
    said: list[str] = []
    fusion, attention = study(bench(prepared), ["ablation-fusion", "ablation-attention"], seeds=1, say=said.append)

    assert fusion.lines[0].mae == attention.lines[0].mae
    trained = [line for line in said if "MAE" in line]
    assert len(trained) == 4  # fusion, raw, differences, no attention


def test_classical_methods_and_networks_stand_in_one_table(prepared: Path) -> None:
    write_cache(
        prepared / "cache",
        [SmallRecording(f"subject{n}", f"subject{n}", 50.0 + 6 * n) for n in range(1, 11)],
        dataset="ubfc-rppg",
    )
    here = bench(prepared)
    (here.data / "UBFC-rPPG").mkdir()

    [table] = study(here, ["table2"], seeds=1, networks=["physfsunet"], say=lambda line: None)

    assert [line.arm.label for line in table.lines] == ["POS", "CHROM", "GREEN", "physFSUNet", "physFSUNet"]
    assert table.lines[0].mae.value < 1.0
    assert {row.mae for row in table.lines[0].published} == {12.36}
    (here.data / "UBFC-rPPG").rmdir()


def test_a_row_that_has_no_result_says_why_and_the_others_stand(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").symlink_to(prepared / "cache")
    wild = bench(prepared, optimiser={"lr": 1e30, "clip_norm": 0.0})

    [table] = study(replace(wild, out=tmp_path), ["ablation-tsm"], seeds=1, say=lambda line: None)

    assert len(table.failures) == 2
    assert all("the loss is nan" in failure or "the gradient is" in failure for failure in table.failures)
    assert table.lines[0].mae is None
    assert "failed, with shift: the" in table.to_markdown()
    assert "Failed" in table.to_html()


def test_attention_is_drawn_and_cost_takes_the_errors_that_are_known(prepared: Path) -> None:
    pictures, costs = study(bench(prepared), ["attention", "cost"], seeds=1, networks=["physfsunet"], say=print)

    [path] = pictures.write(prepared)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [cost.network for cost in costs.costs] == ["physfsunet"]
    assert costs.costs[0].parameters < 10_000  # the recipe's narrow network
    assert costs.maes["physfsunet"] is not None
    names = [path.name for path in costs.write(prepared)]
    assert names == ["cost.md", "cost.html", "cost.csv"]
    assert "| physFSUNet | 831,000 |" in costs.to_markdown()


@pytest.mark.parametrize(
    ("names", "networks", "said"),
    [
        (["table9"], [], "no study is called 'table9': choose one of table1"),
        (["table2"], ["resnet"], "no network is called 'resnet'"),
        (["ablation-tsm"], ["physnet"], "ablation-tsm has none of these networks: it has physfsunet"),
        (["table1"], [], "has no folder ubfc-rppg: put .* there"),
    ],
)
def test_what_cannot_be_studied_is_said(prepared: Path, names: list[str], networks: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        list(study(bench(prepared), names, networks=networks, say=lambda line: None))


def test_every_table_of_the_paper_is_a_study() -> None:
    assert set(TABLES) <= set(NAMES)
    for name, table in STUDIES.items():
        assert len({(arm.label, arm.train, arm.test.label) for arm in table.arms}) == len(table.arms), name
        runs = [arm.run for arm in table.arms if arm.train is not None]
        assert len(set(runs)) == len(runs), name
    # What the published tables call a variant is what our rows look for.
    known = {row.variant for table in TABLES.values() for row in table.rows}
    variants = {arm.variant for table in STUDIES.values() for arm in table.arms}
    assert variants - known == {"no heart-rate loss", "as coded"}


def test_a_recipe_is_laid_under_what_a_row_varies(tmp_path: Path) -> None:
    recipe = settings_from({"network": {"config": {"width": 8}}, "optimiser": {"epochs": 3}}, "a test")
    here = Bench(tmp_path, tmp_path, recipe)

    varied = here.settings(Trial(Arm("x", PURE, ALL_MMPD, config={"shift": False}, loss={"name": "mse"}), 4))
    assert varied.network.config == {"width": 8, "shift": False}
    assert (varied.loss.name, varied.seed, varied.optimiser.epochs) == ("mse", 4, 3)
    assert (varied.data.caches[0].subset, varied.data.validation[0].subset) == ("train", "validation")

    assert here.settings(Trial(Arm("x", PURE, ALL_MMPD, network="ts-can"), 0)).data.frames == 160
    shorter = Bench(tmp_path, tmp_path, settings_from({"data": {"frames": 128}}, "a test"))
    assert shorter.settings(Trial(Arm("x", PURE, ALL_MMPD, network="ts-can"), 0)).data.frames == 140  # of 20 each
    other = here.settings(Trial(Arm("x", PURE, ALL_MMPD, network="physnet"), 0))
    assert other.network.config == {}  # the recipe's are of another network


def row(recording: str, subject: str, error: float) -> dict[str, Any]:
    return {"recording": recording, "subject": subject, "error": error, "bpm": 80.0 + error, "reference_bpm": 80.0}


def scored(arm: Arm, seed: int, errors: dict[str, float]) -> Score:
    return Score(Trial(arm, seed), [row(name, name[0], error) for name, error in errors.items()])


def test_intervals_are_over_people_and_over_seeds() -> None:
    table = replace(STUDIES["ablation-tsm"])
    first, second = table.arms
    people = {f"{person}{number}": 2.0 for person in "abcdef" for number in range(2)}
    worse = dict.fromkeys(people, 3.0)
    steady = fill(table, [scored(first, 0, people), scored(second, 0, worse)], {}, True)
    assert steady.lines[1].difference.value == pytest.approx(1.0)
    assert steady.lines[1].difference.interval == pytest.approx((1.0, 1.0))

    # Seeds that differ widen what people who are alike would leave narrow.
    seeds = fill(
        table,
        [*(scored(first, s, {n: float(s) for n in people}) for s in range(3)), scored(second, 0, worse)],
        {},
        True,
    )
    low, high = seeds.lines[0].mae.interval
    assert low < 0.5 < 1.5 < high
    assert "Simulated recordings" in seeds.to_markdown()
    assert "Simulated recordings" not in replace(seeds, simulated=False).to_markdown()


def test_rows_are_compared_on_the_recordings_that_both_have() -> None:
    table = STUDIES["ablation-tsm"]
    first, second = table.arms
    filled = fill(
        table,
        [scored(first, 0, {"a1": 1.0, "b1": 1.0, "c1": 9.0}), scored(second, 0, {"a1": 2.0, "b1": 2.0})],
        {},
        True,
    )

    assert filled.lines[1].difference.value == pytest.approx(1.0)


def test_the_default_recipe_is_the_papers() -> None:
    assert Bench(Path("d"), Path("o"), Settings()).settings(Trial(Arm("x", PURE, ALL_MMPD), 0)).optimiser.epochs == 30
