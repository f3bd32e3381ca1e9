"""Synthetic PPG waveforms whose beats are known, with frame jitter and noise."""

import numpy as np

from facepulse.rppg.beats import find_beats
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import bandpass, heart_rate

FACEPULSE = PROTOCOLS["facepulse"]


def ppg(onsets_s, times_s, period_s):
    """PPG with a systolic and a dicrotic wave after each onset; their shape does not depend on the interval."""
    age = (np.asarray(times_s)[:, None] - np.asarray(onsets_s)) / period_s
    return (np.exp(-0.5 * ((age - 0.25) / 0.09) ** 2) + 0.38 * np.exp(-0.5 * ((age - 0.58) / 0.09) ** 2)).sum(axis=1)


def camera(onsets_s, period_s, seconds, *, snr, fps=30.0, jitter_s=0.0, seed=0):
    """PPG on a uniform clock, sampled by frames with jittered times, with noise of an in-band SNR in dB."""
    rng = np.random.default_rng(seed)
    clock_s = np.arange(round(seconds * fps)) / fps
    frames_s = np.sort(clock_s + rng.uniform(-jitter_s, jitter_s, len(clock_s)))
    # Frame times are known but lie between the samples of the clock, so the error of interpolation remains.
    waveform = np.interp(clock_s, frames_s, ppg(onsets_s, frames_s, period_s))
    noise = rng.normal(size=len(waveform))
    size = bandpass(waveform, fps, 0.7, 4, 2).std() / bandpass(noise, fps, 0.7, 4, 2).std()
    return waveform + noise * size * 10 ** (-snr / 20)


def constant_rate(bpm, seconds, **noise):
    """PPG of a constant heart rate, as `camera` samples it."""
    period_s = 60 / bpm
    return camera(np.arange(-2 * period_s, seconds + 2, period_s), period_s, seconds, **noise)


def variable_onsets(rmssd_ms, seconds, *, mean_s=0.85, seed=0):
    """Onsets with white, respiratory and slow variability of a given RMSSD."""
    rng = np.random.default_rng(seed)
    beat = np.arange(int(1.3 * seconds / mean_s) + 8)
    change = 0.5 * rng.normal(size=len(beat)) + np.sin(2 * np.pi * 0.25 * mean_s * beat) + np.sin(0.5 * beat)
    change *= rmssd_ms / 1e3 / np.sqrt(np.mean(np.diff(change) ** 2))
    return np.cumsum(mean_s + change) - 3


def measured_beats(waveform, fps=30.0):
    """Beats at the heart rate of the waveform itself."""
    beats = find_beats(waveform, fps, heart_rate(waveform, fps, FACEPULSE))
    assert beats is not None
    return beats
