"""`facepulse.rppg` as a stranger calls it: exported names, the example, plain input, one clear line for bad input."""

import doctest
import inspect
import subprocess
import sys

import numpy as np
import pytest

import facepulse
from facepulse import rppg
from ppg_waveforms import camera, variable_onsets

FPS = 30
METHODS = ["green", "ica", "chrom", "pos", "lgi", "pbv", "omit"]


def trace(bpm: float = 72.0, seconds: float = 20.0, fps: float = FPS, noise: float = 0.02) -> np.ndarray:
    """RGB trace (T, 3) of skin with a pulse, 8-bit levels."""
    rng = np.random.default_rng(0)
    pulse = np.sin(2 * np.pi * bpm / 60 * np.arange(round(seconds * fps)) / fps)
    rgb = [170, 120, 95] * (1 - 0.01 * np.outer(pulse, [0.33, 0.77, 0.53]))
    return rgb + rng.normal(0, noise, rgb.shape)


WAVEFORM = rppg.pos(trace(), FPS)
ESTIMATE = rppg.estimate_rate([np.stack([WAVEFORM, WAVEFORM])], FPS)

# Functions of a waveform and a trace, with the remaining arguments filled in.
OF_WAVEFORM = {
    "filtered": rppg.filtered,
    "spectrum": rppg.spectrum,
    "heart_rate": rppg.heart_rate,
    "snr_db": lambda waveform, fps, *protocol: rppg.snr_db(waveform, fps, 72, *protocol),
    "find_beats": lambda waveform, fps: rppg.find_beats(waveform, fps, 72),
    "estimate_rate": lambda waveform, fps, *protocol: rppg.estimate_rate([[waveform, waveform]], fps, *protocol),
    "bandpass": lambda waveform, fps: rppg.bandpass(waveform, fps, 0.7, 4),
    "detrend": lambda waveform, fps: rppg.detrend(waveform),
}
WITH_PROTOCOL = ["filtered", "spectrum", "heart_rate", "snr_db", "estimate_rate"]


def one_line(error: pytest.ExceptionInfo[ValueError]) -> str:
    """The message of an error that a program can catch as ValueError and as FacepulseError, in one line."""
    assert isinstance(error.value, facepulse.FacepulseError)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 160
    return message


# --- names and documentation


def test_every_exported_name_exists_and_is_documented() -> None:
    assert rppg.__all__ == sorted(rppg.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in rppg.__all__:
        exported = getattr(rppg, name)
        if not name.isupper():
            assert len(inspect.getdoc(exported) or "") > 40, name
    assert {method.function for method in rppg.CLASSICAL.values()} == {getattr(rppg, name) for name in METHODS}


@pytest.mark.parametrize("name", ["spectrum", "hrv"])
def test_functions_named_as_their_module_are_functions(name: str) -> None:
    code = (
        f"import facepulse.rppg.{name}, facepulse.rppg.beats\n"
        f"from facepulse.rppg import {name}\n"
        f"assert callable({name}), {name}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_does_not_load_scipy() -> None:
    code = "import sys, facepulse.rppg; print([m for m in ('scipy', 'matplotlib', 'torch') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_example_of_the_module_runs() -> None:
    result = doctest.testmod(rppg)
    assert result.attempted >= 10
    assert result.failed == 0


@pytest.mark.parametrize("name", [*METHODS, *OF_WAVEFORM, "hrv", "calibrated_quality", "with_color_test"])
def test_docstring_gives_the_result_and_the_errors(name: str) -> None:
    function = getattr(rppg, name)
    # The seven methods have one signature, which their module documents.
    text = inspect.getdoc(inspect.getmodule(function) if name in METHODS else function) or ""
    assert "Returns:" in text
    assert "Error: " in text


# --- plain input


@pytest.mark.parametrize("name", METHODS)
def test_trace_gives_the_rate_whatever_its_type(name: str) -> None:
    method = getattr(rppg, name)
    expected = method(trace(), FPS)
    assert (expected.shape, expected.dtype) == ((600,), np.float64)
    assert rppg.heart_rate(expected, FPS) == pytest.approx(72, abs=0.5)
    np.testing.assert_array_equal(method(trace().tolist(), float(FPS)), expected)
    np.testing.assert_array_equal(method(trace(), np.array(30)), expected)
    single = trace().astype(np.float32)
    np.testing.assert_array_equal(method(single, FPS), method(single.astype(np.float64), FPS))
    levels = np.rint(100 * trace()).astype(np.int32)  # unsigned or signed, any width
    np.testing.assert_array_equal(method(levels.astype(np.uint16), FPS), method(levels.astype(np.float64), FPS))
    assert rppg.heart_rate(method(levels, FPS), FPS) == pytest.approx(72, abs=0.5)


@pytest.mark.parametrize("name", OF_WAVEFORM)
def test_waveform_may_be_a_list_integers_or_float32(name: str) -> None:
    function = OF_WAVEFORM[name]
    integers = np.rint(1e4 * WAVEFORM).astype(np.int64)
    for given in (integers.tolist(), integers, integers.astype(np.float32)):
        result, expected = function(given, FPS), function(integers.astype(np.float64), float(FPS))
        if name in ("find_beats", "estimate_rate"):
            result, expected = vars(result), vars(expected)
            assert all(np.array_equal(result[key], expected[key]) for key in expected)
        else:
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", WITH_PROTOCOL)
def test_protocol_is_given_by_name_by_object_or_left_out(name: str) -> None:
    function = OF_WAVEFORM[name]

    def numbers(*protocol: object) -> list[float]:
        result = function(WAVEFORM, FPS, *protocol)
        return np.ravel(result.power if hasattr(result, "power") else result).tolist()

    assert numbers() == numbers("facepulse") == numbers(rppg.PROTOCOLS["facepulse"])
    assert numbers("paper") == numbers(rppg.PROTOCOLS["paper"]) != numbers()


def test_arguments_are_not_changed() -> None:
    rgb = trace()
    times, key_times = np.arange(len(rgb)) / FPS, np.arange(0, 20, 1.0)
    for name in METHODS:
        getattr(rppg, name)(rgb, FPS)
    cleaned = rppg.remove_key_frame_rhythm(rgb, times, key_times)
    assert not np.array_equal(cleaned, rgb)
    np.testing.assert_array_equal(rgb, trace())


def test_regions_colour_and_quality_from_traces_alone() -> None:
    regions = np.stack([trace(noise=0.05), trace(noise=0.06), trace(noise=0.07)], axis=1)
    waveforms = np.stack([rppg.pos(regions[:, k], FPS) for k in range(3)])
    estimate = rppg.with_color_test(rppg.estimate_rate([waveforms.tolist()], FPS), [regions.tolist()], FPS)
    assert estimate.bpm == pytest.approx(72, abs=0.5)
    assert rppg.calibrated_quality(estimate) > 0.9
    noise = np.random.default_rng(1).normal(size=(3, 600))
    assert rppg.calibrated_quality(rppg.estimate_rate([noise], FPS)) < 0.5


def test_beats_and_hrv_of_a_variable_rhythm() -> None:
    waveform = camera(variable_onsets(60, 60), 0.85, 60, snr=20)
    found = rppg.find_beats(waveform, FPS, rppg.heart_rate(waveform, FPS))
    assert found is not None
    statistics = rppg.hrv(found)
    assert statistics is not None
    assert statistics.bpm == pytest.approx(60 / 0.85, abs=1)
    assert statistics.rmssd_ms == pytest.approx(60, abs=8)


# --- bad input

NOT_A_RATE = [0, -30, 1e5, float("nan"), 10**400, "30", None, True, [30, 30], np.full(600, 30.0), [[1], [1, 2]]]


@pytest.mark.parametrize("fps", NOT_A_RATE, ids=range(len(NOT_A_RATE)))
@pytest.mark.parametrize("name", [*METHODS, *(name for name in OF_WAVEFORM if name != "detrend")])
def test_sampling_rate_has_to_be_a_positive_number(name: str, fps: object) -> None:
    of_waveform = OF_WAVEFORM.get(name)
    with pytest.raises(ValueError, match="fps must be a number above zero and at most 4000, not ") as error:
        of_waveform(WAVEFORM, fps) if of_waveform else getattr(rppg, name)(trace(), fps)
    one_line(error)


BAD_TRACES = {
    "(3, T)": (trace().T, r"must be \(T, 3\), not of shape \(3, 600\): transpose it"),
    "RGBA": (np.ones((600, 4)), r"must be \(T, 3\), not of shape \(600, 4\)"),
    "video": (np.ones((60, 8, 8, 3)), r"must be \(T, 3\), not of shape \(60, 8, 8, 3\)"),
    "waveform": (WAVEFORM, r"must be \(T, 3\), not of shape \(600,\)"),
    "None": (None, r"must be .*\(T, 3\)"),
    "text": ([["a", "b", "c"]] * 600, r"must be an array \(T, 3\) of real numbers; this list is not"),
    "ragged": ([[1, 2, 3], [1, 2]], r"must be an array \(T, 3\) of real numbers; this list is not"),
    "complex": (trace() + 0j, r"must be an array \(T, 3\) of real numbers; this ndarray is not"),
    "empty": (np.ones((0, 3)), r"is empty: give an array \(T, 3\)"),
    "NaN": (
        np.where(np.arange(1800).reshape(600, 3) == 40, np.nan, trace()),
        "must be finite, but contains NaN or infinity: interpolate",
    ),
    "centred": (trace() - trace().mean(axis=0), "must have its level: give it as measured, before detrending"),
    "negative": (-trace(), "must have its level"),
    "short": (trace()[:47], r"must last 1.6 s \(48 rows at 30 fps\), got 47"),
}


@pytest.mark.parametrize("bad", BAD_TRACES)
@pytest.mark.parametrize("name", METHODS)
def test_bad_traces_get_one_clear_line(name: str, bad: str) -> None:
    rgb, message = BAD_TRACES[bad]
    with pytest.raises(ValueError, match=f"^rgb {message}") as error:
        getattr(rppg, name)(rgb, FPS)
    one_line(error)
    assert isinstance(error.value, facepulse.TooShortError) == (bad == "short")


BAD_WAVEFORMS = {
    "trace": (trace(), r"not of shape \((2, )?(2, )?600, 3\)|of real numbers|is not"),
    "None": (None, r"must be|of real numbers"),
    "text": (["a"] * 600, "of real numbers; this list is not"),
    "complex": (WAVEFORM + 0j, "of real numbers; this (ndarray|list) is not"),
    "infinite": (np.append(WAVEFORM, np.inf), "contains NaN or infinity: interpolate the gap or cut it out"),
    "empty": ([], "is empty: give an array"),
}


@pytest.mark.parametrize("bad", BAD_WAVEFORMS)
@pytest.mark.parametrize("name", OF_WAVEFORM)
def test_bad_waveforms_get_one_clear_line(name: str, bad: str) -> None:
    waveform, message = BAD_WAVEFORMS[bad]
    if bad == "trace" and name in ("bandpass", "detrend"):
        assert OF_WAVEFORM[name](waveform, FPS).shape == waveform.shape  # these two filter column by column
        return
    with pytest.raises(ValueError, match=message) as error:
        OF_WAVEFORM[name](waveform, FPS)
    one_line(error)


@pytest.mark.parametrize("name", WITH_PROTOCOL)
def test_short_waveforms_and_unknown_protocols_get_one_clear_line(name: str) -> None:
    function = OF_WAVEFORM[name]
    with pytest.raises(facepulse.TooShortError, match="has 8 samples, too few to measure") as error:
        function(WAVEFORM[:8], FPS)
    one_line(error)
    for protocol in ("toolbox-2019", None, 7, ["paper"]):
        with pytest.raises(ValueError, match=r"no protocol is called .*: choose one of paper, toolbox-2023") as error:
            function(WAVEFORM, FPS, protocol)
        one_line(error)


@pytest.mark.parametrize("protocol", rppg.PROTOCOLS)
def test_too_low_a_frame_rate_for_a_heart_is_named(protocol: str) -> None:
    with pytest.raises(facepulse.UsageError, match="fps") as error:
        rppg.heart_rate(WAVEFORM, 1, protocol)
    one_line(error)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rppg.snr_db(WAVEFORM, FPS, float("nan")), "reference_bpm must be a number above zero, not nan"),
        (lambda: rppg.find_beats(WAVEFORM, FPS, -1), "bpm must be a number above zero, not -1"),
        (lambda: rppg.find_beats(WAVEFORM, FPS, 1200), "bpm must be below 900 at 30 fps"),
        (lambda: rppg.hrv(None), "beats must be Beats as from find_beats, not NoneType"),
        (lambda: rppg.hrv(np.arange(30)), "beats must be Beats as from find_beats, not ndarray"),
        (lambda: rppg.calibrated_quality(72.0), "estimate must be a RateEstimate as from estimate_rate, not float"),
        (lambda: rppg.with_color_test(72.0, [], FPS), "estimate must be a RateEstimate"),
        (lambda: rppg.with_color_test(ESTIMATE, [trace()], FPS), r"must be \(T, K, 3\), not of shape \(600, 3\)"),
        (lambda: rppg.with_color_test(ESTIMATE, [np.ones((9, 1, 3))], FPS), "the RGB of at least two regions"),
        (lambda: rppg.with_color_test(ESTIMATE, None, FPS), r"segments must be a list of arrays \(T, K, 3\)"),
        (lambda: rppg.estimate_rate([], FPS), r"segments must be a list of arrays \(K, T\), one for each segment"),
        (lambda: rppg.estimate_rate(None, FPS), r"segments must be a list of arrays \(K, T\)"),
        (lambda: rppg.estimate_rate(np.stack([WAVEFORM] * 2), FPS), r"must be \(K, T\), not of shape \(600,\)"),
        (lambda: rppg.estimate_rate([[WAVEFORM]], FPS), "at least two regions"),
        (lambda: rppg.estimate_rate([[WAVEFORM] * 2], FPS, networks=[WAVEFORM[1:]]), "one waveform for each segment"),
        (lambda: rppg.detrend(trace()[None]), r"x must be \(T,\) or \(T, k\), not of shape \(1, 600, 3\)"),
        (lambda: rppg.detrend(WAVEFORM, 0), r"regularization must be a number above zero and at most 2e\+07, not 0"),
        (lambda: rppg.bandpass(WAVEFORM, FPS, 4, 0.7), "band 4-0.7 Hz is empty at 30 fps"),
        (lambda: rppg.bandpass(WAVEFORM, FPS, 0, 4), "low_hz must be a number above zero, not 0"),
        (lambda: rppg.bandpass(WAVEFORM, FPS, 0.7, 4, 1.5), "order must be a whole number, not 1.5"),
        (lambda: rppg.remove_key_frame_rhythm(trace(), [0, 1], []), "same length, not 600 and 2"),
        (lambda: rppg.remove_key_frame_rhythm(trace(), np.arange(600)[::-1], []), "times must be ascending seconds"),
        (lambda: rppg.coincides_with_key_frames(60, [0, 2, 1], 20), "key_times must be ascending seconds"),
        (lambda: rppg.coincides_with_key_frames(60, None, 20), r"key_times must be an array \(T,\)"),
        (lambda: rppg.calibrated_quality(ESTIMATE, "POS"), "model must be a QualityModel, not str"),
        (lambda: rppg.pos(np.ones((60, 3)), 1.2), "fps must be above 1.33, two samples a beat at 40 bpm, not 1.2"),
        (
            lambda: rppg.heart_rate(WAVEFORM, 30, rppg.Beats),
            "no protocol is called <class 'facepulse.rppg.beats.Beats'>",
        ),
        (lambda: rppg.coincides_with_key_frames(60, [0, 1, 2], 0), "seconds must be a number above zero"),
        (lambda: rppg.Protocol("mine", 2, 1, (40, 240), 100, "welch"), "band 2 to 1 of protocol 'mine' is empty"),
        (lambda: rppg.Protocol("mine", 1, 2, (40, 40), 100, "welch"), "search range 40 to 40 of protocol 'mine'"),
        (lambda: rppg.Protocol("mine", 1, 2, (40, 240), 100, "music"), "choose one of periodogram, welch, harmonic"),
        (lambda: rppg.Protocol("mine", 1, 2, (40, 240), -1, "welch"), "regularization must be a number above zero"),
    ],
)
def test_other_bad_arguments_get_one_clear_line(call, message: str) -> None:
    with pytest.raises(facepulse.UsageError, match=message) as error:
        call()
    one_line(error)
