"""Time and peak memory of a training step for each network, precision and compilation, compared with the peak rate.

    python benchmarks/training_step.py                                   the paper's clips, on a GPU
    python benchmarks/training_step.py --frames 64 --size 36 --batch 2   for a CPU, about a minute

A step is forward, hybrid loss, backward and AdamW, as in `facepulse train`. Its work is three times the
multiply-accumulates of the forward pass; the fraction of the peak is that work over the time, relative to the peak rate
of the device that `--peak-tflops` gives (H100 SXM: 67 in float32, 989 in bf16 by its data sheet).
"""

import argparse
import time
from statistics import median

import torch

from facepulse.inference.registry import NETWORKS
from facepulse.models.figures import clip_length, macs
from facepulse.training.losses import HybridLoss
from facepulse.training.recomputation import recompute


def step(
    name: str, frames: int, size: int, batch: int, precision: str, compiled: bool, recomputed: bool, runs: int
) -> dict:
    """Measure the median seconds per step, and the peak memory of tensors on a GPU in MiB (None on a CPU)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    network = NETWORKS[name].build().to(device, memory_format=torch.channels_last_3d)
    if recomputed:
        recompute(network)
    model = torch.compile(network) if compiled else network
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = HybridLoss(epochs=30, fps=30.0)
    clips = torch.randint(0, 256, (batch, frames, size, size, 3), dtype=torch.uint8, device=device)
    target = torch.sin(2 * torch.pi * 1.2 * torch.arange(frames, device=device) / 30).repeat(batch, 1)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    durations = []
    for _ in range(2 + runs):
        begun = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            prediction = model(clips.permute(0, 4, 1, 2, 3))
        loss(prediction.float(), target, 1).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        durations.append(time.perf_counter() - begun)
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    return {"seconds": median(durations[2:]), "memory_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["physfsunet", "physnet"], choices=list(NETWORKS))
    parser.add_argument("--frames", type=int, default=160)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--recompute", action="store_true", help="also with recomputed activations")
    parser.add_argument("--peak-tflops", nargs=2, type=float, metavar=("F32", "BF16"))
    arguments = parser.parse_args()
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}; {arguments.batch} clips of {arguments.frames}x{arguments.size}px")
    print(f"{'network':12} {'precision':9} {'':20} {'s/step':>9} {'TFLOP/s':>8} {'of peak':>8} {'MiB':>7} {'speed':>6}")
    variants = [(False, False)]
    variants += [(True, False)] if arguments.compile else []
    variants += [(False, True)] if arguments.recompute else []
    for name in arguments.networks:
        frames = clip_length(name, arguments.frames)
        work = 3 * 2 * macs(name, frames, arguments.size) * arguments.batch / 1e12
        plain = None
        for place, precision in enumerate(("f32", "bf16")):
            for compiled, recomputed in variants:
                torch.compiler.reset()
                found = step(
                    name, frames, arguments.size, arguments.batch, precision, compiled, recomputed, arguments.runs
                )
                plain = plain or found["seconds"]
                rate = work / found["seconds"]
                fraction = f"{100 * rate / arguments.peak_tflops[place]:.0f} %" if arguments.peak_tflops else ""
                memory = "" if found["memory_mb"] is None else f"{found['memory_mb']:.0f}"
                how = "compiled" if compiled else "recomputed" if recomputed else ""
                print(
                    f"{name:12} {precision:9} {how:20} {found['seconds']:9.3f} {rate:8.2f} {fraction:>8} {memory:>7} "
                    f"{plain / found['seconds']:5.2f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
