"""The verbs of run time: measure a video, show that it works, list what reads a pulse."""

from __future__ import annotations

import json as json_lines
import os
import sys
import textwrap
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

import facepulse
from facepulse._files import atomic_write, check_folder, check_writable
from facepulse._optional import require_extra
from facepulse.cli.console import EXIT_UNTRUSTED, progress_bar, say
from facepulse.errors import FacepulseError, UsageError
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD, printable


def measure(
    *videos: Annotated[str, Parameter(required=True)],
    method: str = DEFAULT,
    window: Annotated[float, Parameter(validator=Number(gte=5))] = 10.0,
    faces: Literal["largest", "all"] = "largest",
    detector: Literal["auto", "haar", "rfb"] = "auto",
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    waveform: Annotated[bool, Parameter(negative=())] = False,
    csv: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Measure the heart rate in videos, or in directories of images with timestamps in their names.

    Example: facepulse measure face.mp4 --json - --plot plots

    Exit codes: 0 measured; 2 wrong usage; 3 unreadable or empty input; 4 no face found; 5 too short to measure;
    6 no trustworthy pulse. With several videos all are tried, and the highest code is returned.

    Args:
        videos: Video files, or directories of images.
        method: How the pulse is read: a name of `facepulse models`, or a network's file, .onnx or .safetensors. Where a
            network cannot be trusted and POS is sure (0.9), POS is read, and a note says so.
        window: Length in seconds of the windows of the heart rate over time.
        faces: The largest face that stays, or all, numbered from left to right.
        detector: Face detector: haar, rfb (turned heads, low light), or auto: haar, and rfb where haar finds nobody.
        min_quality: Withhold a heart rate whose quality (0 to 1) is below this.
        json: Write one JSON object a line for each video and face to this file, or to standard output with `-`.
        waveform: Put the waveform, its times and the beats into the JSON.
        csv: Write NAME.windows.csv and NAME.waveform.csv into this directory.
        plot: Write NAME.png into this directory.
    """
    if json is not None and json != "-":
        check_writable(Path(json))
    for folder in (csv, plot):
        if folder is not None:
            check_folder(folder)
    # With JSON on standard output, the summary for people goes to the other stream.
    summary = sys.stderr if json == "-" else sys.stdout
    lines: list[str] = []
    used: set[str] = set()
    worst = 0
    try:
        for video in videos:
            try:
                with progress_bar(printable(Path(video).name)) as progress:
                    results = facepulse.measure_faces(
                        video,
                        method=method,
                        window_s=window,
                        which=faces,
                        detector=detector,
                        min_quality=min_quality,
                        progress=progress,
                    )
            except UsageError:
                raise
            except FacepulseError as error:
                say(str(error))
                lines.append(_failure(video, error))
                worst = max(worst, error.exit_code)
                continue
            for result in results:
                print(result, file=summary)
                lines.append(result.to_json(waveform=waveform))
                if result.bpm is None:
                    say(f"{video}: {result.warnings[0]}")
                    worst = max(worst, EXIT_UNTRUSTED)
                name = _distinct_name(video, result.face if len(results) > 1 else None, used)
                try:
                    written = [*result.to_csv(csv, name)] if csv is not None else []
                    written += [result.plot(plot / f"{name}.png")] if plot is not None else []
                    for path in written:
                        print(f"  wrote {path}", file=summary)
                except UsageError as error:  # no reason not to measure the others
                    say(str(error))
                    worst = max(worst, error.exit_code)
    finally:  # interrupted or not, what has been measured is not lost
        if lines and json == "-":
            print(*lines, sep="\n")
        elif lines and json is not None:
            with atomic_write(Path(json)) as temporary:
                temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return worst


def demo(
    directory: Path = Path("facepulse-demo"),
    *,
    bpm: Annotated[float, Parameter(validator=Number(gte=45, lte=180))] = 72.0,
) -> int:
    """Paint a face whose pulse is known, measure it, and show both numbers and a plot.

    Example: facepulse demo

    Args:
        directory: Where to write face.mp4 and face.png.
        bpm: Heart rate to paint.
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
    picture = result.plot(directory / "face.png")
    found = "nothing to be trusted" if result.bpm is None else f"{result.bpm:.1f} bpm"
    print(f"painted  {bpm:.1f} bpm (a simulated face: it shows that all parts work, not how accurate they are)")
    print(f"measured {found}, quality {result.quality:.2f}, by {result.method}")
    print(f"video    {video}")
    print(f"plot     {picture}")
    return 0 if result.bpm is not None else EXIT_UNTRUSTED


def live(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8737,
    host: str = "127.0.0.1",
    method: str = DEFAULT,
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    camera: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    browser: bool = True,
) -> int:
    """Show your pulse live: opens a page that asks for the camera; or on the terminal, with --camera.

    Pictures stay on this computer, and are let go when they have been read.

    Example: facepulse live

    Args:
        port: Port of the page; 0 takes any that is free.
        host: Address to listen at. For any but this computer's own, the page asks for a token.
        method: As in `measure`.
        min_quality: Withhold a heart rate whose quality (0 to 1) is below this.
        camera: Number of a camera, from 0: no page, a line a second on the terminal.
        browser: Open the page in the browser.
    """
    read = partial(facepulse.stream, method=method, min_quality=min_quality)
    with suppress(KeyboardInterrupt):  # which is how it is stopped
        if camera is not None:
            for reading in read(camera):
                print(reading, flush=True)
            return 0
        require_extra("web", ["fastapi", "uvicorn", "websockets"], "the live page")
        from facepulse.web.server import serve

        serve(read, host=host, port=port, open_browser=browser, say=partial(print, flush=True))
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
    print("\narchitectures to train, or with weights of your own: measure --method FILE, .onnx (fast) or .safetensors")
    print(f"  {'':13} {'parameters':>10}  {'GMACs*':>6}  {'size':8} {'clip':14} reference")
    for name, entry in NETWORKS.items():
        figures = entry.figures
        size = f"{figures.size} px" if figures.size else "any size"
        clip = f"multiple of {figures.multiple}" if figures.multiple > 1 else "any length"
        paper = f"{entry.reference}, arXiv {entry.arxiv}" if entry.arxiv else entry.reference
        print(f"  {name:13} {figures.parameters:10,}  {figures.gmacs:6.1f}  {size:8} {clip:14} {paper}")
    print("  * for a clip of 160 frames of 128x128; all figures are of the default config, weights may have another")
    return 0


def _failure(video: str, error: FacepulseError) -> str:
    """What stands in the JSON for a video that could not be measured."""
    failure = {"source": printable(video), "error": printable(str(error)), "exit_code": error.exit_code}
    return json_lines.dumps(failure, ensure_ascii=False)


def _distinct_name(video: str, face: int | None, used: set[str]) -> str:
    """A name for the outputs of a face in a video that no other video or face has."""
    path = Path(os.path.abspath(video))
    base = path.name if path.is_dir() else path.stem
    if face is not None:
        base = f"{base}.face{face}"
    name, count = base, 1
    while name in used:
        count += 1
        name = f"{base}-{count}"
    used.add(name)
    return name
