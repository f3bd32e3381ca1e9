"""Measure the size and time of an installation from the wheel, in empty environments with an old and the newest pip.

    python benchmarks/install.py [--python python3.11 ...]

Builds the wheel, creates an empty virtual environment for each Python and pip, installs the wheel there, prints the
megabytes downloaded and installed, and runs `facepulse demo` with only that environment on the path (no FFmpeg) and an
empty home folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def folder_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
        [wheel] = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        for python in arguments.python:
            for pip in ("pip==23.0.1", "pip"):
                home = folder / f"{Path(python).name}-{pip}"
                environment = home / "venv"
                run(python, "-m", "venv", environment)
                own = environment / "bin" / "python"
                run(own, "-m", "pip", "install", "--quiet", "--upgrade", pip)
                bare_mb = folder_mb(environment)
                start = time.time()
                run(own, "-m", "pip", "download", "--quiet", "--dest", home / "wheels", wheel)
                run(own, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", home / "wheels", "facepulse")
                took_s = time.time() - start
                listed = json.loads(run(own, "-m", "pip", "list", "--format", "json"))
                packages = {package["name"]: package["version"] for package in listed}
                assert "torch" not in packages
                empty = home / "home"
                empty.mkdir()
                answer = run(
                    environment / "bin" / "facepulse",
                    "demo",
                    empty / "demo",
                    env={
                        "PATH": str(environment / "bin"),
                        "HOME": str(empty),
                        "LANG": os.environ.get("LANG", "C.UTF-8"),
                    },
                    cwd=empty,
                )
                print(
                    f"\n{run(own, '--version').strip()}, pip {packages['pip']}: "
                    f"{folder_mb(home / 'wheels'):.0f} MB downloaded, "
                    f"{folder_mb(environment) - bare_mb:.0f} MB installed, "
                    f"{len(packages) - 2} packages, {took_s:.0f} s\n{answer.strip()}"
                )


if __name__ == "__main__":
    main()
