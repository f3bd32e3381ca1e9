"""Colour of skin and its change with blood volume, from light transport through seven layers of skin.

Light enters, is scattered, is absorbed by melanin in the epidermis and by blood below it, and is partly reflected. The
layers are solved by adding and doubling with four directions per hemisphere at each wavelength. The pulse is the
swelling of the arterioles of the dermis, from which its colour follows. Specular reflection is left to the renderer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import make_interp_spline

from facepulse._types import Floats
from facepulse.simulate.spectra import (
    DEOXYHAEMOGLOBIN,
    OXYHAEMOGLOBIN,
    SPECTRA,
    WAVELENGTHS_NM,
    SensorShape,
    bump,
    channels,
    linear_srgb,
)

__all__ = [
    "MELANIN",
    "SENSOR_SHAPES",
    "SPECTRA",
    "WAVELENGTHS_NM",
    "Sensor",
    "SkinColours",
    "build_sensor",
    "draw_sensor",
    "reflectance",
]

# Volume fraction of melanosomes in an epidermis of 60 um. Jacques (1998, omlc.org; Phys. Med. Biol. 2013): 1.3 to 6.3 %
# light, 11 to 16 % moderate, 18 to 43 % dark. Within these ranges, the types are separated at the fractions for which
# the typology angle of this model is 55, 41, 28, 10 and -30 degrees (Chardon 1991; Del Bino & Bernerd, Br. J. Dermatol.
# 2013: very light to dark).
MELANIN: dict[int, tuple[float, float]] = {
    1: (0.0050, 0.0090),
    2: (0.0095, 0.022),
    3: (0.0230, 0.037),
    4: (0.0390, 0.063),
    5: (0.0670, 0.150),
    6: (0.1600, 0.260),
}

_INDEX = 1.4  # refractive index of skin; Lister et al., J. Biomed. Opt. 2012
_ANISOTROPY = 0.8  # mean cosine of scattering, van Gemert et al., IEEE Trans. Biomed. Eng. 1989
# Reduced scattering of skin, cm-1, the mean of eight studies (Jacques, Phys. Med. Biol. 2013, table 2).
_REDUCED_SCATTERING = 46.0 * (WAVELENGTHS_NM / 500) ** -1.421
# Absorption of melanosomes and of skin without melanin and blood, cm-1 (Jacques 1998; Saidi 1992).
_MELANOSOME = 6.6e11 * WAVELENGTHS_NM**-3.33
_BASELINE = 0.244 + 85.3 * np.exp(-(WAVELENGTHS_NM - 154) / 66.2)


def _blood_absorption(saturation: float) -> Floats:
    """Absorption coefficient of whole blood with 150 g/l haemoglobin of 64 500 g/mol, cm-1 (Prahl)."""
    molar = saturation * OXYHAEMOGLOBIN + (1 - saturation) * DEOXYHAEMOGLOBIN
    return np.asarray(math.log(10) * molar * 150 / 64500, np.float64)


# The mixed saturation of blood in the skin is about 75 % (Jacques 2013, table 3): arterial 97 %, venous below 70 %.
_ARTERIAL, _VENOUS = _blood_absorption(0.97), _blood_absorption(0.68)

# Mean blood content of the dermis relative to that of Meglinski & Matcher (5.5 %, which is high): 1.3 % of its volume,
# within the 0.2 to 5 % of the literature (Jacques 2013), gives the redness of European cheeks and foreheads (a* near
# 11; Xiao et al., Skin Res. Technol. 2017).
_BLOOD_SCALE = 0.23

# Fraction of the blood that is in arterioles: a fifth to a quarter of all blood is arterial.
_ARTERIAL_SHARE = 0.25

# Relative change of the volume of the arterioles over a beat, peak to peak: a tenth of their diameter. It is the only
# constant chosen by its effect, a pulse of 0.5 to 2 % in the green channel of light faces (Verkruysse et al., Opt.
# Express 2008; Kamshilin et al., Sci. Rep. 2015), because no direct measurement is known. The colour of the pulse
# hardly depends on it.
_PULSATION = 0.20


@dataclass(frozen=True)
class _Layer:
    """Layer of skin: Meglinski & Matcher, Physiol. Meas. 2002, table 1, with the thickness of the epidermis of Jacques.

    Radii of the vessels after Braverman, J. Invest. Dermatol. Symp. Proc. 2000. The capillaries of the papillary dermis
    hardly pulsate, the arterioles below them do (Moco, Stuijk & de Haan, Sci. Rep. 2018).
    """

    depth_um: float
    blood: float = 0.0
    arterial: float = 0.0
    radius_um: float = 10.0
    pigmented: bool = False


_LAYERS = (
    _Layer(20),  # stratum corneum
    _Layer(60, pigmented=True),  # living epidermis
    _Layer(150, blood=0.04, radius_um=4),  # papillary dermis
    _Layer(80, blood=0.30, arterial=_ARTERIAL_SHARE),  # upper plexus
    _Layer(1500, blood=0.04, arterial=_ARTERIAL_SHARE),  # reticular dermis
    _Layer(100, blood=0.10, arterial=_ARTERIAL_SHARE, radius_um=25),  # deep plexus
    _Layer(6000, blood=0.05, arterial=_ARTERIAL_SHARE, radius_um=25),  # subcutis
)
_ARTERIOLE_UM = 10.0


def _in_vessels(absorption: Floats, radius_um: ArrayLike) -> Floats:
    """Absorption coefficient of blood confined to vessels, whose core is shaded, cm-1 (van Veen, Opt. Lett. 2002)."""
    optical_depth = 2e-4 * np.asarray(radius_um) * absorption
    return np.asarray(absorption * -np.expm1(-optical_depth) / optical_depth, np.float64)


def _absorption(layer: _Layer, melanin: Floats, blood: Floats, volume: float) -> Floats:
    """Absorption coefficient of one layer, cm-1, (..., W)."""
    if layer.pigmented:
        return np.asarray((1 - melanin) * _BASELINE + melanin * _MELANOSOME, np.float64)
    swelling = 1 + _PULSATION * volume
    arterial = layer.arterial * swelling * _in_vessels(_ARTERIAL, _ARTERIOLE_UM * math.sqrt(swelling))
    venous = (1 - layer.arterial) * _in_vessels(_VENOUS, layer.radius_um)
    return np.asarray(_BASELINE + layer.blood * _BLOOD_SCALE * blood * (arterial + venous), np.float64)


# Directions (cosines) and their quadrature weights: two below the critical angle of total reflection, two above it.
_CRITICAL = math.sqrt(1 - _INDEX**-2)
_NODES, _SHARES = (np.polynomial.legendre.leggauss(2)[0] + 1) / 2, np.polynomial.legendre.leggauss(2)[1] / 2
_COSINES = np.concatenate([_CRITICAL * _NODES, _CRITICAL + (1 - _CRITICAL) * _NODES])
_WEIGHTS = np.concatenate([_CRITICAL * _SHARES, (1 - _CRITICAL) * _SHARES])
_IDENTITY = np.eye(len(_COSINES))


def _slab(absorption: Floats, reduced_scattering: Floats, depth_um: float) -> tuple[Floats, Floats]:
    """Compute reflection and transmission of one layer, each (..., N, N) from direction to direction.

    Doubling from a thin layer (Prahl, van Gemert & Welch, Appl. Opt. 1993), with the delta-Eddington phase function
    (Joseph, Wiscombe & Weinman, J. Atmos. Sci. 1976), which conserves energy exactly for any symmetric directions.
    """
    scattering = reduced_scattering * (1 + _ANISOTROPY)  # without the fraction g^2 that is not deflected
    depth = (absorption + scattering) * depth_um * 1e-4
    doublings = max(0, math.ceil(math.log2(depth.max() / 0.03)))
    thin = (depth / 2 ** (doublings + 1))[..., None, None]
    albedo = (scattering / (absorption + scattering))[..., None, None]
    tilt = 3 * _ANISOTROPY / (1 + _ANISOTROPY) * np.outer(_COSINES, _COSINES)
    # The symmetric and the antisymmetric part of the light from both sides are independent: trapezoidal rule for each.
    even = (_IDENTITY - albedo * _WEIGHTS) / _COSINES[:, None] * thin
    odd = (_IDENTITY - albedo * tilt * _WEIGHTS) / _COSINES[:, None] * thin
    even = np.linalg.solve(_IDENTITY + even, _IDENTITY - even)
    odd = np.linalg.solve(_IDENTITY + odd, _IDENTITY - odd)
    reflected, transmitted = (even - odd) / 2, (even + odd) / 2
    for _ in range(doublings):
        once = transmitted @ np.linalg.inv(_IDENTITY - reflected @ reflected)
        reflected, transmitted = reflected + once @ reflected @ transmitted, once @ transmitted
    return reflected, transmitted


def _internal_reflection() -> Floats:
    """Fraction of the light from inside that the surface reflects (Fresnel), for each direction."""
    sine2 = (1 - _COSINES**2) * _INDEX**2
    outside = np.sqrt(np.maximum(1 - sine2, 0))
    s = (_INDEX * _COSINES - outside) / (_INDEX * _COSINES + outside)
    p = (_COSINES - _INDEX * outside) / (_COSINES + _INDEX * outside)
    return np.where(sine2 >= 1, 1.0, (s**2 + p**2) / 2)


def reflectance(melanin: ArrayLike, blood: ArrayLike = 1.0, volume: float = 0.0) -> Floats:
    """Compute the diffuse reflectance of skin without its specular reflection: full model, milliseconds per colour.

    Args:
        melanin: volume fraction of melanosomes in the epidermis, 0 to 1.
        blood: relative mean blood content of the dermis; 1 is normal. Broadcasts against `melanin`.
        volume: pulsatile blood volume (`Heartbeat.volume`), -1 to 1.

    Returns:
        Reflectance at each wavelength, (..., W).
    """
    melanin, blood = np.asarray(melanin, np.float64)[..., None], np.asarray(blood, np.float64)[..., None]
    below = np.zeros_like(_IDENTITY)
    for layer in reversed(_LAYERS):
        absorption = _absorption(layer, melanin, blood, volume)
        reflected, transmitted = _slab(absorption, _REDUCED_SCATTERING, layer.depth_um)
        below = reflected + transmitted @ np.linalg.inv(_IDENTITY - below @ reflected) @ below @ transmitted
    internal = _internal_reflection()
    # Light enters and leaves within the cone of the critical angle only.
    entering = np.where(_COSINES > _CRITICAL, 1 - internal, 0.0)
    down = np.linalg.solve(_IDENTITY - internal[:, None] * below, entering[:, None])
    flux = _WEIGHTS * _COSINES
    leaving = (flux * entering) @ (below @ down)
    return np.asarray(leaving[..., 0] / flux[_COSINES > _CRITICAL].sum(), np.float64)


# Table over melanin and blood. Its nodes are evenly spaced in square roots, because colour changes fastest near zero.
_MAX_MELANIN, _MAX_BLOOD = 0.5, 4.0
_COARSE, _FINE = (18, 12), (96, 64)
_BLOCK = 1 << 15  # pixels


@cache
def _table() -> tuple[Floats, Floats]:
    """Reflectance and its change per unit of blood volume, both (_FINE[0], _FINE[1], W); takes 0.2 s, once."""
    nodes = [np.linspace(0, 1, count) for count in _COARSE]
    melanin, blood = _MAX_MELANIN * nodes[0][:, None] ** 2, _MAX_BLOOD * nodes[1] ** 2
    systole, diastole = reflectance(melanin, blood, 0.5), reflectance(melanin, blood, -0.5)

    def refine(coarse: Floats) -> Floats:
        for axis in (0, 1):
            coarse = make_interp_spline(nodes[axis], coarse, axis=axis)(np.linspace(0, 1, _FINE[axis]))
        return coarse

    return refine((systole + diastole) / 2), refine(systole - diastole)


@dataclass(frozen=True)
class Sensor:
    """Three channels of a camera.

    Attributes:
        name: kind of camera, a key of `SENSOR_SHAPES`.
        sensitivity: (W, 3) to spectral power, behind the lens and the infrared filter; maximum 1 per channel.
        to_srgb: (3, 3), white-balanced raw to linear sRGB; its rows sum to 1, so that white stays white.
    """

    name: str
    sensitivity: Floats
    to_srgb: Floats


@cache
def _targets() -> Floats:
    """Reflectances (n, W) for which the colour matrix of a camera is fitted: skin, and broad bands and notches."""
    skin = reflectance(np.mean(list(MELANIN.values()), axis=1)[:, None], np.array([0.5, 1.0, 2.0]))
    bands = np.array([bump(peak, width) for peak in range(400, 701, 25) for width in (25, 50, 90)])
    edges = np.array([1 / (1 + np.exp((edge - WAVELENGTHS_NM) / 12)) for edge in range(430, 671, 20)])
    return np.concatenate([*skin, 0.05 + 0.6 * bands, 0.75 - 0.6 * bands, 0.05 + 0.7 * edges, 0.75 - 0.7 * edges])


def build_sensor(name: str, shape: SensorShape) -> Sensor:
    """Build a sensor with the colour matrix that fits it best in daylight."""
    sensitivity = channels(shape)
    light = SPECTRA["daylight"][:, None] * sensitivity
    raw, target = _targets() @ light / light.sum(axis=0), linear_srgb(_targets())
    # Least squares of relative errors over matrices whose rows sum to 1, which fixes the coefficient of blue.
    weight = 1 / target.mean(axis=1, keepdims=True)
    free = np.linalg.lstsq((raw[:, :2] - raw[:, 2:]) * weight, (target - raw[:, 2:]) * weight, rcond=None)[0].T
    return Sensor(name, sensitivity, np.column_stack([free, 1 - free.sum(axis=1)]))


# "dslr" follows the Nikon D5100 measured by NPL (Darrodi et al., J. Opt. Soc. Am. A 2015); the others lie within the
# range of the 28 cameras of Jiang et al. (WACV 2013: red 590 to 610, green 520 to 540, blue 450 to 470) and of the 20
# phones of Tominaga, Nishi & Ohtera (Sensors 2021).
SENSOR_SHAPES = {
    "dslr": SensorShape((595, 14, 36), (530, 32, 41), (460, 28, 35), 0.03, 665),
    "phone": SensorShape((598, 18, 34), (530, 34, 36), (458, 26, 30), 0.03, 655),
    "webcam": SensorShape((605, 24, 42), (538, 38, 42), (456, 28, 34), 0.06, 660),
    "industrial": SensorShape((605, 20, 45), (535, 36, 38), (462, 30, 32), 0.04, 680),
}


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a camera: one of `SENSOR_SHAPES` with its peaks, widths, crosstalk and infrared filter varied."""
    name = str(rng.choice(list(SENSOR_SHAPES)))
    bands = np.array(SENSOR_SHAPES[name][:3], np.float64)
    bands[:, 0] += rng.normal(0, 3, 3).clip(-6, 6)
    bands[:, 1:] *= np.exp(rng.normal(0, 0.07, (3, 2)).clip(-0.15, 0.15))
    red, green, blue = ((float(peak), float(rise), float(fall)) for peak, rise, fall in bands)
    return build_sensor(
        name, SensorShape(red, green, blue, float(rng.uniform(0.01, 0.07)), float(rng.uniform(650, 680)))
    )


class SkinColours:
    """Raw colours of skin under one light for one sensor, and their change with blood volume, from a table.

    Args:
        spectrum: relative power of the light, (W,); a value of `SPECTRA`.
        sensor: of the camera.

    Raises:
        ValueError: the spectrum is not sampled at `WAVELENGTHS_NM`, or the green channel of the sensor gets no light.

    Attributes:
        white: (3,) raw colour of a perfect white diffuser, green = 1.
    """

    def __init__(self, spectrum: Floats, sensor: Sensor) -> None:
        spectrum = np.asarray(spectrum, np.float64)
        if spectrum.shape != WAVELENGTHS_NM.shape:
            raise ValueError(f"a spectrum must have {len(WAVELENGTHS_NM)} wavelengths, not shape {spectrum.shape}")
        response = spectrum[:, None] * sensor.sensitivity
        if not response[:, 1].sum() > 0:
            raise ValueError("the spectrum must have power in the green channel of the sensor")
        response /= response[:, 1].sum()
        self.white: Floats = response.sum(axis=0)
        self._colour, self._pulse = (_cells(spectra @ response) for spectra in _table())

    def colour(self, melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float32]:
        """Return the raw colour of the diffuse reflection; a white diffuser would give `white`.

        Args:
            melanin: volume fraction of melanosomes in the epidermis, see `MELANIN`; clipped at 0.5.
            blood: relative mean blood content, 0 to 4: 1 normal, 0.5 pale, 2 flushed, 3 lips. Broadcasts.

        Returns:
            float32 (..., 3).
        """
        return _look_up(self._colour, melanin, blood)

    def pulse(self, melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float32]:
        """Return the change of `colour` per unit of `Heartbeat.volume`, float32 (..., 3): negative, blood absorbs."""
        return _look_up(self._pulse, melanin, blood)


def _cells(table: Floats) -> NDArray[np.float32]:
    """Corner, derivatives and twist of each cell of a table (M, B, 3), for each channel: float32 (3, 4, M * B)."""
    table = np.pad(table, ((0, 1), (0, 1), (0, 0)), mode="edge")
    down, right = np.diff(table, axis=0)[:, :-1], np.diff(table, axis=1)[:-1]
    twist = np.diff(np.diff(table, axis=0), axis=1)
    cells = np.stack([table[:-1, :-1], down, right, twist])
    return np.ascontiguousarray(np.moveaxis(cells, -1, 0).reshape(3, 4, -1), np.float32)


def _look_up(cells: NDArray[np.float32], melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float32]:
    """Interpolate bilinearly in `_cells`; float32 (..., 3)."""
    melanin, blood = np.broadcast_arrays(np.asarray(melanin, np.float32), np.asarray(blood, np.float32))
    colours = np.empty((melanin.size, 3), np.float32)
    # In blocks that stay in the processor's cache: half the time of a megapixel at once.
    for start in range(0, melanin.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        x = np.sqrt(np.clip(melanin.reshape(-1)[block] / _MAX_MELANIN, 0, 1)) * (_FINE[0] - 1)
        y = np.sqrt(np.clip(blood.reshape(-1)[block] / _MAX_BLOOD, 0, 1)) * (_FINE[1] - 1)
        row, column = x.astype(np.int32), y.astype(np.int32)
        x, y, cell = x - row, y - column, row * _FINE[1] + column
        for channel, (corner, down, right, twist) in enumerate(cells):
            along_row = right.take(cell) + x * twist.take(cell)
            colours[block, channel] = corner.take(cell) + x * down.take(cell) + y * along_row
    return colours.reshape(*melanin.shape, 3)
