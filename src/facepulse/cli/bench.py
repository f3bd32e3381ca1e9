"""The verbs of the bench, from simulate to export; each imports what it takes when it is called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from facepulse._files import check_folder
from facepulse.cli.console import EXIT_UNREADABLE, progress_bar, report, say
from facepulse.errors import UsageError
from facepulse.measurement import printable


def simulate(
    out: Path,
    /,
    *,
    recordings: Annotated[int, Parameter(validator=Number(gte=1))],
    preset: Literal["calm", "complex", "unseen"] = "calm",
    layout: Literal["native", "close-up", "pure", "ubfc-rppg", "mmpd"] = "native",
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    seconds: Annotated[float, Parameter(validator=Number(gte=5, lte=3600))] = 30.0,
    split: Literal["train", "validation", "test"] = "train",
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
) -> int:
    """Simulate videos of faces with a known pulse, for tests and training. They show no real person.

    Stopped at any moment, the same command goes on where it was; with more recordings, it adds to those that are there.

    Example: facepulse simulate simulated --recordings 20 --preset complex

    Args:
        out: The folder to write into: new, empty, or of an earlier run with the same settings.
        recordings: How many recordings there shall be.
        preset: calm: people who keep still under steady light; complex: motion, difficult light, cheap cameras; unseen:
            a light and a motion that are in neither, for tests.
        layout: How the files lie: native (video.mp4, ppg.csv, recording.json), close-up (the same, but pictures end a
            little beyond the face, at a third of the work: for training), or as in one of the public datasets.
        seed: The same seed gives the same recordings.
        seconds: Length of each recording.
        split: No face of one split is in another.
        jobs: Recordings at work at a time, each with one thread; all cores if not given.
    """
    from facepulse.simulate.generate import generate
    from facepulse.simulate.layouts import LAYOUTS

    size = LAYOUTS[layout].expected_bytes(seconds)
    if size is not None:
        print(f"size      about {recordings * size / 1e9:.1f} GB in the layout {layout}", flush=True)
    with progress_bar("simulating", "recordings") as progress:
        summary = generate(
            out,
            recordings,
            preset=preset,
            layout=layout,
            seed=seed,
            seconds=seconds,
            split=split,
            jobs=jobs,
            progress=progress,
        )
    print(f"simulated {summary.written}, {summary.already} were there already (no real person is in them)")
    print(f"folder    {out}, {summary.names[0]} to {summary.names[-1]}")
    return 0


def prepare(
    dataset: str,
    root: Path,
    /,
    *,
    cache: Path,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    size: Annotated[int | None, Parameter(validator=Number(gte=32, lte=512))] = None,
    fps: Annotated[float | None, Parameter(validator=Number(gte=10, lte=120))] = None,
    margin: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None,
    detector: Literal["auto", "haar", "rfb"] | None = None,
    align: bool | None = None,
    scheduler: str | None = None,
) -> int:
    """Prepare a dataset once for training and evaluation: crops of the main face on a uniform clock, with labels.

    Stopped at any moment, the same command goes on where it was. What could not be prepared is named, with its reason,
    and tried again by the next run.

    Datasets: pure, ubfc-rppg, mmpd, mmpd-corrected, mcd-rppg, ubfc-phys, scamps, ibvp, cohface, simulated, and folder:
    any videos, with NAME.csv (time_s, ppg and/or bpm) beside NAME.mp4, or without.

    Example: facepulse prepare mcd-rppg MCD-rPPG --cache cache

    Exit codes: 0 all recordings prepared; 2 wrong usage; 3 a recording could not be prepared, the others were.

    Args:
        dataset: Which dataset it is.
        root: Where it is.
        cache: Where to write; a folder for the dataset is made in it.
        jobs: Recordings at work at a time; all cores if not given.
        size: Side of the crops in pixels; 128 for a new cache.
        fps: Rate of their clock in Hz; 30 for a new cache.
        margin: Widening of the face box to each side, as a fraction of its size; 0.25 for a new cache.
        detector: Face detector: auto for a new cache, haar, or rfb (turned heads, low light).
        align: Correct a reference whose clock evidently disagrees with the pulse in the video; yes for a new cache.
        scheduler: Address of a dask scheduler whose workers shall do it, for example tcp://head:8786.
    """
    from facepulse.datasets.preparation import SUMMARY
    from facepulse.datasets.preparation import prepare as run

    asked = {"size": size, "fps": fps, "margin": margin, "detector": detector, "align": align}
    with _dask_workers(scheduler), progress_bar("preparing", "recordings") as progress:
        summary = run(
            dataset,
            root,
            cache,
            settings={name: value for name, value in asked.items() if value is not None},
            jobs=jobs,
            progress=progress,
        )
    for outcome in summary.recordings:
        if outcome.result == "failed":
            say(f"{outcome.recording} failed: {outcome.notes}")
        elif outcome.notes:
            print(printable(f"note      {outcome.recording}: {outcome.notes}"))
    print(
        f"prepared  {summary.newly_prepared}, {summary.already_prepared} were there already, "
        f"{len(summary.failed)} failed"
    )
    print(f"cache     {summary.folder}, what became of each recording is in {SUMMARY}")
    return EXIT_UNREADABLE if summary.failed else 0


def evaluate(
    model: str,
    /,
    *,
    data: Path,
    protocol: Literal["facepulse", "paper", "toolbox", "toolbox-2023"] = "facepulse",
    split: str = "all",
    subset: Literal["train", "validation", "test"] = "test",
    window: Annotated[float, Parameter(validator=Number(gte=5))] = 10.0,
    where: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    out: Path | None = None,
) -> int:
    """Evaluate a method or a network on recordings with a reference, and report its errors.

    Writes recordings.csv, windows.csv, result.json and report.html.

    Example: facepulse evaluate POS --data cache/pure --split pure-60-40

    Exit codes: 0 all recordings evaluated; 2 wrong usage; 3 a recording could not be evaluated, the others were.

    Args:
        model: A classical method, a .safetensors or .onnx file, or the name of weights that come with the package.
        data: What `facepulse prepare` wrote: the folder of one dataset in the cache.
        protocol: How heart rates are read from waveforms, the same for estimate and reference.
        split: Who is tested on: all, pure-60-40, ubfc-30-12, mmpd-7-1-2, ..., or one fold of several: 5-fold/2.
        subset: Which subset of the split.
        window: Length in seconds of the windows that are evaluated besides whole recordings.
        where: Only recordings with these attributes, KEY=VALUE,VALUE, once for each attribute; or mmpd-simple.
        out: The folder to write into; by default evaluations/MODEL-DATASET-SPLIT-PROTOCOL.
    """
    from facepulse.datasets.cache import open_cache
    from facepulse.evaluation.predictors import find_predictor
    from facepulse.evaluation.report import to_text, write_report
    from facepulse.evaluation.run import choose
    from facepulse.evaluation.run import evaluate as run
    from facepulse.rppg.protocols import PROTOCOLS

    recordings, selection = choose(open_cache(data), split, subset, _wanted(where))
    reader = find_predictor(model, PROTOCOLS[protocol])
    if out is None:
        name = Path(model).stem if os.path.isfile(model) else reader.name
        pieces = [name, recordings[0].dataset, split, *([subset] if subset != "test" else []), *where, protocol]
        out = Path("evaluations") / re.sub(r"[^\w=,-]+", "_", "-".join(pieces))
    check_folder(out)
    with progress_bar("evaluating", "recordings") as progress:
        evaluation = run(reader, recordings, protocol=protocol, window_s=window, selection=selection, progress=progress)
    print(printable(to_text(evaluation)))
    for path in write_report(evaluation, out):
        print(f"  wrote {path}")
    for failure in evaluation.failed:
        say(failure.reason)
    return EXIT_UNREADABLE if evaluation.failed else 0


def train(
    config: Path,
    /,
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
) -> int:
    """Train a network as a YAML file says. Stopped at any moment, the same command goes on where it was.

    Any setting can be given anew: --optimiser.lr 1e-3, --data.size 64, --out runs/other. On several GPUs or machines,
    start it with torchrun, as the file's first lines say.

    Writes the folder `out`: settings, environment, data hashes, metrics.jsonl, plots, and the weights, best.safetensors
    and last.safetensors.

    Example: facepulse train configs/physfsunet.yaml --out runs/first --seed 1

    Exit codes: 0 trained; 1 the loss is no number any more; 2 wrong usage; 3 the data cannot be read.

    Args:
        config: The settings, or what differs from the paper's recipe.
        settings: --section.key value
    """
    from facepulse.inference.weights import require_train_extra

    require_train_extra("facepulse train")
    from facepulse.training.loop import train as run
    from facepulse.training.settings import read_settings

    wanted = read_settings(config, settings)
    with progress_bar(f"training {wanted.network.name}", "steps") as progress:
        trained = run(wanted, progress=progress, say=report)
    if trained.already:
        print(f"trained already: {trained.folder}")
    found = "" if trained.mae_bpm is None else f", validation MAE {trained.mae_bpm:.2f} bpm in epoch {trained.epoch}"
    print(f"weights   {trained.weights}{found}")
    return 0


def study(
    names: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    data: Path,
    out: Path = Path("study"),
    recipe: Path | None = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    networks: Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=True)] = (),
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
) -> int:
    """Fill a table of the paper: prepare, train and test what is missing, and set it beside the published figures.

    Stopped at any moment, the same command goes on where it was; tables share what they train. Writes NAME.md, NAME.csv
    and NAME.html.

    Tables: table1 (within a dataset), table2 (to MMPD), table3 (to UBFC-rPPG), ablation-fusion, ablation-tsm,
    ablation-attention, ablation-loss, cost (table VIII), and attention (figure 2b). Several go together, joined by
    commas.

    Example: facepulse study table2 --data datasets --out study

    Exit codes: 0 filled; 2 wrong usage; 3 the data cannot be read, or a row has no result.

    Args:
        names: The table.
        data: The folder of the datasets: PURE, UBFC-rPPG and MMPD in it, as they were published.
        out: Where everything goes that is made.
        recipe: Settings of each training as a YAML file, such as a smaller size; the paper's by default.
        seeds: Trainings of each row.
        networks: Only rows of these networks, besides the classical methods.
        jobs: Trainings at a time; as many as cores, or one on a GPU, if not given.
    """
    from facepulse.inference.weights import require_train_extra

    require_train_extra("facepulse study")
    from facepulse.studies.study import study as run
    from facepulse.studies.trials import Bench
    from facepulse.training.settings import Settings, read_settings

    settings = Settings() if recipe is None else read_settings(recipe)
    check_folder(out)
    bench = Bench(data, out, settings, jobs)
    code = 0
    for result in run(bench, names.split(","), seeds=seeds, networks=networks, say=report):
        print(printable(result.to_markdown()))
        for path in result.write(out):
            print(f"  wrote {path}")
        for failure in result.failures:
            say(failure)
            code = EXIT_UNREADABLE
    return code


def export(weights: str, onnx: Path, /) -> int:
    """Write trained weights as an ONNX file, with their model card inside, that OpenVINO, ONNX Runtime and torch run.

    Example: facepulse export physfsunet.safetensors physfsunet.onnx

    Args:
        weights: A .safetensors file, or the name of weights that come with the package.
        onnx: The file to write.
    """
    from facepulse.inference.weights import EXPORT_PACKAGES, require_train_extra

    require_train_extra("facepulse export", EXPORT_PACKAGES)
    from facepulse.models.export import export as write

    difference = write(weights, onnx)
    print(f"wrote {onnx}: OpenVINO and torch differ by {difference:.1e} of the waveform's standard deviation")
    return 0


@contextmanager
def _dask_workers(scheduler: str | None) -> Iterator[None]:
    """Let the workers of a dask cluster do what is spread by joblib; nothing where no scheduler is named."""
    if scheduler is None:
        yield
        return
    from facepulse._optional import require_extra

    require_extra("cluster", ["distributed"], "--scheduler")
    from distributed import Client
    from joblib import parallel_config

    try:
        client: Any = Client(scheduler, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UsageError(f"no dask scheduler answers at {scheduler}: start one with `dask scheduler`") from error
    with client, parallel_config(backend="dask"):
        yield


def _wanted(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Attributes and their wanted values, of texts like KEY=VALUE,VALUE or the name of a filter."""
    from facepulse.datasets.splits import FILTERS

    wanted: dict[str, tuple[str, ...]] = {}
    for text in where:
        key, equals, values = text.partition("=")
        if text in FILTERS:
            wanted.update(FILTERS[text])
        elif equals and key and values:
            wanted[key] = (*wanted.get(key, ()), *values.split(","))
        else:
            raise UsageError(f"--where takes KEY=VALUE,VALUE or {', '.join(FILTERS)}, not {text!r}")
    return wanted
