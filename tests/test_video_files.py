"""Files with unusual clocks, orientations and streams through the command line, a stream and the preparation alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import facepulse
from facepulse import cli
from facepulse.datasets.cache import open_cache
from facepulse.datasets.preparation import prepare_videos
from facepulse.evaluation.run import evaluate
from odd_videos import X264, encode, painted

pytestmark = pytest.mark.slow

SECONDS = 12


def raw_h264(path: Path) -> Path:
    """A raw stream whose headers count microseconds, as programs write it that time frames themselves."""
    options = X264 | {"x264-params": "asm=avx2:force-cfr=0"}
    times = np.round(np.arange(30 * SECONDS) * 1e6 / 30)
    images = painted(seconds=SECONDS)
    return encode(path / "face.h264", images, times, fps=1_000_000, time_base=Fraction(1, 1_000_000), options=options)


def motion_jpeg(path: Path) -> Path:
    """A raw stream of 60 frames per second."""
    images = painted(60, seconds=SECONDS)
    return encode(path / "face.mjpeg", images, fps=60, codec="mjpeg", options={"qmin": "1", "q": "2"})


def b_frames_in_avi(path: Path) -> Path:
    """H.264 with B frames in AVI, which has no times of presentation."""
    return encode(path / "face.avi", painted(seconds=SECONDS))


def joined_transport_streams(path: Path) -> Path:
    """Two recordings joined byte by byte."""
    images = painted(seconds=SECONDS)
    parts = [
        encode(path / name, half).read_bytes()
        for name, half in (("a.ts", images[: len(images) // 2]), ("b.ts", images[len(images) // 2 :]))
    ]
    (path / "face.mts").write_bytes(b"".join(parts))
    return path / "face.mts"


def read_by_command(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict, str]:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["measure", str(path), "--method", "POS", "--json", "-", *options])
    output = capsys.readouterr()
    return int(exit_.value.code or 0), json.loads(output.out), output.err


@pytest.mark.parametrize(
    ("make", "fps"), [(raw_h264, 30), (motion_jpeg, 60), (b_frames_in_avi, None), (joined_transport_streams, None)]
)
def test_file_has_the_same_heart_rate_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path], fps: int | None
) -> None:
    (tmp_path / "videos").mkdir()
    made = make(tmp_path)
    path = made.rename(tmp_path / "videos" / made.name)
    if fps is not None:
        code, _, message = read_by_command(path, capsys)
        assert code == 3
        assert "is a raw stream without timestamps; state its frame rate (fps)" in message
        with pytest.raises(facepulse.VideoError, match="raw stream without timestamps"):
            next(facepulse.stream(path, method="POS"))
        (tmp_path / "videos" / "recordings.csv").write_text(f"video,stated_fps\n{path.name},{fps}\n")
    code, result, _ = read_by_command(path, capsys, *(["--fps", str(fps)] if fps else []))
    assert (code, result["bpm"]) == (0, pytest.approx(72, abs=1.5))
    measured_s = sum(part["end_s"] - part["start_s"] for part in result["parts"])
    assert measured_s == pytest.approx(SECONDS, abs=0.3), "all of the video is used"
    *_, reading = facepulse.stream(path, method="POS", fps=fps)
    assert reading.estimate_bpm == pytest.approx(72, abs=3)
    prepare_videos(tmp_path / "videos", tmp_path / "cache", jobs=1)
    [row] = evaluate("POS", open_cache(tmp_path / "cache")).recordings
    assert row.bpm == pytest.approx(result["bpm"], abs=0.01)
