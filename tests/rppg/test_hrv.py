"""HRV of synthetic beats by hand, and of a phone camera against a chest strap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepulse.rppg.beats import Beats, find_beats
from facepulse.rppg.hrv import hrv
from facepulse.rppg.protocols import PROTOCOLS
from facepulse.rppg.spectrum import heart_rate, snr_db
from ppg_waveforms import camera, constant_rate, measured_beats, variable_onsets
from shared_data import SHARED_DATA

FACEPULSE = PROTOCOLS["facepulse"]
WELLTORY = SHARED_DATA / "welltory_ppg" / "data"
needs_welltory = pytest.mark.skipif(not WELLTORY.is_dir(), reason=f"sample data {WELLTORY} is absent")


@pytest.mark.slow
@settings(max_examples=40)
@given(
    bpm=st.floats(50, 180),
    snr=st.floats(0, 25),
    fps=st.sampled_from([15.0, 30.0, 60.0]),
    jitter=st.sampled_from([0.0, 0.5]),
    seconds=st.floats(20, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_constant_rate_has_no_variability_or_it_is_withheld(bpm, snr, fps, jitter, seconds, seed):
    beats = find_beats(constant_rate(bpm, seconds, snr=snr, fps=fps, jitter_s=jitter / fps, seed=seed), fps, bpm)
    result = None if beats is None else hrv(beats)
    if result is not None:
        assert result.rmssd_ms is None or result.rmssd_ms < 15
        assert result.sdnn_ms is None or result.sdnn_ms < 15
        assert result.pnn50 is None or result.pnn50 < 2


@pytest.mark.parametrize("bpm", [50, 75, 110, 150])
def test_clean_constant_rate_is_not_withheld(bpm):
    result = hrv(measured_beats(constant_rate(bpm, 40, snr=25)))
    assert result.rmssd_ms < 10
    assert result.sdnn_ms < 10
    assert result.bpm == pytest.approx(bpm, abs=0.1)
    assert result.pnn50 == 0


def test_too_few_frames_per_beat_withhold_variability():
    result = hrv(measured_beats(constant_rate(170, 40, snr=25, fps=15), 15))
    assert result.bpm == pytest.approx(170, abs=0.5)
    assert result.rmssd_ms is None
    assert "8 frames per beat, has 5.3" in result.withheld["sdnn_ms"]


def test_variability_in_noise_is_withheld_with_its_reason():
    result = hrv(measured_beats(constant_rate(70, 60, snr=5)))
    assert (result.rmssd_ms, result.sdnn_ms, result.pnn50, result.lf_hf) == (None, None, None, None)
    assert result.withheld["rmssd_ms"].startswith("estimated noise floor of RMSSD")
    assert result.bpm == pytest.approx(70, abs=1)


@pytest.mark.parametrize("rmssd_ms", [40, 60, 80])
@pytest.mark.parametrize("seed", [0, 1])
def test_known_variability_is_measured(rmssd_ms, seed):
    onsets_s = variable_onsets(rmssd_ms, 60, seed=seed)
    inside = onsets_s[(onsets_s > 0) & (onsets_s < 60)]
    intervals_ms = 1e3 * np.diff(inside)
    result = hrv(measured_beats(camera(onsets_s, 0.85, 60, snr=25, seed=seed)))
    assert result.rmssd_ms == pytest.approx(np.sqrt(np.mean(np.diff(intervals_ms) ** 2)), rel=0.15)
    assert result.sdnn_ms == pytest.approx(intervals_ms.std(ddof=1), rel=0.15)
    assert result.bpm == pytest.approx(60e3 / intervals_ms.mean(), abs=0.7)
    assert result.kept > 0.9


def exact(intervals_ms, duration_s=None, **changes):
    times_s = np.concatenate([[0.0], np.cumsum(intervals_ms) / 1e3])
    known = {"accepted": np.ones(len(times_s), bool), "jitter_ms": 0.0, "fps": 30.0} | changes
    return Beats(times_s=times_s, duration_s=duration_s or float(times_s[-1]), **known)


def test_statistics_equal_those_by_hand():
    intervals_ms = np.tile([800.0, 860.0, 830.0, 790.0], 25)
    result = hrv(exact(intervals_ms))
    differences_ms = np.diff(intervals_ms)
    assert result.bpm == pytest.approx(60e3 / 820)
    assert result.rmssd_ms == pytest.approx(np.sqrt(np.mean(differences_ms**2)))
    assert result.sdnn_ms == pytest.approx(intervals_ms.std(ddof=1))
    assert result.pnn50 == pytest.approx(100 * np.mean(np.abs(differences_ms) > 50))
    assert (result.kept, result.rmssd_floor_ms) == (1, 0)


@pytest.mark.parametrize(("hz", "slow"), [(0.1, True), (0.25, False)])
def test_lf_hf_separates_slow_from_respiratory_variability(hz, slow):
    times_s = np.cumsum(np.full(150, 0.8))
    result = hrv(exact(800 + 40 * np.sin(2 * np.pi * hz * times_s)))
    assert result.lf_hf > 10 if slow else result.lf_hf < 0.1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (4.9, None),
        (5, set()),
        (19.9, set()),
        (20, {"rmssd_ms", "sdnn_ms"}),
        (30, {"rmssd_ms", "sdnn_ms", "pnn50"}),
        (54.9, {"rmssd_ms", "sdnn_ms", "pnn50"}),
        (55, {"rmssd_ms", "sdnn_ms", "pnn50", "lf_hf"}),
    ],
)
def test_each_statistic_has_a_minimum_length(seconds, shown):
    intervals_ms = np.tile([800.0, 860.0, 830.0, 790.0, 850.0], 20)[: int(seconds / 0.84)]
    result = hrv(exact(intervals_ms, seconds))
    if shown is None:
        assert result is None
        return
    names = {"rmssd_ms", "sdnn_ms", "pnn50", "lf_hf"}
    assert {name for name in names if getattr(result, name) is not None} == shown
    assert set(result.withheld) == names - shown
    assert result.bpm == pytest.approx(72.7, abs=0.7)


def test_missed_false_and_rejected_beats_do_not_count():
    intervals_ms = np.tile([800.0, 860.0, 830.0, 790.0], 20)
    clean = hrv(exact(intervals_ms))
    times_s = np.concatenate([[0.0], np.cumsum(intervals_ms) / 1e3])
    times_s = np.sort(np.append(np.delete(times_s, 30), times_s[50] + 0.3))
    accepted = np.ones(len(times_s), bool)
    times_s[10] += 0.15
    accepted[10] = False
    damaged = hrv(Beats(times_s, accepted, jitter_ms=0.0, duration_s=66.0, fps=30.0))
    assert damaged.rmssd_ms == pytest.approx(clean.rmssd_ms, rel=0.05)
    assert damaged.sdnn_ms == pytest.approx(clean.sdnn_ms, rel=0.05)
    assert damaged.bpm == pytest.approx(clean.bpm, abs=0.3)
    assert damaged.kept == pytest.approx(75 / 80, abs=0.02)


def test_intervals_and_differences_across_an_interruption_do_not_count():
    """Two rhythms, with an interruption between them that lasts as long as an interval of the first."""
    first, second = np.full(30, 1000.0), np.full(30, 900.0)
    interruption = ((30.1, 30.9),)
    apart = hrv(exact(np.concatenate([first, [1000.0], second]), interruptions=interruption))
    joined = hrv(exact(np.concatenate([first, [1000.0], second])))
    assert (apart.rmssd_ms, apart.pnn50, apart.kept) == (pytest.approx(0, abs=1e-6), 0, 1)
    assert joined.rmssd_ms > 10
    assert apart.sdnn_ms == pytest.approx(np.concatenate([first, second]).std(ddof=1))
    assert apart.bpm == pytest.approx(60e3 / 950)
    assert apart.lf_hf is None
    assert "the waveform is interrupted" in apart.withheld["lf_hf"]


def test_interruptions_do_not_count_as_length():
    intervals_ms = np.tile([800.0, 860.0, 830.0, 790.0], 6)
    result = hrv(exact(np.concatenate([intervals_ms[:12], [40e3], intervals_ms[12:]]), interruptions=((10, 50),)))
    assert result.withheld["pnn50"] == "needs 30 s, has 19.7 s"
    assert result.withheld["rmssd_ms"] == "needs 20 s, has 19.7 s"


def test_noise_floor_follows_from_the_jitter():
    """A successive difference combines three beat times with weights 1, -2 and 1, hence variance 6."""
    result = hrv(exact(np.tile([800.0, 1000.0], 40), jitter_ms=5.0))
    assert result.rmssd_floor_ms == pytest.approx(np.sqrt(6) * 5.0)
    assert result.rmssd_ms == pytest.approx(200.0)


def test_large_jitter_withholds_even_a_large_variability():
    result = hrv(exact(np.tile([800.0, 1000.0], 40), jitter_ms=11.0))
    assert result.rmssd_ms is None
    assert "noise floor" in result.withheld["rmssd_ms"]


def test_too_few_accepted_intervals_withhold_variability():
    accepted = np.ones(81, bool)
    accepted[::4] = False
    result = hrv(exact(np.full(80, 800.0), accepted=accepted))
    assert result.rmssd_ms is None
    assert "50 % of the beat intervals are accepted, needs 60 %" in result.withheld["rmssd_ms"]


def test_noise_without_a_pulse_has_no_variability():
    noise = find_beats(np.random.default_rng(0).normal(size=1800), 30, 70)
    result = hrv(noise)
    assert result.rmssd_ms is None
    assert "of the beat intervals are accepted" in result.withheld["rmssd_ms"]


@needs_welltory
def test_phone_camera_against_a_chest_strap(capsys):
    """The intervals of the strap have no times, so whole recordings are compared, to within a beat or two."""
    bpm_errors, rmssd_errors, sdnn_errors = [], [], []
    lines = ["recording channel  bpm / strap   RMSSD / strap  floor  SDNN / strap  kept"]
    for folder in sorted(WELLTORY.iterdir()):
        table = np.genfromtxt(folder / "PPG.csv", delimiter=",", names=True)
        strap_ms = np.array((folder / "RR.txt").read_text().split(), dtype=float)
        times_s = table["time"] / 1e3
        clock_s = np.arange(times_s[0], times_s[-1], 1 / 30)
        # Blood absorbs light, so systole is a minimum of brightness.
        channels = {name: -np.interp(clock_s, times_s, table[name]) for name in "RGB"}
        rates = {name: heart_rate(waveform, 30, FACEPULSE) for name, waveform in channels.items()}
        best = max(channels, key=lambda name: snr_db(channels[name], 30, rates[name], FACEPULSE))
        result = hrv(find_beats(channels[best], 30, rates[best]))
        strap_bpm, strap_rmssd = 60e3 / strap_ms.mean(), np.sqrt(np.mean(np.diff(strap_ms) ** 2))
        strap_sdnn = strap_ms.std(ddof=1)
        bpm_errors.append(result.bpm - strap_bpm)
        if result.rmssd_ms is not None:
            rmssd_errors.append(result.rmssd_ms / strap_rmssd - 1)
        if result.sdnn_ms is not None:
            sdnn_errors.append(result.sdnn_ms / strap_sdnn - 1)
        rmssd, sdnn = ("withheld" if value is None else f"{value:.1f}" for value in (result.rmssd_ms, result.sdnn_ms))
        lines.append(
            f"{folder.name}    {best}   {result.bpm:6.2f} {strap_bpm:6.2f} {rmssd:>9} {strap_rmssd:6.1f}"
            f" {result.rmssd_floor_ms:6.1f} {sdnn:>8} {strap_sdnn:6.1f}  {result.kept:.2f}"
        )
    mae = np.abs(bpm_errors).mean()
    with capsys.disabled():
        print("", *lines, f"bpm MAE {mae:.3f}, worst {np.abs(bpm_errors).max():.2f}", sep="\n")
    assert len(bpm_errors) == 11
    assert mae < 0.5
    assert np.abs(bpm_errors).max() < 1.5
    assert len(rmssd_errors) >= 2
    assert len(sdnn_errors) >= 4
    assert np.abs(rmssd_errors).max() < 0.35
    assert np.abs(sdnn_errors).max() < 0.15
