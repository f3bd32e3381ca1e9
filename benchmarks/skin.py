"""Colour of simulated skin and of its pulse in camera channels; draws docs/simulation-skin.png.

    python benchmarks/skin.py

Prints the typology angle, the sRGB colour and the pulse (strength in green, direction) of each Fitzpatrick type.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from facepulse._types import Floats
from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.simulate.skin import (
    MELANIN,
    SENSOR_SHAPES,
    SPECTRA,
    WAVELENGTHS_NM,
    SkinColours,
    build_sensor,
    reflectance,
)
from facepulse.simulate.spectra import colour_matching, linear_srgb

OUT = Path(__file__).resolve().parents[1] / "docs" / "simulation-skin.png"
SENSORS = {name: build_sensor(name, shape) for name, shape in SENSOR_SHAPES.items()}
SURFACE = 0.04  # specular reflection in all directions, as the sphere of a spectrophotometer collects it
PUBLISHED_DIRECTION = PULSE_SIGNATURE / np.linalg.norm(PULSE_SIGNATURE)
TYPICAL = {kind: float(np.sqrt(low * high)) for kind, (low, high) in MELANIN.items()}
BLOOD = (0.5, 1.0, 2.0, 3.0)
WHITE_LIGHTS = ("daylight", "white LED", "warm LED", "incandescent", "fluorescent", "screen")


def typology_angle(reflectance: Floats) -> Floats:
    """Individual typology angle of a reflectance (..., W), degrees (Chardon et al., Int. J. Cosmetic Science 1991)."""
    observer = SPECTRA["daylight"][:, None] * colour_matching()
    xyz = reflectance @ observer / observer.sum(axis=0)
    cube = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.asarray(np.degrees(np.arctan2(116 * cube[..., 1] - 66, 200 * (cube[..., 1] - cube[..., 2]))), np.float64)


def srgb(linear: Floats) -> Floats:
    """Encode linear sRGB for a screen, 0 to 1."""
    linear = np.clip(linear, 0, 1)
    return np.asarray(np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055), np.float64)


def strength(melanin: float, light: str, sensor: str, surface: float = 0.0) -> Floats:
    """AC/DC ratio of the raw channels for a pulse of 1 peak to peak, (3,)."""
    colours = SkinColours(SPECTRA[light], SENSORS[sensor])
    return np.asarray(-colours.pulse(melanin, 1.0) / (colours.colour(melanin, 1.0) + surface * colours.white))


def draw_spectra(axes: Axes) -> None:
    for kind, melanin in TYPICAL.items():
        below = reflectance(melanin)
        axes.plot(WAVELENGTHS_NM, below, color=srgb(linear_srgb(below + SURFACE)), lw=3, label=f"type {kind}")
    axes.set(xlabel="wavelength (nm)", ylabel="diffuse reflectance", xlim=(400, 700), ylim=(0, 0.75))
    axes.legend(ncols=2, frameon=False)
    axes.set_title("Reflectance by Fitzpatrick type")


def draw_swatches(axes: Axes) -> None:
    """Colours of a white-balanced phone with a fixed colour matrix; in each cell, blood increases to the right."""
    sensor = SENSORS["phone"]
    lights = [*WHITE_LIGHTS, "true colour"]
    image = np.empty((len(lights), len(TYPICAL) * len(BLOOD), 3))
    melanin, blood = np.repeat(list(TYPICAL.values()), len(BLOOD)), np.tile(BLOOD, len(TYPICAL))
    for row, light in enumerate(lights):
        if light == "true colour":
            image[row] = srgb(linear_srgb(reflectance(melanin, blood) + SURFACE))
            continue
        colours = SkinColours(SPECTRA[light], sensor)
        image[row] = srgb((colours.colour(melanin, blood) / colours.white + SURFACE) @ sensor.to_srgb.T)
    axes.imshow(image, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(lights)), lights)
    axes.set_xticks(np.arange(len(TYPICAL)) * len(BLOOD) + 1.5, [f"type {kind}" for kind in TYPICAL])
    axes.set_title(f"Colours of a phone camera (blood {', '.join(map(str, BLOOD))})")


def draw_directions(axes: Axes) -> None:
    """Red and blue components of the unit vector of the pulse."""
    markers = dict(zip(SENSORS, "osD^", strict=True))
    hues = dict(
        zip(WHITE_LIGHTS, ("tab:blue", "black", "tab:orange", "tab:red", "tab:green", "tab:purple"), strict=True)
    )
    for sensor, marker in markers.items():
        for light, hue in hues.items():
            for kind, melanin in TYPICAL.items():
                red, _, blue = (vector := strength(melanin, light, sensor)) / np.linalg.norm(vector)
                axes.plot(red, blue, marker, color=hue, ms=3 + kind, mfc="none", alpha=0.8)
    angle = np.linspace(0, 2 * np.pi, 100)
    # All directions within acos(0.98) of the published one, projected along green.
    across = np.linalg.svd(PUBLISHED_DIRECTION[None])[2][1:]
    circle = 0.98 * PUBLISHED_DIRECTION[:, None] + np.sqrt(1 - 0.98**2) * (
        across[0][:, None] * np.cos(angle) + across[1][:, None] * np.sin(angle)
    )
    axes.plot(circle[0], circle[2], "k:", lw=1)
    axes.plot(PUBLISHED_DIRECTION[0], PUBLISHED_DIRECTION[2], "k*", ms=16)
    for light, hue in hues.items():
        axes.plot([], [], "o", color=hue, label=light)
    for sensor, marker in markers.items():
        axes.plot([], [], marker, color="grey", mfc="none", label=sensor)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.set(xlabel="red", ylabel="blue", xlim=(0.1, 0.55), ylim=(0.3, 0.75), aspect="equal")
    axes.set_title("Direction of the raw pulse, larger: darker;\nstar: de Haan & van Leest 2014, dotted: cosine 0.98")


def draw_strength(axes: Axes) -> None:
    for light, colour in (("white LED", "black"), ("daylight", "tab:blue"), ("incandescent", "tab:red")):
        for surface, line in ((0.0, ":"), (SURFACE, "-"), (2 * SURFACE, "--")):
            green = [100 * strength(melanin, light, "phone", surface)[1] for melanin in TYPICAL.values()]
            axes.plot(list(TYPICAL), green, line, color=colour, marker="o", label=f"{light}, surface {surface:.0%}")
    axes.axhspan(0.5, 2.0, color="tab:green", alpha=0.1, lw=0)
    axes.set(xlabel="Fitzpatrick type", ylabel="peak to peak / mean of green (%)", ylim=(0, 1.2))
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.set_title("Strength; shaded: measured on light faces")


def main() -> None:
    print("type  melanin         ITA (deg)      sRGB           green AC/DC %  direction, phone under a white LED")
    for kind, (low, high) in MELANIN.items():
        angles = typology_angle(reflectance(np.array([low, high])) + SURFACE)
        colour = np.rint(255 * srgb(linear_srgb(reflectance(TYPICAL[kind]) + SURFACE))).astype(int)
        vector = strength(TYPICAL[kind], "white LED", "phone")
        direction = vector / np.linalg.norm(vector)
        percent = 100 * strength(TYPICAL[kind], "white LED", "phone", SURFACE)[1]
        print(
            f"{kind:4}  {low:.3f} to {high:.3f}  {angles[0]:4.0f} to {angles[1]:3.0f}  {tuple(map(int, colour))!s:16}"
            f"{percent:10.2f}      {direction.round(2)}, cosine {direction @ PUBLISHED_DIRECTION:.3f}"
        )
    figure, axes = plt.subplots(2, 2, figsize=(13, 10), layout="constrained")
    for draw, axis in zip((draw_spectra, draw_swatches, draw_directions, draw_strength), axes.flat, strict=True):
        draw(axis)
    figure.suptitle("Simulated skin: four-stream adding and doubling through seven layers")
    figure.savefig(OUT, dpi=100)
    print(f"wrote {OUT.name}")


if __name__ == "__main__":
    main()
