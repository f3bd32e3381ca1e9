"""Commands that measure: measure, live, demo and models."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

import facepulse
from facepulse._files import check_writable
from facepulse._optional import require_extra
from facepulse.cli.console import EXIT_WITHHELD, progress_bar, report
from facepulse.cli.measure_output import MeasureOutput
from facepulse.errors import FacepulseError, UsageError
from facepulse.faces.detectors import DetectorName
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, Measurement, printable


def measure(
    *videos: Annotated[str, Parameter(required=True)],
    method: str = DEFAULT,
    window: Annotated[float, Parameter(validator=Number(gte=5))] = 10.0,
    faces: Literal["largest", "all"] = "largest",
    detector: DetectorName = "auto",
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    waveform: Annotated[bool, Parameter(negative=())] = False,
    csv: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Measure the heart rate in videos, or in directories of images with timestamps in their names.

    Example: facepulse measure face.mp4 --json - --plot plots

    Exit codes: 0 measured; 2 wrong usage; 3 unreadable or empty input; 4 no face found; 5 too short to measure;
    6 quality too low, heart rate withheld. All videos are measured, and the highest code is returned.

    Args:
        videos: Video files, or directories of images.
        method: Name of a method in `facepulse models`, or file of a network: .onnx, .safetensors, or .pth of
            rPPG-Toolbox. If the quality of a network is too low and that of POS is 0.9 or more, POS replaces it, and a
            note says so.
        window: Length in seconds of the windows of the heart rate over time.
        faces: largest: the largest face; all: every face, numbered from left to right.
        detector: Face detector: haar; rfb, for turned heads and low light; auto: haar, and rfb if haar finds no face.
        min_quality: Withhold heart rates with a quality (0 to 1) below this.
        json: Write one JSON object per line, for each video and face, to this file, or to standard output with `-`.
        waveform: Add the waveform, its times and the beats to the JSON.
        csv: Write NAME.windows.csv and NAME.waveform.csv into this directory.
        plot: Write NAME.png into this directory.
    """
    measure_faces = partial(
        facepulse.measure_faces,
        method=method,
        window_s=window,
        which=faces,
        detector=detector,
        min_quality=min_quality,
    )
    code = 0
    with MeasureOutput(json, csv, plot, waveform, faces == "all") as output:
        for video in videos:
            code = max(code, _measure_one(video, measure_faces, output))
    return code


def _measure_one(video: str, measure_faces: Callable[..., list[Measurement]], output: MeasureOutput) -> int:
    """Measure one video, write its results and return the exit code."""
    try:
        with progress_bar(printable(Path(video).name)) as progress:
            results = measure_faces(video, progress=progress)
    except UsageError:
        raise  # the arguments are wrong for every video
    except FacepulseError as error:
        return output.write_failure(video, error)
    return output.write(video, results)


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
    plot = result.plot(directory / "face.png")
    found = "no reliable pulse" if result.bpm is None else f"{result.bpm:.1f} bpm"
    print(f"painted  {bpm:.1f} bpm (a simulated face, which tests the installation, not the accuracy)")
    print(f"measured {found}, quality {result.quality:.2f}, by {result.method}")
    print(f"video    {video}")
    print(f"plot     {plot}")
    return 0 if result.bpm is not None else EXIT_WITHHELD


def live(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8737,
    host: str = "127.0.0.1",
    method: str = DEFAULT,
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    camera: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    browser: bool = True,
) -> int:
    """Show your pulse live, on a page in the browser or, with --camera, on the terminal.

    Frames stay on this computer and are discarded after processing.

    Example: facepulse live

    Args:
        port: Port of the page; 0 selects a free one.
        host: Address to listen on. If other computers can reach it, the page requires a token.
        method: Method, as in `measure`.
        min_quality: Withhold heart rates with a quality (0 to 1) below this.
        camera: Number of a camera, from 0: print one line per second to the terminal instead of serving a page.
        browser: Open the page in the browser.
    """
    read = partial(facepulse.stream, method=method, min_quality=min_quality)
    with suppress(KeyboardInterrupt):  # the usual way to stop it
        if camera is not None:
            for reading in read(camera):
                print(reading, flush=True)
            return 0
        require_extra("web", ["fastapi", "uvicorn", "websockets"], "the live page")
        from facepulse.web.server import serve

        serve(read, host=host, port=port, open_browser=browser, report=report)
    return 0


def models() -> int:
    """List all methods: classical methods, weights that come with the package, and networks to train.

    Example: facepulse models
    """
    from facepulse.inference.registry import ALIASES, NETWORKS
    from facepulse.inference.weights import list_models, read_card, read_parameter_count
    from facepulse.rppg.classical import CLASSICAL

    print("classical methods, from mean RGB traces: measure --method NAME")
    for method in CLASSICAL.values():
        print(f"  {method.name:6} {method.description:34} {method.reference}")
    if list_models():
        print("\nweights: measure --method NAME")
    for name in list_models():
        card = read_card(name)
        also = "".join(f", also called {alias}" for alias, weights in ALIASES.items() if weights == name)
        print(f"  {name}{also}: {read_parameter_count(name):,} parameters, architecture {card.network},")
        text = f"{card.frames} frames of {card.size} px, {card.licence}; trained on {card.training_data}"
        print(*textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6), sep="\n")
    print("\narchitectures to train, or with your own weights: measure --method FILE, .onnx (fast), .safetensors, .pth")
    print(f"  {'':13} {'parameters':>10}  {'GMACs*':>6}  {'size':8} {'clip':14} reference")
    for name, entry in NETWORKS.items():
        figures = entry.figures
        size = f"{figures.size} px" if figures.size else "any size"
        clip = f"multiple of {figures.multiple}" if figures.multiple > 1 else "any length"
        paper = f"{entry.reference}, arXiv {entry.arxiv}" if entry.arxiv else entry.reference
        print(f"  {name:13} {figures.parameters:10,}  {figures.gmacs:6.1f}  {size:8} {clip:14} {paper}")
    print("  * for a clip of 160 frames of 128x128; all figures are of the default config, weights may have another")
    return 0
