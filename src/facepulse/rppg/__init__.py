"""Remote photoplethysmography on RGB traces: from the mean colour of skin to waveform, heart rate, SNR, beats and HRV.

A trace is the mean RGB of skin in each frame, `(T, 3)`, at a constant sampling rate `fps` in Hz; a waveform is `(T,)`,
systole up. Everything here is a function of arrays or lists. A wrong argument raises a `facepulse.UsageError`, too few
samples a `facepulse.TooShortError`; both are `ValueError`s.

>>> import numpy as np
>>> from facepulse.rppg import find_beats, heart_rate, hrv, pos, snr_db
>>> fps = 30
>>> seconds = np.arange(30 * fps) / fps
>>> absorption = 0.01 * np.sin(2 * np.pi * 72 / 60 * seconds)
>>> rgb = [170, 120, 95] * (1 - np.outer(absorption, [0.33, 0.77, 0.53]))
>>> waveform = pos(rgb, fps)
>>> bpm = heart_rate(waveform, fps)
>>> print(f"{bpm:.1f} bpm, {heart_rate(waveform, fps, 'toolbox'):.1f} bpm under the protocol of rPPG-Toolbox")
72.0 bpm, 72.1 bpm under the protocol of rPPG-Toolbox
>>> snr_db(waveform, fps, bpm) > 20
True
>>> beats = find_beats(waveform, fps, bpm)
>>> len(beats.times_s), round(hrv(beats).bpm, 1)
(35, 72.0)
"""

from facepulse.rppg.beats import Beats, find_beats
from facepulse.rppg.classical import CLASSICAL, ClassicalMethod, chrom, green, ica, lgi, omit, pbv, pos
from facepulse.rppg.hrv import Hrv, hrv
from facepulse.rppg.keyframes import coincides_with_key_frames, remove_key_frame_rhythm
from facepulse.rppg.protocols import PROTOCOLS, Protocol
from facepulse.rppg.pulse_color import with_color_test
from facepulse.rppg.quality import QualityModel, calibrated_quality
from facepulse.rppg.regions import RateEstimate, estimate_rate
from facepulse.rppg.spectrum import Spectrum, bandpass, detrend, filtered, heart_rate, snr_db, spectrum

__all__ = [
    "CLASSICAL",
    "PROTOCOLS",
    "Beats",
    "ClassicalMethod",
    "Hrv",
    "Protocol",
    "QualityModel",
    "RateEstimate",
    "Spectrum",
    "bandpass",
    "calibrated_quality",
    "chrom",
    "coincides_with_key_frames",
    "detrend",
    "estimate_rate",
    "filtered",
    "find_beats",
    "green",
    "heart_rate",
    "hrv",
    "ica",
    "lgi",
    "omit",
    "pbv",
    "pos",
    "remove_key_frame_rhythm",
    "snr_db",
    "spectrum",
    "with_color_test",
]
