"""What networks cost: parameters, multiply-accumulates, time and memory of one clip (the paper's table VIII, figure 3).

Each network is measured in a process of its own, so that nothing another one has loaded or left behind is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from torch.nn import functional

from facepulse.evaluation.html import ESTIMATE, REFERENCE, figure
from facepulse.inference.registry import NETWORKS
from facepulse.models.figures import Config, clip_length, count_parameters, macs, on_meta
from facepulse.studies.published import TABLES, CostRow

STATUS = Path("/proc/self/status")  # Linux alone tells how much memory a process has had since it began


@dataclass(frozen=True)
class Cost:
    """What one network costs at inference, in float32 on the CPU, for one clip.

    Attributes:
        network: its name in `NETWORKS`.
        parameters: how many.
        macs: multiply-accumulates of convolutions and matrix products, those of attention included, for the clip.
        frames: length of the clip: what was asked for, rounded up to the network's multiple.
        size: its height and width, pixels.
        milliseconds: median wall-clock time of the runs, after a first that is not counted.
        runs: how many.
        threads: that torch was given.
        peak_mb: by how many MiB the process, with torch loaded and idle before, grew at its peak: network, clip and
            all that lay between; None where the system does not tell (anything but Linux).
        torch: its version.
    """

    network: str
    parameters: int
    macs: int
    frames: int
    size: int
    milliseconds: float
    runs: int
    threads: int
    peak_mb: float | None
    torch: str


def costs(
    frames: int = 160,
    size: int = 128,
    *,
    runs: int = 3,
    threads: int = 1,
    networks: Iterable[str] = tuple(NETWORKS),
    configs: Mapping[str, Config] | None = None,
) -> list[Cost]:
    """Cost of each network for a clip, one after another.

    Args:
        frames: at least this many, the fewest that each network takes.
        size: height and width, pixels.
        runs: of which the time is the median.
        threads: of torch.
        networks: names in `NETWORKS`.
        configs: of those that are not to have their default config.

    Raises:
        ValueError: the networks cannot read such a clip.
        RuntimeError: a measurement did not end well, for instance for want of memory.
    """
    asked = {name: (configs or {}).get(name, {}) for name in networks}
    lengths = {name: clip_length(name, frames, config) for name, config in asked.items()}
    # Refuses before anything is measured.
    counted = {name: macs(name, lengths[name], size, config) for name, config in asked.items()}
    return [
        Cost(
            network=name,
            parameters=count_parameters(on_meta(name, config)),
            macs=counted[name],
            frames=lengths[name],
            size=size,
            runs=runs,
            threads=threads,
            torch=torch.__version__,
            **_in_a_process_of_its_own(name, config, lengths[name], size, runs, threads),
        )
        for name, config in asked.items()
    ]


def _in_a_process_of_its_own(
    name: str, config: Config, frames: int, size: int, runs: int, threads: int
) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, name, json.dumps(dict(config)), *map(str, (frames, size, runs, threads))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"measuring {name} ended with exit code {done.returncode}: {said[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _measured(name: str, config: Config, frames: int, size: int, runs: int, threads: int) -> dict[str, float | None]:
    """What `_in_a_process_of_its_own` gets back: time and memory, as fields of `Cost`."""
    torch.set_num_threads(threads)
    functional.conv3d(torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1))  # loads what torch loads at first use
    idle_mb = _status_mb("VmRSS")
    network = NETWORKS[name].build(config).eval()
    clip = torch.randint(0, 256, (1, 3, frames, size, size), dtype=torch.uint8)
    took = []
    with torch.inference_mode():
        for _ in range(1 + runs):
            start = time.perf_counter()
            network(clip)
            took.append(1000 * (time.perf_counter() - start))
    peak_mb = _status_mb("VmHWM")
    grown = None if idle_mb is None or peak_mb is None else peak_mb - idle_mb
    return {"milliseconds": median(took[1:]), "peak_mb": grown}


def _status_mb(field: str) -> float | None:
    """One line of Linux' account of this process, in MiB; unlike that of `getrusage`, its peak is not the parent's."""
    if not STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


def cost_figure(measured: Sequence[Cost], maes: Mapping[str, float | None], tested: str) -> str:
    """Parameters against error, as the paper's figure 3, for a page.

    Args:
        measured: the networks of this study.
        maes: mean absolute error of each, bpm; a network without one is named in the caption only.
        tested: what these errors were trained and tested on, for the legend: published ones are from PURE to MMPD.

    Returns:
        HTML.
    """
    caption = (
        "Parameters against mean absolute error. Circles are published figures, from PURE to MMPD, not measured here "
        "and comparable with dots only where these have the same data; PhysNet's is as printed, though almost "
        "certainly TS-CAN's."
    )
    if missing := [cost.network for cost in measured if maes.get(cost.network) is None]:
        caption += f" Without an error, and so without a dot: {', '.join(missing)}."
    return figure(partial(draw_costs, measured=measured, maes=maes, tested=tested), caption, 7.0, 4.2)


def draw_costs(axes: Axes, measured: Sequence[Cost], maes: Mapping[str, float | None], tested: str) -> None:
    """Dots for what was measured here, circles for what was published; arguments as of `cost_figure`."""
    here = [(cost.parameters, mae, cost.network) for cost in measured if (mae := maes.get(cost.network)) is not None]
    rows = [row for row in TABLES["cost"].rows if isinstance(row, CostRow)]
    there = [(row.parameters, row.mae, row.network) for row in rows if isinstance(row.mae, float)]
    for points, filled, color, label in (
        (there, "none", REFERENCE, "published, from PURE to MMPD"),
        (here, ESTIMATE, ESTIMATE, f"this study, {tested}"),
    ):
        if points:
            x, y, _ = zip(*points, strict=True)
            axes.plot(x, y, "o", color=color, mfc=filled, ms=6, label=label, ls="none")
    axes.set(xscale="log", xlabel="parameters, millions", ylabel="MAE, bpm")
    axes.xaxis.set_major_locator(FixedLocator([n * 1e6 for n in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda parameters, _: f"{parameters / 1e6:g}"))
    axes.margins(0.15, 0.15)
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", fontsize=8)
    _name(axes, [*here, *there])


def _name(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write the name of each point (x, y, name) beside it, on the first side where nothing is in its way."""
    drawing = axes.get_figure(root=True)
    assert drawing is not None
    drawing.draw_without_rendering()  # only then are the places of points known
    places = [axes.transData.transform((x, y)) * 72 / drawing.dpi for x, y, _ in points]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]  # in points of 1/72 inch, as all that follows
    for (x, y), (across, high, name) in zip(places, points, strict=True):
        width, height = 5 * len(name), 10  # of 8 points' letters, near enough
        free = []
        for right, up in ((6, 0), (-6, 0), (6, 9), (-6, 9), (6, -9), (-6, -9), (6, 18), (-6, 18), (6, -18), (-6, -18)):
            left = x + right - (width if right < 0 else 0)
            box = (left, y + up - height / 2, left + width, y + up + height / 2)
            if not any(_overlap(box, other) for other in taken):
                free.append((right, up, box))
        right, up, box = free[0] if free else (6, 0, (x, y, x, y))
        taken.append(box)
        side = "left" if right > 0 else "right"
        axes.annotate(name, (across, high), (right, up), textcoords="offset points", ha=side, va="center", fontsize=8)


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:]))))
