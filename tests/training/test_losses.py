"""Losses against plain loops in float64 and values of the published code; gradients; flat signals."""

import math
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.signal import butter, filtfilt, welch  # noqa: E402

from facepulse.training.losses import (  # noqa: E402
    HybridLoss,
    frequency_cross_entropy,
    frequency_cross_entropy_as_published,
    heart_rate_kl,
    heart_rate_kl_as_published,
    mse,
    negative_pearson,
    pulse_spectrum,
)

FPS = 30.0


def tone(*bpm, length=160, dtype=torch.float64):
    seconds = torch.arange(length, dtype=dtype) / FPS
    return torch.sin(2 * math.pi * torch.tensor(bpm, dtype=dtype)[:, None] / 60 * seconds)


@pytest.fixture
def waveforms():
    """Three predictions and targets, of any level and unit."""
    generator = torch.Generator().manual_seed(0)
    target = 5 + 3 * tone(52, 88.5, 171) + torch.randn(3, 160, dtype=torch.float64, generator=generator)
    return 0.2 * target + torch.randn(3, 160, dtype=torch.float64, generator=generator), target


LOSSES = {
    "mse": mse,
    "pearson": negative_pearson,
    "cross_entropy": lambda x, y: frequency_cross_entropy(x, y, FPS),
    "kl": lambda x, y: heart_rate_kl(x, y, FPS),
    "hybrid": lambda x, y: HybridLoss(30, FPS)(x, y, epoch=7),
    "cross_entropy_as_published": lambda x, y: frequency_cross_entropy_as_published(x, y, FPS),
    "kl_as_published": lambda x, y: heart_rate_kl_as_published(x, y, FPS),
    "hybrid_as_published": lambda x, y: HybridLoss(30, FPS, as_published_code=True)(x, y, epoch=7),
}


# References: one clip, plain Python, from the equations and from the description of the cited code.


def looped_pearson(x, y):
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    square_x, square_y = sum((a - mean_x) ** 2 for a in x), sum((b - mean_y) ** 2 for b in y)
    return 1 - top / (math.sqrt(square_x) * math.sqrt(square_y))


def looped_power(x, bpm):
    """Power at each heart rate: one sine and one cosine sum over the Hann-windowed clip."""
    length, mean = len(x), sum(x) / len(x)
    windowed = [(a - mean) * (0.5 - 0.5 * math.cos(2 * math.pi * n / (length - 1))) for n, a in enumerate(x)]
    power = []
    for rate in bpm:
        k = rate / 60 * length / FPS
        sine = sum(a * math.sin(2 * math.pi * k * n / length) for n, a in enumerate(windowed))
        cosine = sum(a * math.cos(2 * math.pi * k * n / length) for n, a in enumerate(windowed))
        power.append(sine**2 + cosine**2)
    return power


def looped_shares(x):
    power = looped_power(x, range(40, 181))
    return [value / sum(power) for value in power]


def looped_heart_rate(y):
    return 40 + int(np.argmax(looped_power(y, range(40, 181))))


def looped_cross_entropy(x, y):
    return -math.log(looped_shares(x)[looped_heart_rate(y) - 40])


def looped_kl(x, y):
    mean = looped_heart_rate(y)
    normal = [math.exp(-((bpm - mean) ** 2) / (2 * 3.0**2)) for bpm in range(40, 181)]
    total = sum(normal)
    truth = [value / total for value in normal]
    return sum(g * math.log(g / p) for g, p in zip(truth, looped_shares(x), strict=True) if g > 0)


def coded_spectrum(x):
    """Dense detrending, Butterworth, Welch: bpm and power strictly inside 45-150."""
    length = len(x)
    second = np.zeros((length - 2, length))
    for row in range(length - 2):
        second[row, row : row + 3] = 1, -2, 1
    smooth = np.linalg.inv(np.eye(length) + 100**2 * second.T @ second) @ x
    b, a = butter(1, [0.75 / (FPS / 2), 2.5 / (FPS / 2)], btype="bandpass")
    hz, power = welch(filtfilt(b, a, x - smooth), FPS, nperseg=min(length - 1, 256), nfft=3333)
    inside = (60 * hz > 45) & (60 * hz < 150)
    return 60 * hz[inside], power[inside]


def coded_cross_entropy(x, y):
    power = looped_power(x, range(45, 150))
    logits = [value / sum(power) for value in power]
    bpm, reference = coded_spectrum(y)
    return -logits[math.floor(bpm[reference.argmax()] - 45)] + math.log(sum(math.exp(p) for p in logits))


def coded_kl(x, y):
    peaks = [int(coded_spectrum(clip)[1].argmax()) for clip in (x, y)]
    densities = []
    for peak in peaks:
        values = [math.exp(-((i - peak) ** 2) / (2 * 3.0**2)) / (3.0 * math.sqrt(2 * math.pi)) for i in range(194)]
        densities.append([max(value, 1e-15) for value in values])
    return sum(p * (math.log(p) - math.log(q)) for q, p in zip(*densities, strict=True))


REFERENCES = {
    "mse": lambda x, y: sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / len(x),
    "pearson": looped_pearson,
    "cross_entropy": looped_cross_entropy,
    "kl": looped_kl,
    "hybrid": lambda x, y: looped_pearson(x, y) + 1.5 ** (6 / 30) * (looped_cross_entropy(x, y) + looped_kl(x, y)),
    "cross_entropy_as_published": coded_cross_entropy,
    "kl_as_published": coded_kl,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_loss_equals_its_equation(waveforms, name):
    prediction, target = waveforms
    if name.endswith("as_published"):
        target = target.roll(1, 0)
        prediction, target = prediction[:2], target[1:]  # inside 45-150 bpm, and predictions that are off
    pairs = zip(prediction.tolist(), target.tolist(), strict=True)
    expected = np.mean([REFERENCES[name](np.array(x), np.array(y)) for x, y in pairs])
    # The default spectrum keeps a millionth of the power in every bin, which the equations do not have.
    assert float(LOSSES[name](prediction, target)) == pytest.approx(
        expected, rel=2e-3 if "as_published" not in name else 1e-7
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "kl_as_published"])
def test_gradient_equals_finite_differences(waveforms, name):
    prediction, target = waveforms
    prediction, target = prediction[:2, :80].clone().requires_grad_(), target[:2, :80]
    # As published, the heart-rate term is piecewise constant: small steps stay on one level.
    assert torch.autograd.gradcheck(LOSSES[name], (prediction, target), eps=1e-6)


def test_heart_rate_loss_has_a_gradient_by_default_and_none_as_published(waveforms, monkeypatch):
    prediction, target = waveforms
    prediction = prediction.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(heart_rate_kl(prediction, target, FPS), prediction)
    assert (gradient.abs().amax(1) > 1e-3).all()
    assert not heart_rate_kl_as_published(prediction, target, FPS).requires_grad

    loss = HybridLoss(30, FPS, as_published_code=True)
    whole = loss(prediction, target, epoch=1)
    (gradient_of_whole,) = torch.autograd.grad(whole, prediction)
    monkeypatch.setattr("facepulse.training.losses.heart_rate_kl_as_published", lambda *_: 0.0)
    without = loss(prediction, target, epoch=1)
    (gradient_without,) = torch.autograd.grad(without, prediction)
    assert whole.item() > without.item() + 1
    assert (gradient_of_whole == gradient_without).all()


def test_losses_as_published_reproduce_values_of_the_published_code():
    right, wrong = (float(frequency_cross_entropy_as_published(tone(72), tone(bpm), FPS)) for bpm in (72, 82))
    assert (round(right, 3), round(wrong, 3)) == (4.605, 4.643)
    bin_bpm = 60 * FPS / 3333
    values = [float(heart_rate_kl_as_published(tone(72), tone(72 + bins * bin_bpm), FPS)) for bins in (0, 1, 10)]
    assert [round(value, 3) for value in values] == [0.0, 0.056, 5.556]
    assert float(heart_rate_kl_as_published(tone(60), tone(140), FPS)) == pytest.approx(32.0, abs=0.05)


def test_default_losses_of_a_correct_and_a_wrong_heart_rate_differ_by_a_nat():
    right, wrong = (float(frequency_cross_entropy(tone(72), tone(bpm), FPS)) for bpm in (72, 82))
    assert wrong - right > 1.0


@pytest.mark.parametrize("bpm", [40, 41, 60, 100, 149, 150, 179, 180])
def test_losses_are_valid_from_40_to_180_bpm(bpm):
    prediction, reference = tone(bpm, length=300), torch.tensor([float(bpm)])
    peak = 40 + int(pulse_spectrum(prediction, FPS).argmax())
    assert abs(peak - bpm) <= 1
    target = tone(100, length=300)  # the caller's heart rate counts, not the target's
    others = [frequency_cross_entropy(prediction, target, FPS, torch.tensor([float(other)])) for other in (70, 120)]
    assert frequency_cross_entropy(prediction, target, FPS, reference) < min(others)
    assert heart_rate_kl(prediction, target, FPS, reference) < heart_rate_kl(tone(70), tone(70), FPS, reference)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("flat", ["prediction", "target", "both"])
@pytest.mark.parametrize("level", [0.0, 0.3, 1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_flat_signals_give_finite_losses_and_gradients(name, level, flat, dtype):
    prediction, target = tone(60, 90, dtype=dtype), tone(61, 88, dtype=dtype)
    if flat != "target":
        prediction[1] = level
    if flat != "prediction":
        target[0] = level
    prediction.requires_grad_()
    loss = LOSSES[name](prediction, target)
    assert loss.isfinite()
    if loss.requires_grad:
        loss.backward()
        assert prediction.grad.isfinite().all()


def test_zero_prediction_has_a_uniform_spectrum():
    spectrum = pulse_spectrum(torch.zeros(1, 160), FPS)
    torch.testing.assert_close(spectrum, torch.full((1, 141), 1 / 141))
    assert float(frequency_cross_entropy(torch.zeros(1, 160), tone(72, dtype=torch.float32), FPS)) == pytest.approx(
        math.log(141)
    )


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "mse"])
def test_loss_is_independent_of_unit_and_offset_and_of_other_clips(waveforms, name):
    prediction, target = waveforms
    loss = LOSSES[name]
    assert float(loss(3 * prediction + 7, 0.1 * target - 2)) == pytest.approx(float(loss(prediction, target)), rel=1e-5)
    alone = (
        [float(loss(prediction[i : i + 1], target[i : i + 1])) for i in range(3)] if "as_published" not in name else []
    )
    if alone:
        assert float(loss(prediction, target)) == pytest.approx(np.mean(alone))


def test_spectrum_is_computed_in_full_precision_under_autocast(waveforms):
    prediction, target = (waveform.float() for waveform in waveforms)
    expected = heart_rate_kl(prediction, target, FPS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(heart_rate_kl(prediction, target, FPS), expected)


def test_beta_grows_from_1_to_1_48():
    loss = HybridLoss(epochs=30, fps=FPS)
    assert (loss.alpha, loss.lambda_, loss.theta) == (1.0, 1.0, 1.5)
    betas = [loss.beta(epoch) for epoch in range(1, 31)]
    assert betas == [1.5 ** ((epoch - 1) / 30) for epoch in range(1, 31)]
    assert (betas[0], round(betas[-1], 2)) == (1.0, 1.48)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mse(torch.zeros(8), torch.zeros(8)), r"prediction must be \(B, T\), not \(8,\)"),
        (lambda: negative_pearson(tone(60, 70), tone(60)), r"target must be \(2, 160\) as prediction, not \(1, 160\)"),
        (lambda: frequency_cross_entropy(tone(60), tone(60), 0), "fps must be positive, not 0"),
        (
            lambda: heart_rate_kl(tone(60), tone(60), FPS, torch.tensor([60.0, 61.0])),
            r"reference_bpm must be \(B,\) = \(1,\), not \(2,\)",
        ),
        (
            lambda: frequency_cross_entropy(tone(60), tone(60), FPS, torch.tensor([190.0])),
            r"reference_bpm must lie in 40-180, not \[190.0\]",
        ),
        (lambda: heart_rate_kl(tone(60), tone(60), FPS, torch.tensor([math.nan])), "must lie in 40-180, not"),
        (lambda: HybridLoss(30, FPS).beta(0), r"epoch must be in 1..30, not 0"),
        (lambda: HybridLoss(30, FPS)(tone(60), tone(60), epoch=31), "epoch must be in 1..30, not 31"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_negative_pearson_is_independent_of_the_unit(scale):
    waveform = torch.sin(torch.arange(160) * 2 * math.pi * 1.2 / 30)[None]
    assert float(negative_pearson(scale * waveform, waveform / scale)) == pytest.approx(0, abs=1e-5)


def test_target_that_is_not_finite_is_refused():
    waveform = torch.sin(torch.arange(160.0) / 4)[None]
    broken = waveform.clone()
    broken[0, 7] = float("nan")
    with pytest.raises(ValueError, match="target must be finite"):
        heart_rate_kl(waveform, broken, 30)
    with pytest.raises(ValueError, match="at least two samples"):
        heart_rate_kl(waveform[:, :1], waveform[:, :1], 30)
