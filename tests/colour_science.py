"""Colour science for the tests of simulated skin and cameras: CIELAB, typology angle and four typical cameras."""

import numpy as np

from facepulse.simulate.skin import SENSOR_SHAPES, build_sensor
from facepulse.simulate.spectra import SPECTRA, colour_matching

SENSORS = {name: build_sensor(name, shape) for name, shape in SENSOR_SHAPES.items()}

# Specular reflection of skin in all directions, as the sphere of a spectrophotometer collects it.
SURFACE = 0.04


def cie_lab(reflectance: np.ndarray) -> np.ndarray:
    """Return CIE L*, a*, b* of a reflectance (..., W) in daylight; (..., 3)."""
    observer = SPECTRA["daylight"][:, None] * colour_matching()
    xyz = reflectance @ observer / observer.sum(axis=0)
    cube = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(cube, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(reflectance: np.ndarray) -> np.ndarray:
    """Return the individual typology angle of a reflectance (..., W) in degrees (Chardon et al. 1991)."""
    lightness, _, yellow = np.moveaxis(cie_lab(reflectance), -1, 0)
    return np.degrees(np.arctan2(lightness - 50, yellow))
