"""Camera model: photons, Bayer mosaic, auto exposure, colour matrix, tone curve, quantisation to 8 bits.

The only inputs are the raw light and the times, not the heartbeat, so that nothing the camera adds depends on it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from facepulse._types import Floats, Floats32, Image
from facepulse.simulate.noise import NoiseField
from facepulse.simulate.skin import SPECTRA, Sensor, draw_sensor

# A lumen is 1/683 W at 555 nm, where a photon carries 3.58e-19 J (CIE 1924; SI brochure, 2019). The band of a green
# filter is close to the eye's luminosity curve, so that this holds for white light in the green channel too.
PHOTONS_PER_LUX = 4.09e15  # per second and m²
TRANSMISSION = 0.9  # of the lens
BLACK = 1024  # level of no light, of 65535, as in raw files: noise around it is not clipped
MOSAIC_BINNING = (0.75, 1.5)  # sensor pixels per pixel of the frame at which the mosaic is still visible
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709


@dataclass(frozen=True)
class Camera:
    """Sensor, optics and firmware settings of one camera.

    Attributes:
        sensor: spectral sensitivity and colour matrix.
        exposure_s: longest exposure of auto exposure; bright light shortens it, dim light raises the gain.
        readout_s: from the first row's exposure to the last row's; 0 is a global shutter.
        f_number: of the lens.
        pixel_um: side of one sensor pixel.
        efficiency: electrons per photon at the green channel's peak.
        full_well_e: electrons that fill a pixel.
        read_noise_e: RMS, electrons.
        white_level: of a white surface under the full light at time 0; 1 is the clipping level.
        adaptation: of the white balance: 1 makes the light's white neutral, 0 keeps all of its tint against daylight.
        tint: (red, blue) errors of the white balance, natural logarithms.
        exposure_drift: slow drift of the exposure (SD of its natural logarithm).
        exposure_step: height of the small steps of auto exposure (SD of its natural logarithm).
        balance_drift: slow drift of red and blue against green (SD of their natural logarithms).
        steps_per_minute: of auto exposure.
        gamma: power applied after sRGB's transfer curve.
        contrast: 0 for none, 1 for a full s-curve.
        chroma: 1 for true colours, above 1 for stronger saturation.
        sharpening: share of the fine detail that is added once more.
        smoothing: grey levels below which fine detail counts as noise and is removed; 0 for none.
        trailing: weight of the previous frame in still regions (temporal noise reduction); 0 for none.
        edge_aware: True for demosaicking that follows edges, False for bilinear.
    """

    sensor: Sensor
    exposure_s: float
    readout_s: float
    f_number: float
    pixel_um: float
    efficiency: float
    full_well_e: float
    read_noise_e: float
    white_level: float
    adaptation: float = 1.0
    tint: tuple[float, float] = (0.0, 0.0)
    exposure_drift: float = 0.0
    exposure_step: float = 0.0
    balance_drift: float = 0.0
    steps_per_minute: float = 0.0
    gamma: float = 1.0
    contrast: float = 0.0
    chroma: float = 1.0
    sharpening: float = 0.0
    smoothing: float = 0.0
    trailing: float = 0.0
    edge_aware: bool = False

    def electrons(self, lux: float) -> float:
        """Green electrons in the pixel of a white surface after the longest exposure, if the well were unlimited.

        A Lambertian surface under E lux gives E T / (4 N²) lux on the sensor behind a lens of f-number N.
        """
        area_m2 = (1e-6 * self.pixel_um) ** 2
        on_sensor_lux = lux * TRANSMISSION / (4 * self.f_number**2)
        return on_sensor_lux * PHOTONS_PER_LUX * self.efficiency * area_m2 * self.exposure_s


# Full wells and read noise are those in EMVA 1288 reports of small sensors: 5,000 to 15,000 electrons, 1.5 to 6.
# Sony's IMX477 (1.55 µm, Raspberry Pi) was measured at 8,180 and 3 to 1.5. Readout times of phones: 22 to 32 ms
# (Ringaby and Forssén, Int. J. Comput. Vis. 96 (2012)), less on newer ones.
_OPTICS: dict[str, dict[str, tuple[float, float]]] = {
    "industrial": {
        "readout_s": (0.0, 0.0),
        "f_number": (1.8, 4.0),
        "pixel_um": (3.0, 4.6),
        "efficiency": (0.40, 0.65),
        "full_well_e": (8e3, 15e3),
        "read_noise_e": (3.0, 6.0),
    },
    "webcam": {
        "readout_s": (0.015, 0.033),
        "f_number": (2.0, 2.8),
        "pixel_um": (1.8, 3.0),
        "efficiency": (0.45, 0.65),
        "full_well_e": (6e3, 12e3),
        "read_noise_e": (2.5, 6.0),
    },
    "phone": {
        "readout_s": (0.010, 0.032),
        "f_number": (1.8, 2.4),
        "pixel_um": (1.1, 1.9),
        "efficiency": (0.55, 0.75),
        "full_well_e": (5e3, 8.5e3),
        "read_noise_e": (1.5, 3.0),
    },
}
# Tone: response curves of cameras lie around a gamma of 1/2.2 with s-curves of all strengths (Grossberg and Nayar, IEEE
# Trans. Pattern Anal. Mach. Intell. 26 (2004)).
_FIRMWARE: dict[str, dict[str, tuple[float, float]]] = {
    "calm": {
        "white_level": (0.70, 0.95),
        "adaptation": (0.9, 1.0),
        "exposure_drift": (0.0, 0.004),
        "exposure_step": (0.0, 0.0),
        "balance_drift": (0.0, 0.002),
        "steps_per_minute": (0.0, 0.0),
        "gamma": (0.92, 1.08),
        "contrast": (0.0, 0.25),
        "chroma": (0.9, 1.2),
        "sharpening": (0.0, 0.3),
    },
    "complex": {
        "white_level": (0.55, 0.97),
        "adaptation": (0.6, 1.0),
        "exposure_drift": (0.005, 0.04),
        "exposure_step": (0.0, 0.05),
        "balance_drift": (0.002, 0.02),
        "steps_per_minute": (1.0, 10.0),
        "gamma": (0.85, 1.15),
        "contrast": (0.0, 0.6),
        "chroma": (0.85, 1.3),
        "sharpening": (0.0, 0.8),
    },
}


def draw_camera(rng: np.random.Generator, quality: Literal["calm", "complex"]) -> Camera:
    """Draw a camera: calm ones are industrial cameras and webcams, complex ones phones and webcams."""
    kinds = {"calm": ("industrial", "webcam"), "complex": ("phone", "phone", "webcam")}[quality]
    kind = kinds[rng.integers(len(kinds))]
    tint = 0.03 if quality == "calm" else 0.08
    # Most cameras are set to whole periods of the mains ripple, many of them to the other mains frequency.
    exposures_s = [2 / 100, 3 / 100, 2 / 120, 3 / 120, 4 / 120, float(rng.uniform(0.010, 0.033))]
    if quality == "calm":  # enough light for short ones
        exposures_s += [1 / 100, 1 / 120]
    noise_reduction = quality == "complex" and kind == "phone"
    return Camera(
        sensor=draw_sensor(rng),
        exposure_s=exposures_s[rng.integers(len(exposures_s))],
        tint=(float(rng.normal(0, tint)), float(rng.normal(0, tint))),
        smoothing=float(rng.uniform(0, 4)) * bool(noise_reduction and rng.random() < 0.6),
        trailing=float(rng.uniform(0, 0.5)) * bool(noise_reduction and rng.random() < 0.5),
        edge_aware=kind == "phone",
        **{name: float(rng.uniform(*limits)) for name, limits in (_OPTICS[kind] | _FIRMWARE[quality]).items()},
    )


class Development:
    """Conversion of raw light to frames by one camera in one scene.

    Args:
        camera: the camera.
        times: (T,) float64, start of the first row's exposure of each frame in seconds.
        lux: illuminance of a white surface under the full light.
        white: (3,) raw colour of that surface.
        rng: source of the noise, the drifts and the mains phase.
        binning: sensor pixels whose mean is one pixel of the frame.

    Attributes:
        exposure_s: exposure at time 0.
        electrons: green electrons of the white surface in a sensor pixel at time 0.
        mains_phase: phase of the mains ripple at time 0 in radians.
    """

    def __init__(
        self, camera: Camera, times: Floats, lux: float, white: Floats, rng: np.random.Generator, *, binning: float = 1
    ) -> None:
        if lux <= 0 or binning <= 0:
            raise ValueError(f"lux and binning must be above zero, not {lux:g} and {binning:g}")
        white = np.asarray(white, dtype=np.float64)
        self._camera, self._times = camera, np.asarray(times, dtype=np.float64)
        daylight = SPECTRA["daylight"] @ camera.sensor.sensitivity
        balance = np.exp([camera.tint[0], 0, camera.tint[1]]) / white**camera.adaptation
        balance /= (daylight / daylight[1]) ** (1 - camera.adaptation)
        balance /= balance.min()  # so that a full pixel is white in every channel
        level = camera.white_level / (balance * white).max()
        self.electrons = min(camera.electrons(lux), camera.full_well_e * level)
        self.exposure_s = camera.exposure_s * self.electrons / camera.electrons(lux)
        self.mains_phase = float(rng.uniform(0, 2 * np.pi))

        exposure = _drift(rng, self._times, camera.exposure_drift)
        exposure += _steps(rng, self._times, camera.exposure_step, camera.steps_per_minute)
        red_blue = [_drift(rng, self._times, camera.balance_drift) for _ in range(2)]
        drift = np.exp(np.stack([red_blue[0], np.zeros_like(exposure), red_blue[1]], axis=1))
        # Balanced values are 1 at clipping; their noise has the variance share * value + floor (photon transfer curve).
        self._scale = level * balance * drift * np.exp(exposure)[:, np.newaxis]
        self._share = level * balance * drift / self.electrons
        self._floor = (self._share * camera.read_noise_e) ** 2

        self._mosaic = MOSAIC_BINNING[0] <= binning <= MOSAIC_BINNING[1]
        self._noise = NoiseField(rng, len(self._times), None if self._mosaic else binning)
        # Saturation moves colours away from grey. Rows of both matrices sum to 1, so that white stays white.
        chroma = camera.chroma * np.eye(3) + (1 - camera.chroma) * LUMINANCE
        gain = 65535 / (65535 - BLACK)
        self._to_srgb = np.hstack([gain * chroma @ camera.sensor.to_srgb, np.full((3, 1), -gain * BLACK)])
        levels = 255 * tone_curve(camera, np.linspace(0, 1, 65536))
        self._levels, self._rounded = levels.astype(np.float32), np.rint(levels).astype(np.uint8)
        self._last: tuple[int, Floats32] | None = None

    def __call__(self, raw: Floats32, index: int) -> Image:
        """Develop one frame.

        Args:
            raw: float32 (H, W, 3), raw light; a white surface under the full light has the value `white`.
            index: of the frame. Temporal noise reduction uses the previous index only.

        Returns:
            uint8 (H, W, 3), sRGB.
        """
        value: Any = cv2.transform(raw, np.diag(self._scale[index]))
        variance: Any = cv2.transform(value, np.column_stack([np.diag(self._share[index]), self._floor[index]]))
        if self._mosaic:
            value, variance = _mosaic(value), _mosaic(variance)
        noise, sign = self._noise.crop(index, *value.shape[:2])
        value += cv2.multiply(cv2.sqrt(variance), noise, scale=sign)
        digits: Any = cv2.addWeighted(value, 65535 - BLACK, value, 0, BLACK, dtype=cv2.CV_16U)
        if self._mosaic:
            edge_aware = self._camera.edge_aware
            digits = cv2.demosaicing(digits, cv2.COLOR_BayerRGGB2RGB_EA if edge_aware else cv2.COLOR_BayerRGGB2RGB)
        linear: Any = cv2.transform(digits, self._to_srgb)
        if not (self._camera.sharpening or self._camera.smoothing or self._camera.trailing):
            return np.asarray(self._rounded.take(linear))
        return self._retouch(self._levels.take(linear), index)

    def flicker(self, index: int, rows: npt.ArrayLike, flicker_hz: float, flicker_depth: float) -> Floats32:
        """Gain of rows under a light with mains ripple: 1 on average, with bands under a rolling shutter.

        Args:
            index: of the frame.
            rows: (H,) places of the rows in the whole frame, 0 at its top and 1 at its bottom.
            flicker_hz: frequency of the ripple, twice that of the mains.
            flicker_depth: of the ripple, (maximum - minimum) / (maximum + minimum) as in IEEE 1789.

        Returns:
            float32 (H,): the ripple's mean over each row's exposure.
        """
        middle_s = self._times[index] + self._camera.readout_s * np.asarray(rows) + self.exposure_s / 2
        depth = flicker_depth * np.sinc(flicker_hz * self.exposure_s)
        ripple = depth * np.cos(2 * np.pi * flicker_hz * middle_s + self.mains_phase)
        return np.asarray(1 + ripple, np.float32)

    def _retouch(self, image: Any, index: int) -> Image:
        """Apply the firmware's noise reduction over time and in flat regions, and its sharpening of edges."""
        camera = self._camera
        if camera.trailing:
            if self._last and self._last[0] == index - 1 and self._last[1].shape == image.shape:
                green = cv2.extractChannel(image, 1), cv2.extractChannel(self._last[1], 1)
                change = cv2.blur(cv2.absdiff(*green), (5, 5))
                still = camera.trailing / (1 + (change / 6) ** 2)  # 6 levels: well above the noise of the mean
                image = cv2.blendLinear(image, self._last[1], 1 - still, still)
            self._last = index, image
        smooth: Any = cv2.GaussianBlur(image, (5, 5), 1.0)
        sharpened = 1 + camera.sharpening
        if not camera.smoothing:
            return np.asarray(cv2.addWeighted(image, sharpened, smooth, -camera.sharpening, 0, dtype=cv2.CV_8U))
        detail = image - smooth
        power = detail * detail
        detail *= cv2.divide(power, power + camera.smoothing**2)  # coring: small detail counts as noise
        return np.asarray(cv2.addWeighted(detail, sharpened, smooth, 1, 0, dtype=cv2.CV_8U))


def tone_curve(camera: Camera, linear: Floats) -> Floats:
    """Stored value for linear light, both 0 to 1: sRGB's curve (IEC 61966-2-1) with the camera's gamma and s-curve."""
    stored = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    stored = stored**camera.gamma
    return np.asarray(stored + camera.contrast * (stored * stored * (3 - 2 * stored) - stored))


def _mosaic(image: Floats32) -> Any:
    """Sample an image (H, W, 3) behind a Bayer filter of red, green / green, blue: (H, W)."""
    result: Floats32 = np.empty(image.shape[:2], np.float32)
    for top, left, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        result[top::2, left::2] = image[top::2, left::2, channel]
    return result


def _drift(rng: np.random.Generator, times: Floats, size: float) -> Floats:
    """Slow random curve of SD `size`, 0 at time 0, with little power above about 0.1 Hz: (T,)."""
    knots = np.arange(-15, times[-1] + 20, rng.uniform(5, 10))
    curve = CubicSpline(knots, rng.normal(0, size, len(knots)))
    return np.asarray(curve(times) - curve(0.0))


def _steps(rng: np.random.Generator, times: Floats, size: float, per_minute: float) -> Floats:
    """Levels of SD `size` that change at random instants within about a third of a second, 0 at time 0: (T,)."""
    seconds = float(times[-1]) + 1
    at = np.sort(rng.uniform(0, seconds, rng.poisson(per_minute * seconds / 60)))
    heights = np.diff(rng.normal(0, size, len(at) + 1))
    width_s = rng.uniform(0.05, 0.15, len(at))

    def level(time: Floats) -> Floats:
        return np.asarray((heights * 0.5 * (1 + np.tanh((time[:, np.newaxis] - at) / (2 * width_s)))).sum(axis=1))

    return level(times) - level(np.zeros(1))
