"""EfficientPhys: number of parameters, and differences from the toolbox's implementation."""

import pytest

torch = pytest.importorskip("torch")

from facepulse.models import EfficientPhys, EfficientPhysConfig  # noqa: E402

SMALL = EfficientPhysConfig(size=36, width=6, hidden=8)


def test_number_of_parameters_follows_from_the_size_of_frames() -> None:
    with torch.device("meta"):
        built = EfficientPhys(EfficientPhysConfig(size=128))
    assert sum(parameter.numel() for parameter in built.parameters()) == 7_438_729
    assert len(built.state_dict()) == 21


def test_waveform_depends_on_every_frame_of_its_clip_and_on_no_other_clip() -> None:
    torch.manual_seed(0)
    network = EfficientPhys(SMALL).eval()
    frames = torch.randint(0, 256, (2, 3, 20, 36, 36), dtype=torch.uint8)
    with torch.no_grad():
        together, alone = network(frames), network(frames[:1])
        assert together.shape == (2, 20)
        torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-6)
        frames[0, :, -1] = frames[0, :, -1].flip(1)  # the last frame is in the last difference but one
        assert (network(frames)[0, -2] - together[0, -2]).abs() > 1e-4


def test_exposure_and_offset_of_a_clip_make_no_difference() -> None:
    torch.manual_seed(0)
    network = EfficientPhys(SMALL).eval()
    frames = 20 + 100 * torch.rand(1, 3, 20, 36, 36)
    with torch.no_grad():
        torch.testing.assert_close(network(1.5 * frames + 10), network(frames), rtol=0, atol=1e-4)
