"""Measure the receptive field, the error by distance from the ends of a window, and the frames computed per new frame.

    python benchmarks/streaming.py

Prints the figures of docs/results/streaming.md in about eight minutes on one core; most of them train a narrow network.
"""

import itertools
import math
import time

import numpy as np
import torch

from facepulse.models import PhysFSUNet, PhysFSUNetConfig, physfsunet
from facepulse.models.frames import standardise
from facepulse.training.losses import negative_pearson

FPS, WINDOW, SIZE = 30.0, 160, 36
NARROW = PhysFSUNetConfig(
    stem_width=8, width=16, head_width=16
)  # the depth, and so the receptive field, of the default


def pulsing_clips(clips, length, generator):
    """Noisy faces in drifting light with a varying heart rate, and their pulse: (B, 3, T, H, W), (B, T)."""
    seconds = torch.arange(length) / FPS
    random = torch.rand(4, clips, 1, generator=generator)
    hz = 0.8 + 1.4 * random[0] + 0.06 * torch.sin(2 * math.pi * (0.1 * seconds + random[1]))
    phase = 2 * math.pi * (hz.cumsum(1) / FPS + random[2])
    pulse = torch.sin(phase) + 0.3 * torch.sin(2 * phase + 1)
    light = 8 * torch.sin(2 * math.pi * (0.15 * seconds + random[3])) + torch.randn(clips, length, generator=generator)
    face = torch.zeros(SIZE, SIZE)
    face[4:-4, 8:-8] = 1
    color = torch.tensor([0.3, 0.6, 0.4]).reshape(1, 3, 1, 1, 1)
    frames = 60 + 80 * face + light[:, None, :, None, None] + pulse[:, None, :, None, None] * face * color
    frames = frames + 3 * torch.randn(clips, 3, length, SIZE, SIZE, generator=generator)
    return frames.round().clamp(0, 255).to(torch.uint8), pulse


def receptive_field():
    """Numbers of frames before and after a frame that can change its value, apart from the normalisation.

    With positive weights and no biases, a bright frame among black ones changes every value within its reach.
    """
    network = PhysFSUNet(NARROW).double().eval()
    for name, parameter in network.named_parameters():
        parameter.data = torch.zeros_like(parameter) if name.endswith("bias") else parameter.abs()
    physfsunet.standardise = torch.Tensor.double
    try:
        reaches = []
        for t in range(
            WINDOW, WINDOW + 4
        ):  # through the pools, the reach depends on the position within a group of four
            frames = torch.zeros(1, 3, 2 * WINDOW, SIZE, SIZE, dtype=torch.uint8)
            frames[:, :, t] = 255
            changed = network(frames)[0].nonzero()[:, 0]
            reaches.append((int(changed.max()) - t, t - int(changed.min())))
        return max(past for past, _ in reaches), max(future for _, future in reaches)
    finally:
        physfsunet.standardise = standardise


def train(network, steps=150):
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=9e-3, total_steps=steps)
    started = time.perf_counter()
    for step in range(steps):
        frames, pulse = pulsing_clips(4, WINDOW, generator)
        optimizer.zero_grad()
        loss = negative_pearson(network.train()(frames), pulse)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 25 == 24:
            print(f"  step {step + 1}: Pearson {1 - loss.item():.3f}, {time.perf_counter() - started:.0f} s")
    network.eval()


def unit(waveform):
    return (waveform - waveform.mean(-1, keepdim=True)) / waveform.std(-1, keepdim=True)


def windows(network, frames, hop):
    """Return the start and the waveform of each window."""
    return [(s, network(frames[:, :, s : s + WINDOW])) for s in range(0, frames.shape[2] - WINDOW + 1, hop)]


def overlap_add(windows, length):
    total, weight = torch.zeros(windows[0][1].shape[0], length), torch.zeros(length)
    taper = torch.hann_window(WINDOW + 2, periodic=False)[1:-1]
    for start, waveform in windows:
        total[:, start : start + WINDOW] += unit(waveform) * taper
        weight[start : start + WINDOW] += taper
    return total / weight


def by_distance(whole, windows, edges):
    """Correlation of windows with the long clip, by the distance of frames from the nearer end of a window."""
    distance = torch.minimum(torch.arange(WINDOW), torch.arange(WINDOW - 1, -1, -1))
    rows = []
    for low, high in itertools.pairwise(edges):
        at = (distance >= low) & (distance < high)
        short = torch.cat([unit(waveform)[:, at].flatten() for _, waveform in windows])
        long = torch.cat([unit(whole[:, start : start + WINDOW])[:, at].flatten() for start, _ in windows])
        rows.append((low, high - 1, float(np.corrcoef(short, long)[0, 1])))
    return rows


@torch.no_grad()
def compare(network):
    frames, pulse = pulsing_clips(8, 4 * WINDOW, torch.Generator().manual_seed(1))
    whole = network(frames)
    print("correlation of windows with the long clip, by distance from the window's nearer end (frames)")
    for low, high, r in by_distance(whole, windows(network, frames, 20), (0, 4, 8, 16, 32, 56, 80)):
        print(f"  {low:2d}-{high:2d}: {r:.5f}")
    inner = slice(WINDOW // 2, -WINDOW // 2)
    print("correlation with the true pulse, without the first and last half window")
    print(f"  long clip in one pass (equals kept states): {1 - negative_pearson(whole, pulse):.4f}")
    for name, waveform in [
        ("long clip, inner frames", whole),
        *((f"windows every {hop} frames", overlap_add(windows(network, frames, hop), 640)) for hop in (80, 40, 20)),
    ]:
        print(f"  {name}: {1 - negative_pearson(waveform[:, inner], pulse[:, inner]):.4f}")
    newest = {}
    for start, waveform in windows(network, frames, 20):
        for age in (0, 15, 30, 54):
            at = slice(WINDOW - 1 - age - 3, WINDOW - age)
            newest.setdefault(age, []).append((unit(waveform)[:, at], unit(pulse[:, start : start + WINDOW])[:, at]))
    for age, pairs in newest.items():
        estimate, true = (torch.cat([pair[i].flatten() for pair in pairs]) for i in (0, 1))
        print(f"  newest frames of a window, {age / FPS:.1f} s old: {float(np.corrcoef(estimate, true)[0, 1]):.4f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        past, future = receptive_field()
    print(f"a frame depends on {past} frames before and {future} after it: {past + future + 1} of {WINDOW}")
    print("frames computed per new frame (whole window, inner frames exact, kept states)")
    for hop in (4, 16, 32, 80):
        print(f"  hop {hop:2d}: {WINDOW / hop:4.1f} {(hop + past + future) / hop:5.1f}  1.0")
    torch.manual_seed(0)
    narrow = PhysFSUNet(NARROW)
    train(narrow)
    compare(narrow)
