"""The published figures: values as their sources have them, and nothing without a source."""

import pytest

from facepulse.studies.published import PAPER, TABLES, CostRow

ROWS = [(key, row) for key, table in TABLES.items() for row in table.rows]


def figures(key: str, network: str, trained_on: str | None, tested_on: str) -> tuple:
    row = TABLES[key].of(network, trained_on, tested_on)[0]
    return row.mae, row.rmse, row.mape, row.pearson


def test_there_is_a_table_for_every_study_with_its_protocol() -> None:
    numbers = {key: table.number for key, table in TABLES.items()}
    assert numbers == {
        "table1": "I",
        "table2": "II",
        "table3": "III",
        "ablation-fusion": "IV",
        "ablation-tsm": "V",
        "ablation-attention": "VI",
        "ablation-loss": "VII",
        "cost": "VIII",
    }
    for table in TABLES.values():
        assert table.title
        assert "one heart rate a recording" in table.protocol
        assert table.rows[0].network == "physFSUNet"


@pytest.mark.parametrize(("key", "row"), ROWS)
def test_every_row_has_a_source_and_plausible_figures(key, row) -> None:
    assert row.source
    assert row.network
    assert "MMPD" in row.tested_on or row.tested_on in {"PURE", "UBFC-rPPG"}
    for figure in (row.mae, row.rmse, row.mape):
        assert not isinstance(figure, float) or 0 < figure < 50
    assert not isinstance(row.pearson, float) or -1 <= row.pearson <= 1
    if isinstance(row.mae, float) and isinstance(row.rmse, float):
        assert row.rmse >= row.mae
    # A bound, an estimate or a gap is explained; only physFSUNet's own rows hold words.
    if any(isinstance(figure, str) for figure in (row.mae, row.rmse, row.mape, row.pearson)):
        assert row.network == "physFSUNet"
        assert row.note.startswith(("bounds: ", "derived: "))
    if row.mae is None:
        assert row.network == "physFSUNet"
        assert row.note


def test_figures_of_the_paper_itself() -> None:
    assert figures("table1", "physFSUNet", "MMPD", "MMPD") == (3.67, 9.39, 4.42, 0.79)
    assert figures("table1", "physFSUNet", "PURE", "PURE") == (None,) * 4
    assert figures("table2", "physFSUNet", "PURE", "MMPD") == (7.58, "< 14.85", "< 11.11", "< 0.51")
    assert figures("table2", "physFSUNet", "UBFC-rPPG", "MMPD") == ("< 9.08", "< 15.07", "< 11.17", "< 0.53")
    assert figures("table3", "physFSUNet", "PURE", "UBFC-rPPG") == ("< 0.89", "< 1.83", "< 0.97", ">= 0.99")
    assert figures("table3", "physFSUNet", "MMPD subset", "UBFC-rPPG") == (None,) * 4
    assert [row.mae for row in TABLES["ablation-fusion"].rows] == [7.58, "about 18.5", "about 11.6"]
    assert [row.variant for row in TABLES["ablation-loss"].rows] == ["", "MSE loss", "negative Pearson loss"]


def test_bounds_are_the_rows_that_they_are_drawn_from() -> None:
    for key, trained_on, tested_on in (
        ("table2", "PURE", "MMPD"),
        ("table2", "UBFC-rPPG", "MMPD"),
        ("table3", "PURE", "UBFC-rPPG"),
    ):
        rival = figures(key, "RhythmFormer", trained_on, tested_on)
        for bound, known in zip(figures(key, "physFSUNet", trained_on, tested_on), rival, strict=True):
            if isinstance(bound, str):
                assert float(bound.split()[-1]) == known
            else:
                assert bound < known


def test_rows_of_rivals() -> None:
    assert figures("table1", "RhythmFormer", "MMPD", "MMPD") == (3.07, 6.81, None, 0.86)
    assert figures("table2", "RhythmFormer", "UBFC-rPPG", "MMPD") == (9.08, 15.07, 11.17, 0.53)
    assert figures("table3", "POS", None, "UBFC-rPPG") == (4.08, 7.72, 3.93, 0.92)


def test_a_row_is_found_under_the_names_that_this_package_uses() -> None:
    assert TABLES["table2"].of("physfsunet", "pure", "mmpd") == TABLES["table2"].rows[:1]
    assert TABLES["table2"].of("tscan", "ubfc-rppg", "mmpd")[0].mae == 14.01
    assert TABLES["table2"].of("physnet", "scamps", "mmpd") == ()


def test_the_doubtful_row_of_physnet_says_so_and_stands_beside_another() -> None:
    copied, toolbox = TABLES["table2"].of("PhysNet", "PURE", "MMPD")
    of_tscan = TABLES["table2"].of("TS-CAN", "PURE", "MMPD")[0]
    assert (copied.mae, copied.rmse, copied.mape, copied.pearson) == (
        of_tscan.mae,
        of_tscan.rmse,
        of_tscan.mape,
        of_tscan.pearson,
    )
    assert "TS-CAN" in copied.note
    assert toolbox.mae == 13.21
    assert "TS-CAN" in TABLES["cost"].of("PhysNet", "PURE", "MMPD")[0].note


def test_costs() -> None:
    table = TABLES["cost"]
    assert all(isinstance(row, CostRow) and row.parameters > 5e5 for row in table.rows)
    own = table.rows[0]
    assert (own.parameters, own.mae, own.memory_mb) == (831_000, 7.58, 3375.0)
    assert own.source.startswith(PAPER)
    for row in table.rows[1:]:
        assert row.mae == TABLES["table2"].of(row.network, "PURE", "MMPD")[0].mae
