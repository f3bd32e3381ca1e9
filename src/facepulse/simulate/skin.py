"""The colour of skin and how blood changes it, from what light meets on its way through the layers.

Light enters, is scattered, is absorbed by melanin in the epidermis and by blood below, and some of it returns. The
layers are solved by adding and doubling in four directions a hemisphere, wavelength by wavelength. The pulse is not
painted on: the arterioles of the dermis swell, and the colour follows. Light mirrored by the surface is not in here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
    bump,
    channels,
    linear_srgb,
)

__all__ = [
    "MELANIN",
    "SENSORS",
    "SPECTRA",
    "SURFACE",
    "WAVELENGTHS_NM",
    "Sensor",
    "SkinColours",
    "draw_sensor",
    "reflectance",
]

# Melanosomes as a volume fraction of a 60 um epidermis. Jacques (1998, omlc.org; Phys. Med. Biol. 2013): 1.3 to 6.3 %
# light, 11 to 16 % moderate, 18 to 43 % dark. Within that, the borders are where this model's typology angle crosses
# 55, 41, 28, 10 and -30 degrees (Chardon 1991; Del Bino & Bernerd, Br. J. Dermatol. 2013: very light to dark).
MELANIN: dict[int, tuple[float, float]] = {
    1: (0.0050, 0.0090),
    2: (0.0095, 0.022),
    3: (0.0230, 0.037),
    4: (0.0390, 0.063),
    5: (0.0670, 0.150),
    6: (0.1600, 0.260),
}

# Light mirrored by the surface all around, as a spectrophotometer's sphere collects it; the renderer adds its own.
SURFACE = 0.04

_INDEX = 1.4  # refractive index of skin; Lister et al., J. Biomed. Opt. 2012
_ANISOTROPY = 0.8  # mean cosine of scattering, van Gemert et al., IEEE Trans. Biomed. Eng. 1989
# Reduced scattering of skin, cm-1, the mean of eight studies (Jacques, Phys. Med. Biol. 2013, table 2).
_REDUCED_SCATTERING = 46.0 * (WAVELENGTHS_NM / 500) ** -1.421
# Absorption of melanosomes and of skin without melanin and blood, cm-1 (Jacques 1998; Saidi 1992).
_MELANOSOME = 6.6e11 * WAVELENGTHS_NM**-3.33
_BASELINE = 0.244 + 85.3 * np.exp(-(WAVELENGTHS_NM - 154) / 66.2)


def _blood(saturation: float) -> Floats:
    """Absorption of whole blood with 150 g/l haemoglobin of 64 500 g/mol, cm-1 (Prahl)."""
    molar = saturation * OXYHAEMOGLOBIN + (1 - saturation) * DEOXYHAEMOGLOBIN
    return np.asarray(math.log(10) * molar * 150 / 64500, np.float64)


# Skin's mixed saturation is about 75 % (Jacques 2013, table 3): arterial 97 %, the rest a little under 70 %.
_ARTERIAL, _VENOUS = _blood(0.97), _blood(0.68)

# Mean blood of the dermis relative to Meglinski & Matcher's (a well filled 5.5 %): 1.3 % of its volume, within the
# 0.2 to 5 % of the literature (Jacques 2013), gives the redness of European cheeks and foreheads (a* near 11; Xiao et
# al., Skin Res. Technol. 2017).
_FILLING = 0.23

# Blood in arterioles, as a share: a fifth to a quarter of all blood is arterial.
_ARTERIAL_SHARE = 0.25

# The arterioles' volume, peak to peak over a beat: a tenth of their diameter. The one figure chosen by its outcome, 0.5
# to 2 % in the green of light faces (Verkruysse et al., Opt. Express 2008; Kamshilin et al., Sci. Rep. 2015), for want
# of a direct measurement. The colour of the pulse hardly depends on it.
_PULSATION = 0.20


@dataclass(frozen=True)
class _Layer:
    """A layer of skin: Meglinski & Matcher, Physiol. Meas. 2002, table 1; the epidermis as thick as Jacques's.

    Vessels' radii after Braverman, J. Invest. Dermatol. Symp. Proc. 2000. The capillaries of the papillary dermis
    hardly pulsate, the arterioles below do (Moco, Stuijk & de Haan, Sci. Rep. 2018).
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
    """Absorption of blood once its inside hides behind its outside, cm-1 (van Veen et al., Opt. Lett. 2002)."""
    across = 2e-4 * np.asarray(radius_um) * absorption
    return np.asarray(absorption * -np.expm1(-across) / across, np.float64)


def _absorption(layer: _Layer, melanin: Floats, blood: Floats, volume: float) -> Floats:
    """Of one layer, cm-1, (..., W)."""
    if layer.pigmented:
        return np.asarray((1 - melanin) * _BASELINE + melanin * _MELANOSOME, np.float64)
    swelling = 1 + _PULSATION * volume
    arterial = layer.arterial * swelling * _in_vessels(_ARTERIAL, _ARTERIOLE_UM * math.sqrt(swelling))
    resting = (1 - layer.arterial) * _in_vessels(_VENOUS, layer.radius_um)
    return np.asarray(_BASELINE + layer.blood * _FILLING * blood * (arterial + resting), np.float64)


# Directions (cosines) and their weights: two between the horizon and the angle of total reflection, two above it.
_CRITICAL = math.sqrt(1 - _INDEX**-2)
_NODES, _SHARES = (np.polynomial.legendre.leggauss(2)[0] + 1) / 2, np.polynomial.legendre.leggauss(2)[1] / 2
_COSINES = np.concatenate([_CRITICAL * _NODES, _CRITICAL + (1 - _CRITICAL) * _NODES])
_WEIGHTS = np.concatenate([_CRITICAL * _SHARES, (1 - _CRITICAL) * _SHARES])
_IDENTITY = np.eye(len(_COSINES))


def _slab(absorption: Floats, reduced_scattering: Floats, depth_um: float) -> tuple[Floats, Floats]:
    """Reflection and transmission of one layer, (..., N, N) from direction into direction.

    Doubling from a thin start (Prahl, van Gemert & Welch, Appl. Opt. 1993), with the delta-Eddington phase function
    (Joseph, Wiscombe & Weinman, J. Atmos. Sci. 1976), which keeps energy exactly with any symmetric directions.
    """
    scattering = reduced_scattering * (1 + _ANISOTROPY)  # without the share g^2 that goes straight on
    depth = (absorption + scattering) * depth_um * 1e-4
    doublings = max(0, math.ceil(math.log2(depth.max() / 0.03)))
    thin = (depth / 2 ** (doublings + 1))[..., None, None]
    albedo = (scattering / (absorption + scattering))[..., None, None]
    tilt = 3 * _ANISOTROPY / (1 + _ANISOTROPY) * np.outer(_COSINES, _COSINES)
    # Light from both sides alike and light from both sides opposed do not mix; the trapezoidal rule for each.
    alike = (_IDENTITY - albedo * _WEIGHTS) / _COSINES[:, None] * thin
    opposed = (_IDENTITY - albedo * tilt * _WEIGHTS) / _COSINES[:, None] * thin
    alike = np.linalg.solve(_IDENTITY + alike, _IDENTITY - alike)
    opposed = np.linalg.solve(_IDENTITY + opposed, _IDENTITY - opposed)
    back, through = (alike - opposed) / 2, (alike + opposed) / 2
    for _ in range(doublings):
        once = through @ np.linalg.inv(_IDENTITY - back @ back)
        back, through = back + once @ back @ through, once @ through
    return back, through


def _fresnel() -> Floats:
    """Share of light from inside that the surface mirrors back, for each direction."""
    sine2 = (1 - _COSINES**2) * _INDEX**2
    outside = np.sqrt(np.maximum(1 - sine2, 0))
    s = (_INDEX * _COSINES - outside) / (_INDEX * _COSINES + outside)
    p = (_COSINES - _INDEX * outside) / (_COSINES + _INDEX * outside)
    return np.where(sine2 >= 1, 1.0, (s**2 + p**2) / 2)


def reflectance(melanin: ArrayLike, blood: ArrayLike = 1.0, volume: float = 0.0) -> Floats:
    """Share of diffuse light that skin returns from below its surface: the full model, milliseconds a colour.

    Args:
        melanin: volume fraction of melanosomes in the epidermis, 0 to 1.
        blood: relative mean blood content of the dermis; 1 is normal. Broadcasts against `melanin`.
        volume: of the blood pulse (`Heartbeat.volume`), -1 to 1.

    Returns:
        (..., W).
    """
    melanin, blood = np.asarray(melanin, np.float64)[..., None], np.asarray(blood, np.float64)[..., None]
    below = np.zeros_like(_IDENTITY)
    for layer in reversed(_LAYERS):
        back, through = _slab(_absorption(layer, melanin, blood, volume), _REDUCED_SCATTERING, layer.depth_um)
        below = back + through @ np.linalg.inv(_IDENTITY - below @ back) @ below @ through
    mirrored = _fresnel()
    entering = np.where(_COSINES > _CRITICAL, 1 - mirrored, 0.0)
    # Directions between the horizon and total reflection are closed to the world: what enters, and leaves, is a cone.
    down = np.linalg.solve(_IDENTITY - mirrored[:, None] * below, entering[:, None])
    flux = _WEIGHTS * _COSINES
    leaving = (flux * entering) @ (below @ down)
    return np.asarray(leaving[..., 0] / flux[_COSINES > _CRITICAL].sum(), np.float64)


# The table over melanin and blood: nodes are evenly spaced in square roots, because colour changes fastest near zero.
_MOST_MELANIN, _MOST_BLOOD = 0.5, 4.0
_COARSE, _FINE = (18, 12), (96, 64)
_PIECE = 1 << 15  # pixels


@cache
def _table() -> tuple[Floats, Floats]:
    """Reflectance and its change with the pulse's volume, both (_FINE[0], _FINE[1], W); a fifth of a second, once."""
    nodes = [np.linspace(0, 1, count) for count in _COARSE]
    melanin, blood = _MOST_MELANIN * nodes[0][:, None] ** 2, _MOST_BLOOD * nodes[1] ** 2
    swollen, slack = reflectance(melanin, blood, 0.5), reflectance(melanin, blood, -0.5)

    def refine(coarse: Floats) -> Floats:
        for axis in (0, 1):
            coarse = make_interp_spline(nodes[axis], coarse, axis=axis)(np.linspace(0, 1, _FINE[axis]))
        return coarse

    return refine((swollen + slack) / 2), refine(swollen - slack)


@dataclass(frozen=True)
class Sensor:
    """Three channels of a camera.

    Attributes:
        name: what kind of camera.
        sensitivity: (W, 3) to spectral power, behind the lens and the infrared filter; maximum 1 a channel.
        to_srgb: (3, 3), white-balanced raw to linear sRGB; its rows sum to 1, so that white stays white.
    """

    name: str
    sensitivity: Floats
    to_srgb: Floats


@cache
def _targets() -> Floats:
    """Reflectances (n, W) on which a camera's colours are tuned: skin, and broad bands and notches of any hue."""
    skin = reflectance(np.mean(list(MELANIN.values()), axis=1)[:, None], np.array([0.5, 1.0, 2.0]))
    bands = np.array([bump(peak, width) for peak in range(400, 701, 25) for width in (25, 50, 90)])
    edges = np.array([1 / (1 + np.exp((edge - WAVELENGTHS_NM) / 12)) for edge in range(430, 671, 20)])
    return np.concatenate([*skin, 0.05 + 0.6 * bands, 0.75 - 0.6 * bands, 0.05 + 0.7 * edges, 0.75 - 0.7 * edges])


def _sensor(name: str, *shape: tuple[float, float, float] | float) -> Sensor:
    """A sensor from the arguments of `spectra.channels`, with the colour matrix that suits it in daylight."""
    build: Callable[..., Floats] = channels
    sensitivity = build(*shape)
    light = SPECTRA["daylight"][:, None] * sensitivity
    raw, wanted = _targets() @ light / light.sum(axis=0), linear_srgb(_targets())
    # Least squares of relative errors, over matrices whose rows sum to 1: blue's share is what red and green leave.
    trust = 1 / wanted.mean(axis=1, keepdims=True)
    free = np.linalg.lstsq((raw[:, :2] - raw[:, 2:]) * trust, (wanted - raw[:, 2:]) * trust, rcond=None)[0].T
    return Sensor(name, sensitivity, np.column_stack([free, 1 - free.sum(axis=1)]))


# Peaks and widths in nm of red, green and blue, crosstalk, infrared cut. "dslr" follows the Nikon D5100 measured by NPL
# (Darrodi et al., J. Opt. Soc. Am. A 2015); the others lie within the spread of the 28 cameras of Jiang et al. (WACV
# 2013: red 590 to 610, green 520 to 540, blue 450 to 470) and the 20 phones of Tominaga, Nishi & Ohtera (Sensors 2021).
_SHAPES: dict[str, tuple[tuple[float, float, float] | float, ...]] = {
    "dslr": ((595, 14, 36), (530, 32, 41), (460, 28, 35), 0.03, 665),
    "phone": ((598, 18, 34), (530, 34, 36), (458, 26, 30), 0.03, 655),
    "webcam": ((605, 24, 42), (538, 38, 42), (456, 28, 34), 0.06, 660),
    "industrial": ((605, 20, 45), (535, 36, 38), (462, 30, 32), 0.04, 680),
}
SENSORS: dict[str, Sensor] = {name: _sensor(name, *shape) for name, shape in _SHAPES.items()}


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """A camera like no other: one of `SENSORS`' shapes with its peaks, widths, crosstalk and filter shifted."""
    name = str(rng.choice(list(_SHAPES)))
    bands = np.array(_SHAPES[name][:3], np.float64)
    bands[:, 0] += rng.normal(0, 3, 3).clip(-6, 6)
    bands[:, 1:] *= np.exp(rng.normal(0, 0.07, (3, 2)).clip(-0.15, 0.15))
    red, green, blue = ((float(peak), float(rise), float(fall)) for peak, rise, fall in bands)
    return _sensor(name, red, green, blue, float(rng.uniform(0.01, 0.07)), float(rng.uniform(650, 680)))


class SkinColours:
    """Raw colours of skin under one light for one sensor, looked up; and how they change with the pulse.

    Args:
        spectrum: relative power of the light, (W,); a value of `SPECTRA`.
        sensor: of the camera.

    Raises:
        ValueError: the spectrum is not sampled at `WAVELENGTHS_NM`, or holds no green light for the sensor.

    Attributes:
        white: (3,) raw colour of a perfect white diffuser, green = 1.
    """

    def __init__(self, spectrum: Floats, sensor: Sensor) -> None:
        spectrum = np.asarray(spectrum, np.float64)
        if spectrum.shape != WAVELENGTHS_NM.shape:
            raise ValueError(f"a spectrum holds {len(WAVELENGTHS_NM)} wavelengths, not {spectrum.shape}")
        response = spectrum[:, None] * sensor.sensitivity
        if not response[:, 1].sum() > 0:
            raise ValueError("the light holds nothing that the sensor's green channel sees")
        response /= response[:, 1].sum()
        self.white: Floats = response.sum(axis=0)
        self._colour, self._pulse = (_cells(spectra @ response) for spectra in _table())

    def colour(self, melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float32]:
        """Raw colour of the light that returns from below the surface; a white diffuser would give `white`.

        Args:
            melanin: volume fraction of melanosomes in the epidermis, see `MELANIN`; above 0.5 counts as 0.5.
            blood: relative mean blood content, 0 to 4: 1 normal, 0.5 pale, 2 flushed, 3 lips. Broadcasts.

        Returns:
            float32 (..., 3).
        """
        return _look_up(self._colour, melanin, blood)

    def pulse(self, melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float32]:
        """Change of `colour` when `Heartbeat.volume` rises by 1, float32 (..., 3): negative, more blood absorbs."""
        return _look_up(self._pulse, melanin, blood)


def _cells(table: Floats) -> NDArray[np.float32]:
    """Corner, slopes and twist of each cell of a table (M, B, 3), for each channel: float32 (3, 4, M * B)."""
    table = np.pad(table, ((0, 1), (0, 1), (0, 0)), mode="edge")
    down, right = np.diff(table, axis=0)[:, :-1], np.diff(table, axis=1)[:-1]
    twist = np.diff(np.diff(table, axis=0), axis=1)
    cells = np.stack([table[:-1, :-1], down, right, twist])
    return np.ascontiguousarray(np.moveaxis(cells, -1, 0).reshape(3, 4, -1), np.float32)


def _look_up(cells: NDArray[np.float32], melanin: ArrayLike, blood: ArrayLike) -> NDArray[np.float32]:
    """Bilinear interpolation in `_cells`; float32 (..., 3)."""
    melanin, blood = np.broadcast_arrays(np.asarray(melanin, np.float32), np.asarray(blood, np.float32))
    colours = np.empty((melanin.size, 3), np.float32)
    # In pieces that stay in the processor's cache: half the time of a megapixel at once.
    for start in range(0, melanin.size, _PIECE):
        piece = slice(start, start + _PIECE)
        x = np.sqrt(np.clip(melanin.reshape(-1)[piece] / _MOST_MELANIN, 0, 1)) * (_FINE[0] - 1)
        y = np.sqrt(np.clip(blood.reshape(-1)[piece] / _MOST_BLOOD, 0, 1)) * (_FINE[1] - 1)
        row, column = x.astype(np.int32), y.astype(np.int32)
        x, y, cell = x - row, y - column, row * _FINE[1] + column
        for channel, (corner, down, right, twist) in enumerate(cells):
            slope = right.take(cell) + x * twist.take(cell)
            colours[piece, channel] = corner.take(cell) + x * down.take(cell) + y * slope
    return colours.reshape(*melanin.shape, 3)
