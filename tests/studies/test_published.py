"""Published figures: each with a source, consistent with the others, and found by the names of this package."""

import pytest

from facepulse.studies.published import PAPER, TABLES, PublishedCost, PublishedRow

ROWS = [pytest.param(row, id=f"{key} {row.network} {n}") for key in TABLES for n, row in enumerate(TABLES[key].rows)]
TRANSFERS = [("table2", "PURE", "MMPD"), ("table2", "UBFC-rPPG", "MMPD"), ("table3", "PURE", "UBFC-rPPG")]


def errors(row: PublishedRow) -> tuple:
    return row.mae, row.rmse, row.mape, row.pearson


def mae(key: str, network: str, trained_on: str, tested_on: str) -> float:
    return TABLES[key].find(network, trained_on, tested_on)[0].mae


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_table_has_a_protocol_and_begins_with_the_papers_own_row(table) -> None:
    assert table.title
    assert "one heart rate per recording" in table.protocol
    assert table.rows[0].network == "physFSUNet"
    assert table.rows[0].source.startswith(PAPER)


@pytest.mark.parametrize("row", ROWS)
def test_row_has_a_source_and_plausible_figures(row) -> None:
    assert row.source
    assert {row.trained_on, row.tested_on} <= {None, "PURE", "UBFC-rPPG", "MMPD", "MMPD subset"}
    assert all(0 < error < 50 for error in errors(row)[:3] if isinstance(error, float))
    assert not isinstance(row.pearson, float) or -1 <= row.pearson <= 1
    if isinstance(row.mae, float) and isinstance(row.rmse, float):
        assert row.rmse >= row.mae
    # Only rows of the paper itself are incomplete, and a bound, an estimate or a gap has a note.
    if row.mae is None:
        assert row.network == "physFSUNet"
        assert row.note
    if any(isinstance(error, str) for error in errors(row)):
        assert row.network == "physFSUNet"
        assert row.note.startswith(("bounds: ", "derived: "))
    if isinstance(row, PublishedCost):
        assert row.parameters > 5e5
        assert row.mae == (7.58 if row.network == "physFSUNet" else mae("table2", row.network, "PURE", "MMPD"))


@pytest.mark.parametrize(("key", "trained_on", "tested_on"), TRANSFERS)
def test_bounds_of_the_paper_are_the_figures_of_rhythmformer(key: str, trained_on: str, tested_on: str) -> None:
    [own], [rival] = (TABLES[key].find(name, trained_on, tested_on) for name in ("physFSUNet", "RhythmFormer"))
    for bound, known in zip(errors(own), errors(rival), strict=True):
        assert float(bound.split()[-1]) == known if isinstance(bound, str) else bound < known


@pytest.mark.parametrize(("trained_on", "tested_on"), [("MMPD", "MMPD"), ("PURE", "MMPD")])
def test_ranks_that_the_text_states(trained_on: str, tested_on: str) -> None:
    key = "table1" if trained_on == tested_on else "table2"
    ahead = [
        row.network
        for row in TABLES[key].rows
        if (row.trained_on, row.tested_on) == (trained_on, tested_on)
        and "not in the paper's table I" not in row.note
        and row.mae < mae(key, "physFSUNet", trained_on, tested_on)
    ]
    assert ahead == (["RhythmFormer"] if key == "table1" else [])


def test_improvement_over_physnet_that_the_text_states_rests_on_the_row_copied_from_tscan() -> None:
    copied, toolbox = TABLES["table2"].find("PhysNet", "PURE", "MMPD")
    [tscan] = TABLES["table2"].find("TS-CAN", "PURE", "MMPD")
    assert errors(copied) == errors(tscan)
    assert 1 - 7.58 / copied.mae == pytest.approx(0.456, abs=0.0005)
    assert 1 - 7.58 / toolbox.mae == pytest.approx(0.426, abs=0.0005)
    assert "TS-CAN" in copied.note
    assert "TS-CAN" in TABLES["cost"].find("PhysNet", "PURE", "MMPD")[0].note


def test_row_is_found_under_names_of_this_package() -> None:
    assert TABLES["table2"].find("physfsunet", "pure", "mmpd") == TABLES["table2"].rows[:1]
    assert TABLES["table2"].find("tscan", "ubfc-rppg", "mmpd")[0].network == "TS-CAN"
    assert TABLES["table2"].find("physnet", "scamps", "mmpd") == ()
