"""benchmarks/README.md against the scripts in its folder."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_index_lists_every_benchmark_once_with_existing_documents() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+\.py)`", page, re.MULTILINE)) == sorted(
        path.name for path in FOLDER.glob("*.py")
    )
    assert all((FOLDER / target).exists() for target in re.findall(r"\]\(([^)]+)\)", page))
