"""Spectra: absorption of blood, power of lamps, the CIE standard observer and the sensitivity of cameras.

Everything is sampled at `WAVELENGTHS_NM`. Tables are copied from the publications named beside them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from facepulse._types import Floats

WAVELENGTHS_NM = np.arange(400, 701, 10.0)

# Molar extinction of haemoglobin with and without oxygen, cm-1 / (mol / l): compiled by S. Prahl (omlc.org, 1998) from
# W. B. Gratzer and N. Kollias. Checked against two independent copies of the table.
# fmt: off
OXYHAEMOGLOBIN = np.array([
    266232, 466840, 480360, 246072, 102580, 62816, 44480, 33209.2, 26629.2, 23684.4, 20932.8,
    20035.2, 24202.4, 39956.8, 53236, 43016, 32613.2, 44496, 50104, 14400.8, 3200,
    1506, 942, 610, 442, 368, 319.6, 294, 277.6, 276, 290,
])
DEOXYHAEMOGLOBIN = np.array([
    223296, 303956, 407560, 528600, 413280, 103292, 23388.8, 16156.4, 14550, 16684, 20862,
    25773.6, 31589.6, 39036.4, 46592, 53412, 53788, 45072, 37020, 28324.4, 14677.2,
    9443.6, 6509.6, 5148.8, 4345.2, 3750.12, 3226.56, 2795.12, 2407.92, 2051.96, 1794.28,
])

# Relative power of the CIE standard illuminant D65 (ISO 11664-2).
_D65 = np.array([
    82.75, 91.49, 93.43, 86.68, 104.86, 117.01, 117.81, 114.86, 115.92, 108.81, 109.35,
    107.80, 104.79, 107.69, 104.41, 104.05, 100.00, 96.33, 95.79, 88.69, 90.01,
    89.60, 87.70, 83.29, 83.70, 80.03, 80.21, 82.28, 78.28, 69.72, 71.61,
])
# fmt: on


def bump(peak_nm: float, rise_nm: float, fall_nm: float | None = None) -> Floats:
    """Gaussian with a width (standard deviation) of its own on either side; (W,), 1 at the peak."""
    width = np.where(peak_nm > WAVELENGTHS_NM, rise_nm, rise_nm if fall_nm is None else fall_nm)
    return np.asarray(np.exp(-0.5 * ((WAVELENGTHS_NM - peak_nm) / width) ** 2), np.float64)


def _black_body(kelvin: float) -> Floats:
    """Planck's law, (W,); hc/k = 1.4388e7 nm K."""
    return np.asarray((560 / WAVELENGTHS_NM) ** 5 / np.expm1(1.4388e7 / (WAVELENGTHS_NM * kelvin)), np.float64)


# Peaks and widths of LEDs and lamps as in CIE 15:2018 (LED-B and FL series) and data sheets: a white LED is a blue chip
# (22 nm wide at half height) with a green-yellow and a red phosphor; a three-band tube (FL11) has lines of mercury,
# terbium and europium, here as wide as the sampling; a screen is a blue chip with narrower phosphors behind filters.
# The heights give the white LED a colour temperature of 5000 K, the warm one 2700 K, the tube about 3500 K and the
# screen that of D65.
_LIGHTS = {
    "daylight": _D65,
    "incandescent": _black_body(2856),  # CIE illuminant A
    "warm LED": 0.47 * bump(452, 10) + 0.38 * bump(545, 42, 50) + bump(615, 45, 50),
    "white LED": bump(450, 10) + 0.55 * bump(545, 42, 50) + 0.32 * bump(610, 45, 50),
    "fluorescent": sum(
        (
            height * bump(peak, 6)
            for peak, height in ((405, 0.15), (436, 0.4), (488, 0.35), (545, 1.0), (587, 0.3), (611, 1.05), (630, 0.2))
        ),
        0.05 * bump(560, 100),
    ),
    "screen": bump(450, 10) + 0.63 * bump(537, 22) + 0.49 * bump(615, 20),
    "red": bump(630, 8.5),
    "green": bump(525, 14),
    "blue": bump(465, 10),
}
SPECTRA: dict[str, Floats] = {name: power / power.max() for name, power in _LIGHTS.items()}


def colour_matching() -> Floats:
    """CIE 1931 observer, (W, 3) for X, Y, Z: fits of Wyman, Sloan & Shirley, J. Comp. Graphics Techn. 2013."""

    def lobe(height: float, peak: float, rise: float, fall: float) -> Floats:
        return height * bump(peak, 1 / rise, 1 / fall)

    x = lobe(0.362, 442.0, 0.0624, 0.0374) + lobe(1.056, 599.8, 0.0264, 0.0323) + lobe(-0.065, 501.1, 0.0490, 0.0382)
    y = lobe(0.821, 568.8, 0.0213, 0.0247) + lobe(0.286, 530.9, 0.0613, 0.0322)
    z = lobe(1.217, 437.0, 0.0845, 0.0278) + lobe(0.681, 459.0, 0.0385, 0.0725)
    return np.stack([x, y, z], axis=-1)


# Linear sRGB from XYZ (IEC 61966-2-1).
_SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def linear_srgb(reflectance: ArrayLike) -> Floats:
    """Return the linear sRGB (..., 3) of a reflectance (..., W) in daylight for an ideal camera; white is 1."""
    observer = SPECTRA["daylight"][:, None] * colour_matching() @ _SRGB.T
    return np.asarray(np.asarray(reflectance, np.float64) @ observer / observer.sum(axis=0), np.float64)


class SensorShape(NamedTuple):
    """Colour filters of a camera.

    Attributes:
        red: peak, width towards the blue and width towards the red (standard deviations) in nm.
        green: the same.
        blue: the same.
        crosstalk: fraction of each neighbouring channel that leaks into a channel.
        infrared_cut_nm: wavelength at which the infrared filter passes one half.
    """

    red: tuple[float, float, float]
    green: tuple[float, float, float]
    blue: tuple[float, float, float]
    crosstalk: float
    infrared_cut_nm: float


def channels(shape: SensorShape) -> Floats:
    """Compute the spectral sensitivity (W, 3) of a camera behind its filters; the maximum of each channel is 1.

    The ultraviolet filter is fixed at 415 nm.
    """
    bare = np.stack([bump(*shape.red), bump(*shape.green), bump(*shape.blue)], axis=-1)
    mixed = bare @ ((1 - 3 * shape.crosstalk) * np.eye(3) + shape.crosstalk)
    infrared = 1 / (1 + np.exp((WAVELENGTHS_NM - shape.infrared_cut_nm) / 6))
    ultraviolet = 1 / (1 + np.exp((415 - WAVELENGTHS_NM) / 3))
    filtered = mixed * (infrared * ultraviolet)[:, None]
    return np.asarray(filtered / filtered.max(axis=0), np.float64)
