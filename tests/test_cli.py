"""The command line: exit codes, one-line errors, complete files."""

import csv
import json
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import facepulse
from facepulse import cli
from facepulse.inference.registry import DEFAULT, NETWORKS
from facepulse.inference.weights import read_parameter_count
from facepulse.simulate.painted_face import PaintedFace, metronome


@pytest.fixture(scope="module")
def face(face_video) -> Path:
    return face_video(72.0, 20.0)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return int(exit_.value.code or 0), output.out, output.err

    return call


@pytest.mark.slow
def test_summary_of_a_measurement(run, face: Path) -> None:
    code, out, err = run("measure", face)
    assert code == 0
    assert err == ""
    first, second, *rest = out.splitlines()
    assert first.startswith(f"{face}: 7")
    assert "bpm, quality 0." in first or "quality 1." in first
    assert second.startswith("  physfsunet.sim36, face 1, 20.0 s at 30.0 fps, SNR ")
    assert any(line.startswith("  protocol facepulse: ") for line in rest)


@pytest.mark.slow
def test_json_has_the_documented_fields(run, face: Path) -> None:
    code, out, err = run("measure", face, "--json", "-")
    assert code == 0
    assert "bpm, quality" in err, "the summary goes to standard error"
    result = json.loads(out)
    assert {"source", "method", "bpm", "quality", "snr_db", "fps", "duration_s", "windows", "hrv", "warnings"} <= set(
        result
    )
    assert result["source"] == str(face)
    assert result["windows"][0].keys() == {"start_s", "end_s", "bpm", "quality", "estimate_bpm", "reason"}
    assert "waveform" not in result


@pytest.mark.slow
def test_waveform_in_json_and_csv(run, face: Path, tmp_path: Path) -> None:
    code, _, _ = run("measure", face, "--json", tmp_path / "r.json", "--waveform", "--csv", tmp_path / "new" / "csv")
    assert code == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert len(result["waveform"]) == len(result["times_s"]) == 600
    table = list(csv.reader((tmp_path / "new" / "csv" / f"{face.stem}.waveform.csv").open()))
    assert table[0] == ["time_s", "waveform"]
    assert [float(row[1]) for row in table[1:]] == pytest.approx(result["waveform"])
    windows = list(csv.DictReader((tmp_path / "new" / "csv" / f"{face.stem}.windows.csv").open()))
    assert [float(row["bpm"]) for row in windows] == [window["bpm"] for window in result["windows"]]


@pytest.mark.slow
def test_plot_of_the_measurement(run, face: Path, tmp_path: Path) -> None:
    code, out, _ = run("measure", face, "--plot", tmp_path)
    assert code == 0
    path = tmp_path / f"{face.stem}.png"
    assert f"wrote {path}" in out
    image = cv2.imread(str(path))
    assert min(image.shape[:2]) > 500
    assert image.std() > 20
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
def test_all_videos_are_measured_and_the_highest_code_is_returned(run, face: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    code, out, err = run("measure", tmp_path / "missing.mp4", face, empty, "--json", "-")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["source"] for row in rows] == [str(tmp_path / "missing.mp4"), str(face), str(empty)]
    assert [row.get("exit_code") for row in rows] == [3, None, 3]
    assert rows[1]["bpm"] == pytest.approx(72, abs=1)
    assert code == 3
    assert len([line for line in err.splitlines() if line.startswith("facepulse: ")]) == 2


@pytest.mark.slow
def test_files_of_videos_with_the_same_name_are_distinct(run, face: Path, tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "face.mp4").write_bytes(face.read_bytes())
    run("measure", tmp_path / "a" / "face.mp4", tmp_path / "b" / "face.mp4", "--csv", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["face-2.waveform.csv", "face-2.windows.csv", "face.waveform.csv", "face.windows.csv"]


@pytest.fixture
def two_faces(face_video) -> Path:
    faces = [
        PaintedFace(metronome(bpm, 12), centre=(x, 0.5), height=0.62, strength=0.03)
        for x, bpm in ((0.27, 66), (0.73, 96))
    ]
    return face_video(seconds=12.0, faces=faces, width=480, height=320, name="Zwei Gesichter – 顔.mp4")


@pytest.mark.slow
def test_all_faces_are_measured(run, two_faces: Path, tmp_path: Path) -> None:
    path = two_faces
    code, out, err = run("measure", path, "--faces", "all", "--json", "-", "--plot", tmp_path)
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["face"], round(row["bpm"] / 3)) for row in rows] == [(1, 22), (2, 32)]
    assert [row["faces"] for row in rows] == [2, 2]
    assert "--faces all" not in err
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{path.stem}.face1.png", f"{path.stem}.face2.png"]


@pytest.mark.slow
def test_measuring_the_largest_of_two_faces_names_the_option_for_all(run, two_faces: Path) -> None:
    code, out, err = run("measure", two_faces, "--json", "-")
    assert code == 0
    assert "  to measure every face: --faces all" in err.splitlines()
    row = json.loads(out)
    assert row["face"] in (1, 2)
    assert row["faces"] == 2


@pytest.mark.slow
def test_withheld_heart_rate_is_code_6_and_null(run, face_video) -> None:
    code, out, err = run("measure", face_video(None, 20.0), "--json", "-")
    assert code == 6
    assert json.loads(out)["bpm"] is None
    [line] = [line for line in err.splitlines() if line.startswith("facepulse: ")]
    assert "no reliable pulse" in line
    assert "best guess" in line


def _text(path: Path) -> None:
    path.write_text("this is no video\n" * 100)


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(16000, np.int16).tobytes())


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no images here")


@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("missing.mp4", lambda path: None, 3),
        ("empty.mp4", lambda path: path.touch(), 3),
        ("text.mp4", _text, 3),
        ("sound.wav", _sound, 3),
        ("sound.mp4", _sound, 3),
        ("folder", _folder, 3),
    ],
)
def test_bad_input_has_one_line_and_its_code(run, tmp_path: Path, name: str, make, code: int) -> None:
    path = tmp_path / name
    make(path)
    before = sorted(tmp_path.rglob("*"))
    got, out, err = run("measure", path)
    assert got == code
    assert out == ""
    assert len(err.splitlines()) == 1
    assert str(path) in err
    assert ":" in err.split(str(path), 1)[1] or ";" in err, "the error says what to do"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"seconds": 1.0}, 5),
        ({"faces": [PaintedFace(visible_s=(99.0, 99.0))], "seconds": 6.0}, 4),
        ({"seconds": 8.0, "fps": 3.0}, 3),
        ({"bpm": None, "seconds": 8.0, "face": {"sway": 0.0}, "noise": 0.0}, 6),
    ],
    ids=["short", "no face", "slow", "photograph"],
)
def test_bad_video_has_one_line_and_its_code(run, face_video, options: dict, code: int) -> None:
    path = face_video(**options)
    got, _, err = run("measure", path)
    assert got == code
    assert len(err.splitlines()) == 1
    assert err.startswith(f"facepulse: {path}: ")


def test_mp4_with_sound_only_is_not_a_video(run, tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux([*stream.encode(frame), *stream.encode(None)])
    code, _, err = run("measure", path)
    assert code == 3
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_failed_output_does_not_stop_the_other_videos(run, face: Path, tmp_path: Path) -> None:
    long = tmp_path / ("n" * 245 + ".mp4")
    long.write_bytes(face.read_bytes())
    code, _, err = run("measure", long, face, "--csv", tmp_path / "csv", "--json", tmp_path / "out.json")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert len((tmp_path / "out.json").read_text().splitlines()) == 2
    assert (tmp_path / "csv" / f"{face.stem}.windows.csv").exists()


@pytest.mark.slow
def test_link_to_itself_does_not_stop_the_other_videos(run, face: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, out, err = run("measure", tmp_path / "loop", face)
    assert code == 3
    assert out.startswith(f"{face}: 7")
    assert len(err.splitlines()) == 1


def test_file_in_place_of_a_folder_is_refused(run, face_video, tmp_path: Path) -> None:
    code, _, err = run("measure", face_video(), "--plot", tmp_path / "plot.png")
    assert code == 2
    assert "give the name of a folder" in err
    assert not (tmp_path / "plot.png").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_file_names_and_terminals_of_any_encoding(face: Path, tmp_path: Path) -> None:
    video = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4")
    Path(os.fsdecode(video)).write_bytes(face.read_bytes())
    arguments = [sys.executable, "-m", "facepulse", "measure", video, "--json", "out.json", "--plot", "plots"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert "caf" in json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["source"]
    assert len(list((tmp_path / "plots").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_reported_in_one_line(face: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "facepulse", "measure", str(face)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("facepulse: cannot write the output (No space left")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["measure"], "VIDEOS"),
        (["measure", "a.mp4", "--nonsense"], "--nonsense"),
        (["measure", "a.mp4", "--window", "2"], "window"),
        (["measure", "a.mp4", "--min-quality", "7"], "min-quality"),
        (["measure", "a.mp4", "--faces", "three"], "three"),
        (["measure", "a.mp4", "--method", "magic"], "GREEN"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_wrong_usage_is_code_2(run, arguments: list[str], word: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert word in err


@pytest.mark.parametrize("option", ["--json", "--csv", "--plot"])
def test_unwritable_output_is_refused_before_measuring(run, face_video, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    code, out, err = run("measure", face_video(), option, tmp_path / "file" / "below")
    assert (code, out) == (2, "")
    assert "cannot write" in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
@pytest.mark.parametrize("what", ["video", "output"])
def test_missing_permission_has_one_line_and_its_code(face: Path, tmp_path: Path, what: str) -> None:
    """A process of its own without superuser rights, with which every file can be read and written."""
    locked = tmp_path / "locked"
    locked.mkdir()
    video = face
    if what == "video":
        video = locked / "face.mp4"
        video.write_bytes(face.read_bytes())
        video.chmod(0)
    arguments = ["measure", str(video)] + (["--json", str(locked / "out.json")] if what == "output" else [])
    locked.chmod(0o555)
    code = (
        "import os, scipy.signal, facepulse.pipeline.result\n"
        "from facepulse.cli import main\n"
        "from facepulse.pipeline.methods import find_method\n"
        "find_method('physfsunet')\n"  # modules cannot be imported either, if they are in the superuser's folder
        "if os.getuid() == 0: os.setuid(65534)\n"
        f"main({arguments!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == (3 if what == "video" else 2), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "permission" in done.stderr.lower()
    locked.chmod(0o755)
    assert not (locked / "out.json").exists()


def test_help_has_an_example_for_every_command(run) -> None:
    for command in cli.COMMANDS:
        code, out, _ = run(command.__name__, "--help")
        assert code == 0
        assert f"Example: facepulse {command.__name__}" in out


def test_help_describes_the_json(run) -> None:
    _, out, _ = run("measure", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert "one JSON object per line" in text


def test_models_lists_methods_and_networks_with_their_papers(run) -> None:
    _, out, _ = run("models")
    listed = [line.split()[0].rstrip(",:") for line in out.splitlines() if re.match(r"  \w", line)]
    assert listed == facepulse.list_models()
    methods, networks = (part.splitlines()[1:] for part in (out.split("\n\n")[0], out.split("\n\n")[-1]))
    assert [line.split()[0] for line in methods] == ["GREEN", "ICA", "CHROM", "POS", "LGI", "PBV", "OMIT"]
    assert [line.split()[0] for line in networks[1:-1]] == list(NETWORKS)
    assert f"{NETWORKS['physfsunet'].figures.parameters:,}" in networks[1]
    assert f"physfsunet.sim36, also called physfsunet: {read_parameter_count(DEFAULT):,} parameters" in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.slow
def test_a_network_measures_from_the_command_line(run, face: Path, trained) -> None:
    code, out, err = run("measure", face, "--method", trained.onnx, "--min-quality", "0")
    assert code == 0
    assert "  tiny, face 1," in out
    code, _, err = run("measure", face, "--method", "nothing.onnx")
    assert code == 2
    assert err.splitlines() == ["facepulse: there is no file nothing.onnx: give an exported network"]


@pytest.mark.slow
def test_demo_shows_both_heart_rates_and_a_plot(run, tmp_path: Path) -> None:
    code, out, _ = run("demo", tmp_path / "demo", "--bpm", "66")
    assert code == 0
    painted, measured = out.splitlines()[:2]
    assert painted.startswith("painted  66.0 bpm")
    assert float(measured.split()[1]) == pytest.approx(66.0, abs=1.0)
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["face.mp4", "face.png"]


@pytest.mark.slow
def test_interrupted_run_keeps_its_results_and_leaves_no_partial_files(face: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, facepulse\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs ignore SIGINT
        "from facepulse.cli import main\n"
        "measure, calls = facepulse.measure_faces, []\n"
        "def interrupted_third(*args, **options):\n"
        "    calls.append(args)\n"
        "    if len(calls) == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return measure(*args, **options)\n"
        "facepulse.measure_faces = interrupted_third\n"
        f"main(['measure', *[{str(face)!r}] * 9, '--json', {str(tmp_path / 'out.json')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "facepulse: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    rows = [json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()]
    assert [row["source"] for row in rows] == [str(face)] * 2
