"""DeepPhys and TS-CAN: number of parameters, temporal shift, and config."""

import pytest

torch = pytest.importorskip("torch")

from facepulse.models import TSCAN, DeepPhys, DeepPhysConfig, EfficientPhysConfig, TSCANConfig  # noqa: E402
from facepulse.models.deepphys import SegmentShift  # noqa: E402
from facepulse.training.losses import negative_pearson  # noqa: E402

SMALL = {"size": 36, "width": 6, "hidden": 8}


@pytest.mark.parametrize(("size", "parameters"), [(36, 532_899), (96, 4_096_419), (128, 7_504_291)])
@pytest.mark.parametrize(("network", "config"), [(DeepPhys, DeepPhysConfig), (TSCAN, TSCANConfig)])
def test_number_of_parameters_follows_from_the_size_of_frames(network, config, size, parameters) -> None:
    with torch.device("meta"):
        built = network(config(size=size))
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters
    assert len(built.state_dict()) == 24


def test_shift_moves_by_one_frame_within_its_segment() -> None:
    x = torch.arange(1.0, 7).reshape(1, 1, 6, 1, 1).expand(-1, 7, -1, -1, -1)
    shifted = SegmentShift(3)(x)[0, :, :, 0, 0].tolist()
    after, before, still = [2, 3, 0, 5, 6, 0], [0, 1, 2, 0, 4, 5], [1, 2, 3, 4, 5, 6]
    assert shifted == [after] * 2 + [before] * 2 + [still] * 3


def test_receptive_field_is_two_frames_without_a_shift_and_a_segment_with_it() -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (1, 3, 30, 36, 36), dtype=torch.uint8)
    other = frames.clone()
    other[:, :, 14] = other[:, :, 14].flip(2)  # nearly the same mean and variance of the clip
    changed = {}
    for network in (DeepPhys(DeepPhysConfig(**SMALL)), TSCAN(TSCANConfig(**SMALL))):
        with torch.no_grad():
            before, after = network.eval()(frames), network(other)
        changed[type(network)] = torch.nonzero((after - before)[0].abs() > 0.02 * before.std()).flatten().tolist()
    assert 13 in changed[DeepPhys]
    assert set(changed[DeepPhys]) <= {13, 14}
    assert len(changed[TSCAN]) > 2
    assert set(changed[TSCAN]) <= set(range(10, 20))


@pytest.mark.slow
def test_deepphys_can_be_trained_on_the_derivative_of_a_pulse(pulsating_clip) -> None:
    torch.manual_seed(0)
    network = DeepPhys(DeepPhysConfig(**SMALL, dropout=0.0, dense_dropout=0.0))
    clip, wave = pulsating_clip(72, 60, size=36)
    frames = torch.from_numpy(clip).permute(3, 0, 1, 2)[None]
    derivative = torch.from_numpy(wave).diff(append=torch.tensor([0.0])).float()[None, :-1]
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = negative_pearson(network(frames)[:, :-1], derivative)
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (DeepPhysConfig, {"size": 31}, "size must be at least 32 pixels, not 31"),
        (DeepPhysConfig, {"size": 72.0}, "size must be of type int"),
        (DeepPhysConfig, {"width": 0}, "width and hidden must be at least 1, not 0 and 128"),
        (DeepPhysConfig, {"dropout": 1.0}, "dropout must be a probability below 1, not 1"),
        (TSCANConfig, {"dense_dropout": -0.1}, "dense_dropout must be a probability"),
        (TSCANConfig, {"segment": 1}, "segment must be at least 2 frames, not 1"),
        (EfficientPhysConfig, {"segment": 1}, "segment must be at least 2 frames, not 1"),
    ],
)
def test_config_that_cannot_be_built_is_refused(config, fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        config(**fields)
