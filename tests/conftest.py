"""Real videos for the tests: painted faces with a known pulse, through real codecs, made once a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facepulse.demo import PaintedFace, metronome, render

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Sample recordings that do not belong to the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the sample recordings in {SHARED_DATA.parent.name}/{SHARED_DATA.name} beside the checkout")
    return SHARED_DATA


# x264's code for AVX-512 gives another file every few runs, which a test at the edge of a threshold would notice.
REPEATABLE = {"x264-params": "asm=avx2"}

FaceVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def face_video(tmp_path_factory: pytest.TempPathFactory) -> FaceVideo:
    """Paint a small face video with a pulse of `bpm` (None: no pulse); the same arguments give the same file."""
    directory = tmp_path_factory.mktemp("faces")
    made: dict[str, Path] = {}

    def paint(bpm: float | None = 72.0, seconds: float = 12.0, name: str = "", **options: Any) -> Path:
        key = repr((bpm, seconds, name, sorted(options.items(), key=str)))
        if key not in made:
            face_options = {"height": 0.8, "strength": 0.02, **options.pop("face", {})}
            beats = () if bpm is None else metronome(bpm, seconds)
            faces = options.pop("faces", None) or [PaintedFace(beats, **face_options)]
            settings = {"width": 320, "height": 240, **options}
            if settings.get("codec", "libx264") == "libx264":
                settings["options"] = {"crf": "14", "preset": "veryfast", **REPEATABLE, **settings.get("options", {})}
            path = directory / (name or f"face{len(made)}.mp4")
            made[key] = render(path, faces, seconds=seconds, **settings)
        return made[key]

    return paint
