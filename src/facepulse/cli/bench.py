"""Commands of the bench, from simulate to export; each imports its dependencies when it is called."""

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
from facepulse.cli.console import EXIT_UNREADABLE, print_error, progress_bar, report
from facepulse.errors import UsageError
from facepulse.faces.detectors import DetectorName
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

    An interrupted run is resumed by the same command; with more recordings, the command adds to those already written.

    Example: facepulse simulate simulated --recordings 20 --preset complex

    Args:
        out: Folder to write into: new, empty, or of an earlier run with the same settings.
        recordings: Number of recordings in the folder at the end.
        preset: calm: people at rest in steady light; complex: motion, difficult light, cheap cameras; unseen: a light
            and a motion that neither of the others has, for tests.
        layout: Layout of the files: native (video.mp4, ppg.csv, recording.json); close-up, for training: the same with
            frames cropped around the face, for a third of the computing time; or that of a public dataset.
        seed: Seed of the random numbers; the same seed gives the same recordings.
        seconds: Length of each recording in seconds.
        split: Split that the faces belong to; no face is in two splits.
        jobs: Number of parallel processes, each with one thread; all cores by default.
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
    print(f"simulated {summary.written}, {summary.already} already present (they show no real person)")
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
    detector: DetectorName | None = None,
    align: bool | None = None,
    scheduler: str | None = None,
) -> int:
    """Prepare a dataset once for training and evaluation: crops of the main face on a uniform clock, with labels.

    An interrupted run is resumed by the same command. Recordings that cannot be prepared are listed with the reason,
    and the next run tries them again.

    Datasets: pure, ubfc-rppg, mmpd, mmpd-corrected, mcd-rppg, ubfc-phys, scamps, ibvp, cohface, simulated, and folder:
    any videos NAME.mp4, each with or without a NAME.csv beside it (time_s, ppg and/or bpm).

    Example: facepulse prepare mcd-rppg MCD-rPPG --cache cache

    Exit codes: 0 all recordings prepared; 2 wrong usage; 3 a recording could not be prepared, the others were.

    Args:
        dataset: Name of the dataset.
        root: Folder of the dataset.
        cache: Folder to write into; the dataset gets a folder of its own in it.
        jobs: Number of parallel processes; all cores by default.
        size: Side of the crops in pixels; 128 for a new cache.
        fps: Frame rate of the crops in Hz; 30 for a new cache.
        margin: Widening of the face box to each side, as a fraction of its size; 0.25 for a new cache.
        detector: Face detector: auto (for a new cache), haar, or rfb (turned heads, low light).
        align: Correct the clock of the reference if it clearly differs from that of the video; yes for a new cache.
        scheduler: Address of a dask scheduler whose workers do the work, for example tcp://head:8786.
    """
    from facepulse.datasets.preparation import SUMMARY
    from facepulse.datasets.preparation import prepare as run

    options = {"size": size, "fps": fps, "margin": margin, "detector": detector, "align": align}
    with _dask_workers(scheduler), progress_bar("preparing", "recordings") as progress:
        summary = run(
            dataset,
            root,
            cache,
            settings={name: value for name, value in options.items() if value is not None},
            jobs=jobs,
            progress=progress,
        )
    for outcome in summary.recordings:
        if outcome.result == "failed":
            print_error(f"{outcome.recording} failed: {outcome.notes}")
        elif outcome.notes:
            print(printable(f"note      {outcome.recording}: {outcome.notes}"))
    print(
        f"prepared  {summary.newly_prepared}, {summary.already_prepared} already present, {len(summary.failed)} failed"
    )
    print(f"cache     {summary.folder}, {SUMMARY} lists the result of each recording")
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

    A network is evaluated alone: unlike in `measure`, it is not fused with facial regions and has no quality.

    Writes recordings.csv, windows.csv, result.json and report.html.

    Example: facepulse evaluate POS --data cache/pure --split pure-60-40

    Exit codes: 0 all recordings evaluated; 2 wrong usage; 3 a recording could not be evaluated, the others were.

    Args:
        model: Classical method, .onnx, .safetensors or .pth file, or name of weights that come with the package.
        data: Folder of one dataset in the cache that `facepulse prepare` wrote.
        protocol: Computation of heart rates from waveforms, the same for estimate and reference.
        split: Split of the dataset: all, pure-60-40, ubfc-30-12, mmpd-7-1-2, ..., or one fold of several: 5-fold/2.
        subset: Subset of the split.
        window: Length in seconds of the windows that are evaluated in addition to whole recordings.
        where: Only recordings with these attributes, KEY=VALUE,VALUE, once for each attribute; or mmpd-simple.
        out: Folder to write into; by default evaluations/MODEL-DATASET-SPLIT-PROTOCOL.
    """
    from facepulse.datasets.cache import open_cache
    from facepulse.evaluation.predictors import find_predictor
    from facepulse.evaluation.report import to_text, write_report
    from facepulse.evaluation.run import choose
    from facepulse.evaluation.run import evaluate as run
    from facepulse.rppg.protocols import PROTOCOLS

    recordings, selection = choose(open_cache(data), split, subset, _attributes(where))
    predictor = find_predictor(model, PROTOCOLS[protocol])
    if out is None:
        name = Path(model).stem if os.path.isfile(model) else predictor.name
        words = [name, recordings[0].dataset, split, *([subset] if subset != "test" else []), *where, protocol]
        out = Path("evaluations") / re.sub(r"[^\w=,-]+", "_", "-".join(words))
    check_folder(out)
    with progress_bar("evaluating", "recordings") as progress:
        evaluation = run(
            predictor, recordings, protocol=protocol, window_s=window, selection=selection, progress=progress
        )
    print(printable(to_text(evaluation)))
    for path in write_report(evaluation, out):
        print(f"  wrote {path}")
    for failure in evaluation.failed:
        print_error(failure.reason)
    return EXIT_UNREADABLE if evaluation.failed else 0


def train(
    config: Path,
    /,
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
) -> int:
    """Train a network with the settings of a YAML file. An interrupted run is resumed by the same command.

    Options override settings of the file: --optimiser.lr 1e-3, --data.size 64, --out runs/other. To train on several
    GPUs or machines, use torchrun; the first lines of the file show how.

    Writes the folder `out`: settings, environment, data hashes, metrics.jsonl, plots, and the weights, best.safetensors
    and last.safetensors.

    Example: facepulse train configs/physfsunet.yaml --out runs/first --seed 1

    Exit codes: 0 trained; 1 the loss became NaN or infinite; 2 wrong usage; 3 the data cannot be read.

    Args:
        config: YAML file with the settings that differ from those of the paper.
        settings: Further settings, --section.key value.
    """
    from facepulse.inference.weights import require_train_extra

    require_train_extra("facepulse train")
    from facepulse.training.loop import train as run
    from facepulse.training.settings import read_settings

    chosen = read_settings(config, settings)
    with progress_bar(f"training {chosen.network.name}", "steps") as progress:
        trained = run(chosen, progress=progress, report=report)
    if trained.already:
        print(f"already trained: {trained.folder}")
    score = "" if trained.mae_bpm is None else f", validation MAE {trained.mae_bpm:.2f} bpm in epoch {trained.epoch}"
    print(f"weights   {trained.weights}{score}")
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
    """Reproduce a table of the paper: prepare, train and test what is missing, and compare with the published figures.

    An interrupted run is resumed by the same command; tables share their trained networks. Writes NAME.md, NAME.csv
    and NAME.html.

    Tables: table1 (within a dataset), table2 (to MMPD), table3 (to UBFC-rPPG), ablation-fusion, ablation-tsm,
    ablation-attention, ablation-loss, cost (table VIII), and attention (figure 2b). Several names are separated by
    commas.

    Example: facepulse study table2 --data datasets --out study

    Exit codes: 0 table complete; 2 wrong usage; 3 the data cannot be read, or a row has no result.

    Args:
        names: Name of the table.
        data: Folder with the datasets PURE, UBFC-rPPG and MMPD, as they were published.
        out: Folder for all results.
        recipe: YAML file with settings of each training, such as a smaller size; those of the paper by default.
        seeds: Number of trainings per row, each with another seed.
        networks: Only rows of these networks, in addition to the classical methods.
        jobs: Number of parallel trainings; by default the number of cores, or one on a GPU.
    """
    from facepulse.inference.weights import require_train_extra

    require_train_extra("facepulse study")
    from facepulse.studies.study import study as run
    from facepulse.studies.workspace import Workspace
    from facepulse.training.settings import Settings, read_settings

    settings = Settings() if recipe is None else read_settings(recipe)
    check_folder(out)
    workspace, chosen = Workspace(data, out), names.split(",")
    code = 0
    for result in run(workspace, chosen, recipe=settings, seeds=seeds, networks=networks, jobs=jobs, report=report):
        print(printable(result.to_markdown()))
        for path in result.write(out):
            print(f"  wrote {path}")
        for failure in result.failures:
            print_error(failure)
            code = EXIT_UNREADABLE
    return code


def export(weights: str, onnx: Path, /) -> int:
    """Convert trained weights to an ONNX file with their model card, for OpenVINO, ONNX Runtime and torch.

    Example: facepulse export physfsunet.safetensors physfsunet.onnx

    Args:
        weights: A .safetensors file, or the name of weights that come with the package.
        onnx: File to write.
    """
    from facepulse.inference.weights import EXPORT_PACKAGES, require_train_extra

    require_train_extra("facepulse export", EXPORT_PACKAGES)
    from facepulse.models.export import export as write

    difference = write(weights, onnx)
    print(f"wrote {onnx}: OpenVINO and torch differ by {difference:.1e} of the waveform's standard deviation")
    return 0


@contextmanager
def _dask_workers(scheduler: str | None) -> Iterator[None]:
    """Run joblib on the workers of a dask cluster; if no scheduler is given, do nothing."""
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


def _attributes(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse attributes and their values from texts like KEY=VALUE,VALUE, or from the name of a filter."""
    from facepulse.datasets.splits import FILTERS

    attributes: dict[str, tuple[str, ...]] = {}
    for text in where:
        key, equals, values = text.partition("=")
        if text in FILTERS:
            attributes.update(FILTERS[text])
        elif equals and key and values:
            attributes[key] = (*attributes.get(key, ()), *values.split(","))
        else:
            raise UsageError(f"--where takes KEY=VALUE,VALUE or {', '.join(FILTERS)}, not {text!r}")
    return attributes
