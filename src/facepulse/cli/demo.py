"""The command demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

import facepulse
from facepulse._files import check_writable
from facepulse.cli.console import EXIT_WITHHELD, progress_bar


def demo(
    directory: Path = Path("facepulse-demo"),
    *,
    bpm: Annotated[float, Parameter(validator=Number(gte=45, lte=180))] = 72.0,
) -> int:
    """Paint a face with a known pulse, measure it, print both heart rates, and write the video and a plot.

    Example: facepulse demo

    Args:
        directory: Directory for face.mp4 and face.png.
        bpm: Heart rate of the simulated face.
    """
    from facepulse.simulate.painted_face import PaintedFace, metronome, render

    seconds = 20.0
    video = directory / "face.mp4"
    check_writable(video)
    directory.mkdir(parents=True, exist_ok=True)
    with progress_bar("painting a face") as progress:
        render(video, [PaintedFace(metronome(bpm, seconds))], seconds=seconds, progress=progress)
    with progress_bar("measuring it") as progress:
        result = facepulse.measure(video, progress=progress)
    plot = directory / "face.png"
    result.plot(plot)
    found = "no reliable pulse" if result.bpm is None else f"{result.bpm:.1f} bpm"
    print(f"painted  {bpm:.1f} bpm (a simulated face, which tests the installation, not the accuracy)")
    print(f"measured {found}, quality {result.quality:.2f}, by {result.method}")
    print(f"video    {video}")
    print(f"plot     {plot}")
    return 0 if result.bpm is not None else EXIT_WITHHELD
