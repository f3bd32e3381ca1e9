"""Evaluation of small caches whose crops carry a known pulse, and the command `facepulse evaluate`."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from facepulse import cli
from facepulse.datasets.cache import FRAMES, LABELS, PreparedRecording, open_cache
from facepulse.errors import UsageError
from facepulse.evaluation.metrics import macc
from facepulse.evaluation.report import conditions, to_text, write_report
from facepulse.evaluation.result import Selection
from facepulse.evaluation.run import choose, evaluate
from facepulse.rppg.classical import CLASSICAL
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import filtered, heart_rate, snr_db
from small_cache import FOUR, SmallRecording, waveform, write_cache

FILES = ["recordings.csv", "report.html", "result.json", "windows.csv"]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("four"))


@pytest.fixture
def one(tmp_path: Path):
    """Evaluate POS on a single recording of this kind."""

    def run(seconds=(12.0,), protocol: str = "facepulse", window_s: float = 10.0, **options):
        recording = SmallRecording("only", "1", 75.0, seconds=seconds, **options)
        return evaluate("POS", open_cache(write_cache(tmp_path, [recording])), protocol=protocol, window_s=window_s)

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main(["evaluate", *(str(argument) for argument in arguments)])
        output = capsys.readouterr()
        return int(exit_.value.code or 0), output.out, output.err

    return call


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_known_heart_rate_is_estimated_under_every_protocol(four: Path, protocol: str) -> None:
    evaluation = evaluate("POS", open_cache(four), protocol=protocol)
    assert [row.recording for row in evaluation.recordings] == ["1-a", "1-b", "2-a", "10-a"]
    # A bin of the periodogram over the padded twelve seconds is 3.5 bpm wide.
    for row, made in zip(evaluation.recordings, FOUR, strict=True):
        assert row.bpm == pytest.approx(made.bpm, abs=1.8)
        assert row.reference_bpm == pytest.approx(made.bpm, abs=1.8)
        assert row.error == row.bpm - row.reference_bpm
        assert (row.quality is not None) == (row.shown is not None) == (protocol == "facepulse")
        assert row.macc > 0.9
    assert evaluation.summaries["recordings"].mae.value < 0.1
    assert evaluation.summaries["windows"].subjects == 3
    assert evaluation.protocol == str(PROTOCOLS[protocol])
    assert not evaluation.failed


@pytest.mark.parametrize("protocol", ["facepulse", "toolbox"])
def test_crops_of_another_frame_rate_keep_their_times(tmp_path: Path, protocol: str) -> None:
    recordings = open_cache(write_cache(tmp_path, [SmallRecording("slow", "1", 75.0)], fps=20.0))
    [row] = evaluate("POS", recordings, protocol=protocol).recordings
    assert row.bpm == pytest.approx(75.0, abs=2.4)
    assert row.end_s == pytest.approx(12.0)


def test_row_equals_the_protocol_applied_to_the_same_samples(four: Path) -> None:
    recording = open_cache(four)[2]
    row = evaluate("GREEN", [recording], protocol="toolbox").windows[0]
    protocol = PROTOCOLS["toolbox"]
    whole = CLASSICAL["GREEN"].waveform(recording.frames.mean(axis=(1, 2)), 30.0)
    estimate, reference = whole[:300], recording.ppg[:300].astype(np.float64)
    assert (row.start_s, row.end_s, row.subject) == (0.0, 10.0, "2")
    assert row.bpm == heart_rate(estimate, 30.0, protocol)
    assert row.reference_bpm == heart_rate(reference, 30.0, protocol)
    assert row.snr_db == snr_db(estimate, 30.0, row.reference_bpm, protocol)
    assert row.own_snr_db == snr_db(estimate, 30.0, row.bpm, protocol)
    assert row.macc == macc(*(filtered(waveform, 30.0, protocol) for waveform in (estimate, reference)))


def test_reference_of_another_rate_gives_an_error(one) -> None:
    [row] = one(reference_bpm=50.0).recordings
    assert row.error == pytest.approx(25.0, abs=0.3)
    assert row.snr_db < 0 < row.own_snr_db


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["weights", "onnx"])
def test_networks_are_evaluated_from_weights_and_exported(four: Path, trained, kind: str) -> None:
    evaluation = evaluate(str(getattr(trained, kind)), open_cache(four)[:3], waveform_only=True)
    assert evaluation.model == "tiny"
    assert evaluation.card["sha256"] == trained.card.sha256
    assert evaluation.summaries["recordings"].mae.value < 3
    assert all(row.quality is None and row.shown is None for row in evaluation.windows)
    assert evaluation.reliability == []
    assert len(evaluation.coverage) == 10


def ends(rows) -> list[tuple[float, float]]:
    return [(round(row.start_s, 6), round(row.end_s, 6)) for row in rows]


@pytest.mark.slow
def test_windows_are_adjacent_and_never_cross_a_gap(one) -> None:
    evaluation = one(seconds=(14.0, 4.0, 23.0))
    # The segments begin at 0, 14 + 3 and 14 + 4 + 2 x 3 s; the second is too short for a heart rate.
    assert ends(evaluation.windows) == [(0, 10), (24, 34), (34, 44)]
    assert ends(evaluation.recordings) == [(0, 47)]
    assert len(evaluation.traces["only"].times) == 23 * 30, "the longest segment is drawn"


@pytest.mark.slow
def test_waveform_alone_is_evaluated_over_the_longest_segment(one) -> None:
    evaluation = one(seconds=(14.0, 4.0, 23.0), protocol="toolbox")
    assert ends(evaluation.recordings) == [(24, 47)]
    assert evaluation.waveform_only
    assert "from the waveform alone" in conditions(evaluation)["heart rate"]
    assert conditions(evaluation)["rows"] == "a recording's row is over its longest segment with a reference"


def test_low_quality_is_withheld_and_its_error_counted_all_the_same(one) -> None:
    evaluation = one(strength=0.0, seconds=(20.0,))
    assert [row.shown for row in (*evaluation.recordings, *evaluation.windows)] == [False] * 3
    assert evaluation.summaries["windows"].n == 2
    assert evaluation.summaries["windows"].shown.n == 0
    assert "MAE of shown, bpm" in to_text(evaluation)


@pytest.mark.slow
def test_samples_without_a_reference_are_left_out(one) -> None:
    evaluation = one(seconds=(30.0,), reference_gap_s=(12.0, 13.0))
    assert ends(evaluation.windows) == [(0, 10), (13, 23)]
    assert ends(evaluation.recordings) == [(0, 30)]
    assert max(abs(row.error) for row in evaluation.windows) < 0.5


def test_recording_shorter_than_a_window_is_one_window(one) -> None:
    assert ends(one(seconds=(7.0,)).windows) == [(0, 7)]


def test_window_length_is_an_argument(one) -> None:
    assert len(one(seconds=(30.0,), window_s=5.0).windows) == 6


def test_mean_of_the_devices_heart_rate_is_the_reference_without_a_ppg(one) -> None:
    evaluation = one(device_bpm=70.0)
    [row] = evaluation.recordings
    assert (row.reference, row.reference_bpm, row.macc) == ("bpm", 70.0, None)
    assert row.error == pytest.approx(5.0, abs=0.2)
    assert evaluation.summaries["recordings"].macc is None
    assert conditions(evaluation)["reference"] == "the mean of the heart rate that the device gave"


@pytest.mark.parametrize("kind", [{"reference_bpm": None}, {"device_bpm": 0.0}, {"reference_bpm": 0.0}])
def test_heart_rates_without_a_reference_have_no_errors(one, tmp_path: Path, kind) -> None:
    evaluation = one(**kind)
    [row] = evaluation.recordings
    assert row.bpm == pytest.approx(75.0, abs=0.2)
    assert (row.reference, row.reference_bpm, row.error, row.snr_db, row.macc) == (None,) * 5
    assert evaluation.summaries == {"recordings": None, "windows": None}
    assert "no recording has a reference" in to_text(evaluation)
    assert [path.name for path in sorted(write_report(evaluation, tmp_path / "out"))] == FILES


def damage(folder: Path) -> None:
    """Damage three of four recordings: cut frames, changed labels, missing frames."""
    frames = folder / "1-a" / FRAMES
    frames.write_bytes(frames.read_bytes()[:10_000])
    labels = dict(np.load(folder / "1-b" / LABELS))
    np.savez(folder / "1-b" / LABELS, **{**labels, "ppg": labels["ppg"] + 1})
    (folder / "2-a" / FRAMES).unlink()


def test_failures_are_named_with_their_reason_and_the_rest_is_evaluated(tmp_path: Path) -> None:
    folder = write_cache(tmp_path, [*FOUR, SmallRecording("short", "5", seconds=(4.9, 3.0))])
    damage(folder)
    evaluation = evaluate("POS", open_cache(folder))
    assert [row.recording for row in evaluation.recordings] == ["10-a"]
    reasons = {failure.recording: failure.reason for failure in evaluation.failed}
    assert list(reasons) == ["1-a", "1-b", "2-a", "short"]
    assert all("\n" not in reason and "prepare" in reason for reason in list(reasons.values())[:3])
    assert reasons["short"].endswith("holds no face with a reference for 5 s without a gap; leave it out")
    assert list(evaluation.sha256) == ["1-a", "1-b", "2-a", "10-a", "short"]
    assert len(evaluation.to_dict()["failed"]) == 4
    assert "4 of 5: 1-a 1-b 2-a short" in to_text(evaluation)


@pytest.mark.slow
def test_strata_are_of_attributes_with_two_to_twelve_values(tmp_path: Path) -> None:
    recordings = [
        SmallRecording(
            f"r{n}", f"s{n}", 60.0 + n, seconds=(5.0,), attributes={"light": "AB"[n % 2], "all": "same", "age": n}
        )
        for n in range(13)
    ]
    strata = evaluate("POS", open_cache(write_cache(tmp_path, recordings))).strata
    assert list(strata) == ["light"], "neither one value nor thirteen"
    assert {value: summaries["recordings"].n for value, summaries in strata["light"].items()} == {"A": 7, "B": 6}
    assert strata["light"]["A"]["windows"].subjects == 7


@pytest.mark.slow
def test_progress_is_called_for_every_recording(four: Path) -> None:
    calls: list[tuple[float, float | None]] = []
    evaluate("POS", open_cache(four), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 4) for n in range(5)]


@pytest.mark.slow
def test_files_are_reproducible_and_complete(four: Path, tmp_path: Path) -> None:
    recordings, selection = choose(open_cache(four), "all", "test", {})
    evaluation = evaluate("POS", recordings, selection=selection)
    first, second = tmp_path / "first", tmp_path / "second"
    write_report(evaluation, first)
    write_report(evaluate("POS", recordings, selection=selection), second)
    assert sorted(path.name for path in first.iterdir()) == FILES, "no temporary files remain"
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name

    result = json.loads((first / "result.json").read_text(encoding="utf-8"))
    assert result["selection"]["ids"] == {"test": ["1-a", "1-b", "2-a", "10-a"]}
    assert result["protocol"].startswith("facepulse: detrended")
    assert result["sha256"] == {recording.name: recording.sha256 for recording in recordings}
    assert result["bootstrap"] == {"clusters": "subjects", "resamples": 2000, "seed": 0}
    assert result["summaries"]["recordings"]["mae"]["value"] == evaluation.summaries["recordings"].mae.value
    assert len(result["summaries"]["recordings"]["mae"]["interval"]) == 2
    assert {"light", "skin_color"} == set(result["strata"])
    assert {"facepulse", "python", "numpy", "scipy"} <= set(result["versions"])

    with (first / "windows.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(line["bpm"]) for line in table] == [row["bpm"] for row in result["windows"]]
    assert [line["light"] for line in table] == ["bright", "dim", "bright", "dim"]
    assert table[0]["reference"] == "ppg"


@pytest.mark.slow
def test_attributes_that_are_not_valid_text_are_written_escaped(one, tmp_path: Path) -> None:
    evaluation = one(attributes={"light": "caf\udce9", "pulse": "=1+1"})
    write_report(evaluation, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["recordings"][0]["attributes"]["light"]


@pytest.mark.slow
def test_simulated_recordings_are_marked(four: Path, tmp_path: Path) -> None:
    assert not evaluate("POS", open_cache(four)).simulated
    simulated = evaluate("POS", open_cache(write_cache(tmp_path, FOUR[:1], dataset="simulated")))
    assert "note       simulated recordings: they show that methods work" in to_text(simulated)
    flagged = [replace(recording, details={**recording.details, "simulated": True}) for recording in open_cache(four)]
    assert evaluate("POS", flagged).simulated


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "new"}, "no protocol is called 'new': choose one of paper, toolbox-2023"),
        ({"window_s": 4.0}, "the windows can be 5 s long or longer, not 4 s"),
        ({"window_s": float("nan")}, "the windows can be 5 s"),
        ({"recordings": []}, "there is no recording to evaluate on"),
        ({"model": "nonsense"}, "no method is called 'nonsense'"),
    ],
)
def test_wrong_argument_is_named(four: Path, options, message: str) -> None:
    arguments = {"model": "POS", "recordings": open_cache(four)[:1], **options}
    with pytest.raises(UsageError, match=message):
        evaluate(arguments.pop("model"), arguments.pop("recordings"), **arguments)


def test_two_datasets_are_refused(four: Path, tmp_path: Path) -> None:
    other = open_cache(write_cache(tmp_path, FOUR[:1], dataset="other"))
    with pytest.raises(UsageError, match=r"several datasets or caches \(other, small\): evaluate one at a time"):
        evaluate("POS", [*open_cache(four), *other])


def names(recordings: list[PreparedRecording]) -> list[str]:
    return [recording.name for recording in recordings]


def test_filter_is_applied_after_the_split(four: Path) -> None:
    recordings = open_cache(four)
    chosen, selection = choose(recordings, "pure-60-40", "test", {"light": ("dim",)})
    assert names(chosen) == ["10-a"]
    ids = {"train": ["1-a", "1-b"], "test": ["2-a", "10-a"]}
    assert selection == Selection("pure-60-40", "test", {"light": ("dim",)}, ids)


def test_fold_is_chosen_by_its_number(four: Path) -> None:
    recordings = open_cache(four)
    assert names(choose(recordings, "leave-one-out/2", "test", {})[0]) == ["2-a"]
    assert names(choose(recordings, "leave-one-out/2", "train", {})[0]) == ["1-a", "1-b", "10-a"]
    with pytest.raises(UsageError, match="has to be one of its folds: leave-one-out/1, leave-one-out/2"):
        choose(recordings, "leave-one-out", "test", {})


@pytest.mark.parametrize(
    ("split", "subset", "where", "message"),
    [
        ("80-20", "test", {}, "the split 80-20 has no subset 'test': choose train or validation"),
        ("nonsense", "test", {}, "no split is called 'nonsense'"),
        ("all/2", "test", {}, "has to be one of its folds: all"),
        ("all", "test", {"light": ("dim",), "skin_color": ("7",)}, "no recording has skin_color=7"),
    ],
)
def test_impossible_choice_is_named(four: Path, split: str, subset: str, where, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(open_cache(four), split, subset, where)


@pytest.mark.slow
def test_command_prints_a_table_and_writes_four_files(run, four: Path, tmp_path: Path) -> None:
    code, out, err = run("POS", "--data", four.parent, "--protocol", "toolbox")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "POS on small: 4 recordings of 3 subjects"
    assert any(line.startswith("  protocol   toolbox: detrended λ=100, band-pass 0.6-3.3 Hz") for line in lines)
    assert "  split      all, test" in lines
    assert "  recordings 1-a 1-b 2-a 10-a" in lines
    assert "  data       small, crops of 36 px at margin 0 and 30 fps, boxes by haar, clocks aligned" in lines
    assert any(line.startswith("  MAE, bpm        0.0") and "[" in line for line in lines)
    folder = tmp_path / "evaluations" / "POS-small-all-toolbox"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert f"  wrote {folder.relative_to(tmp_path)}/report.html" in lines


@pytest.mark.slow
def test_command_takes_filters_folds_and_a_folder(run, four: Path, tmp_path: Path) -> None:
    arguments = ("--where", "light=bright,dim", "--where", "skin_color=5", "--window", "6", "--out", tmp_path / "here")
    assert run("chrom", "--data", four, *arguments)[0] == 0
    result = json.loads((tmp_path / "here" / "result.json").read_text(encoding="utf-8"))
    assert result["selection"]["where"] == {"light": ["bright", "dim"], "skin_color": ["5"]}
    assert [row["recording"] for row in result["recordings"]] == ["2-a", "10-a"]
    assert len(result["windows"]) == 4
    assert run("POS", "--data", four, "--split", "leave-one-out/3", "--subset", "train")[0] == 0
    assert (tmp_path / "evaluations" / "POS-small-leave-one-out_3-train-facepulse").is_dir()


@pytest.mark.slow
def test_command_exits_with_three_if_a_recording_failed(run, tmp_path: Path) -> None:
    folder = write_cache(tmp_path / "cache")
    damage(folder)
    code, out, err = run("POS", "--data", folder, "--out", tmp_path / "out")
    assert code == 3
    assert "failed     3 of 4: 1-a 1-b 2-a" in out
    assert [line.startswith("facepulse: ") for line in err.splitlines()] == [True] * 3
    assert len(json.loads((tmp_path / "out" / "result.json").read_text())["failed"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("POS", "--where", "light"), "--where takes KEY=VALUE,VALUE or mmpd-simple, not 'light'"),
        (("POS", "--where", "mmpd-simple"), "no recording has light=LED-low"),
        (("nonsense",), "no method is called 'nonsense'"),
        (("POS", "--split", "5-fold"), "needs at least 5 subjects"),
        (("POS", "--out", "file.txt"), "give the name of a folder"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(run, four: Path, tmp_path: Path, arguments, message) -> None:
    code, out, err = run(*arguments, "--data", four)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_folder_of_videos_is_prepared_and_evaluated_by_one_command(run, face_video, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    times = np.arange(0, 12, 1 / 50)
    for name, bpm in (("ann", 72.0), ("bob", 84.0)):
        (videos / f"{name}.mp4").symlink_to(face_video(bpm))
        rows = np.stack([times, waveform(bpm, times)], axis=1)
        np.savetxt(videos / f"{name}.csv", rows, "%.5f", delimiter=",", header="time_s,ppg", comments="")
    (videos / "broken.mp4").write_bytes(b"no video")
    code, out, err = run("POS", "--data", videos, "--jobs", 1)
    assert code == 3
    assert err.startswith("facepulse: broken cannot be prepared: ")
    assert len(err.splitlines()) == 1
    assert out.startswith("POS on folder: 2 recordings of 2 subjects")
    result = json.loads((tmp_path / "evaluations" / "POS-videos-all-facepulse" / "result.json").read_text())
    assert [(row["shown"], abs(row["error"]) < 0.5) for row in result["recordings"]] == [(True, True)] * 2
    [cache] = (tmp_path / "evaluations" / "cache").iterdir()
    assert cache.name.startswith("videos-")
    assert run("GREEN", "--data", videos, "--waveform-only")[0] == 3, "the cache is used again"
    assert (tmp_path / "evaluations" / "GREEN-videos-all-facepulse-waveform").is_dir()


def test_folder_in_which_nothing_can_be_prepared_is_one_line(run, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    code, _, err = run("POS", "--data", tmp_path / "videos", "--jobs", 1)
    assert code == 3
    assert "no video could be prepared; broken: " in err
    assert len(err.splitlines()) == 1


def test_folder_that_is_no_cache_is_one_line(run, tmp_path: Path) -> None:
    code, _, err = run("POS", "--data", tmp_path / "nothing")
    assert code == 3
    assert "no such folder; give a cache written by `facepulse prepare`" in err


def test_command_accepts_every_protocol() -> None:
    assert set(get_args(get_type_hints(cli.evaluate)["protocol"])) == set(PROTOCOLS)


def test_systole_of_the_small_cache_points_up() -> None:
    assert waveform(60.0, np.array([0.25]))[0] > 0.9


@pytest.mark.slow
def test_window_is_kept_if_its_last_frame_is_missing(tmp_path):
    write_cache(tmp_path, [SmallRecording("a", "1", seconds=(599 / 30,)), SmallRecording("b", "2", seconds=(19.5,))])
    windows = evaluate("POS", open_cache(tmp_path), window_s=10.0).windows
    assert [(row.recording, round(row.start_s), round(row.end_s, 1)) for row in windows] == [
        ("a", 0, 10.0),
        ("a", 10, 20.0),
        ("b", 0, 10.0),
    ]
