"""Settings of a run that takes seconds: a narrow network on a small cache."""

from pathlib import Path
from typing import Any

from facepulse.training.settings import Settings, settings_from
from small_cache import SmallRecording, write_cache

RATES = (55.0, 62.0, 70.0, 78.0, 85.0, 95.0, 104.0, 66.0, 73.0, 90.0)


def cache(folder: Path, seconds: float = 6.4) -> Path:
    """Write ten people with one recording each; split 80-20 has the last two for validation."""
    people = enumerate(RATES, 1)
    return write_cache(folder, [SmallRecording(f"{n}-a", str(n), bpm, seconds=[seconds]) for n, bpm in people])


def entries(out: Path, data: Path, /, **sections: dict[str, Any]) -> dict[str, Any]:
    """Return settings as plain values; sections replace those of the small run."""
    small: dict[str, Any] = {
        "network": {"name": "physfsunet", "config": {"stem_width": 2, "width": 4, "head_width": 4}},
        "data": {
            "caches": [{"path": str(data), "split": "80-20", "subset": "train"}],
            "validation": [{"path": str(data), "split": "80-20", "subset": "validation"}],
            "frames": 64,
            "size": 36,
            "margin": 0.0,
        },
        "optimiser": {"epochs": 2, "batch": 4, "clip_norm": 1.0},
    }
    for name, values in sections.items():
        small[name] = {**small.get(name, {}), **values}
    return {"out": str(out), **small}


def settings(out: Path, data: Path, /, **sections: dict[str, Any]) -> Settings:
    """Return the settings as an object."""
    return settings_from(entries(out, data, **sections), "a test")
