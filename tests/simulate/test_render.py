"""Rendered frames of a person: blood volume, light and geometry."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colour_science import SENSORS
from facepulse.rppg.classical import PULSE_SIGNATURE
from facepulse.simulate.light import Lighting, Source
from facepulse.simulate.render import Pose, Renderer, View, pulse_arrival, rotation_matrix
from simulated_people import at, marked, middle, needs_heads, person, surface

pytestmark = needs_heads

SIDE = 96
WHOLE = View(SIDE, SIDE, SIDE * 0.55 / 0.187, 1.0, (0.0, 0.0), (0.0, 0.0, float(SIDE), float(SIDE)), (SIDE, SIDE))
AHEAD = np.array([0.0, 0.3, 1.0]) / np.hypot(0.3, 1.0)
SENSOR = SENSORS["dslr"]
angles = st.floats(-0.4, 0.4)


def lit(softness=0.6, spectra=("daylight",)):
    return Lighting(tuple(Source(spectrum, AHEAD[None], softness, np.ones(1)) for spectrum in spectra), 500.0)


@cache
def renderer(fitzpatrick=2, view=WHOLE):
    _, _, figure, atlas = person(fitzpatrick)
    return Renderer(figure, atlas, lit(), SENSOR, view)


def pose(rotation=(0, 0, 0), position=(0, 0, 0), shake=(0, 0, 0), action=None):
    names = person()[2].action_names
    expression = np.array([float(name == action) for name in names], np.float32)
    return Pose(np.array(rotation, float), np.array(position, float), expression, np.array(shake, float))


def rendered(drawn, where=None, level=1.0, towards=AHEAD, volume=0.0):
    count = len(drawn.lighting.sources)
    delayed = np.broadcast_to(np.asarray(volume, float), drawn.delays_s.shape)
    return drawn.render(where or pose(), [level] * count, [np.asarray(towards, float)] * count, delayed)


def image_position(mask, where=None):
    """Return the position in the image of the texels of a mask, (x, y)."""
    _, _, figure, atlas = person()
    drawn = Renderer(figure, marked(atlas, mask), lit(softness=3.0), SENSOR, WHOLE)
    return np.array(middle(rendered(drawn, where)[0][..., 1]))


def nose():
    return np.linalg.norm(surface() - [0.0, 7.11, 1.65], axis=-1) < 0.12


CHIN, FOREHEAD, JAW = (0.0, 6.47), (0.0, 7.95), (0.42, 6.62)


# --- blood


@pytest.mark.parametrize("fitzpatrick", [1, 2])
def test_blood_darkens_the_skin_most_in_green(fitzpatrick):
    drawn = renderer(fitzpatrick)
    rest, full = rendered(drawn)[0], rendered(drawn, volume=1.0)[0]
    change = full - rest
    assert change.max() <= 1e-7, "no pixel becomes brighter"
    skin = change[..., 1] < 0.3 * change[..., 1].min()
    assert 500 < skin.sum() < 0.4 * SIDE**2
    relative = -change[skin].mean(axis=0) / rest[skin].mean(axis=0)
    assert 0.004 < relative[1] < 0.03
    assert relative @ PULSE_SIGNATURE / np.linalg.norm(relative) / np.linalg.norm(PULSE_SIGNATURE) > 0.97
    np.testing.assert_allclose(rendered(drawn, volume=-1.0)[0] - rest, -change, atol=1e-6)


def test_only_skin_pulsates():
    _, _, figure, atlas = person()
    change = np.abs(rendered(renderer(), volume=1.0)[0] - rendered(renderer())[0]).max(axis=-1)

    def fraction(mask):
        """Return the fraction of each pixel that shows the texels of a mask."""
        masked, everything = (
            rendered(Renderer(figure, marked(atlas, texels), lit(softness=3.0), SENSOR, WHOLE))[0][..., 1]
            for texels in (mask, np.ones_like(mask))
        )
        return masked / np.maximum(everything, 1e-9)

    eyes_and_clothes, hair_too = fraction(atlas.cover == 1) > 0.999, fraction(atlas.cover > 0.97) > 0.999
    _, covered = rendered(renderer())
    assert set(np.unique(covered)) == {0, 1}
    assert change[covered == 0].max() == 0
    eyes, clothes = eyes_and_clothes.copy(), eyes_and_clothes.copy()
    eyes[70:], clothes[:70] = False, False
    hair = hair_too & ~eyes_and_clothes
    for name, pixels in {"eyes": eyes, "clothes": clothes, "hair": hair}.items():
        assert pixels.sum() > 15, name
        assert change[pixels].max() < 0.01 * change.max(), name
    assert change[eyes | clothes].max() == 0


def test_pulse_arrives_at_the_jaw_before_the_forehead():
    drawn = renderer()
    rest, full = rendered(drawn)[0], rendered(drawn, volume=1.0)[0]
    later = rendered(drawn, volume=drawn.delays_s)[0]  # volume equal to the delay
    with np.errstate(invalid="ignore", divide="ignore"):
        delay = ((later - rest) / (full - rest))[..., 1]
    x, y = image_position(at(*FOREHEAD)).astype(int)
    left = at(*JAW) & (surface()[..., 0] < 0)
    jaw_x, jaw_y = image_position(left).astype(int)
    forehead, jaw = (
        delay[y - 1 : y + 2, x - 1 : x + 2].mean(),
        delay[jaw_y - 1 : jaw_y + 2, jaw_x - 1 : jaw_x + 2].mean(),
    )
    assert 0.008 < forehead - jaw < 0.05
    for found, mask in ((forehead, at(*FOREHEAD)), (jaw, left)):
        assert found == pytest.approx(pulse_arrival(surface()[mask]).mean(), abs=0.003)


# --- light


def test_light_is_proportional_to_the_level_of_the_lamp():
    assert rendered(renderer(), level=0.0, volume=1.0)[0].max() == 0
    one, two = rendered(renderer())[0], rendered(renderer(), level=2.0)[0]
    np.testing.assert_allclose(two, 2 * one, rtol=1e-4, atol=1e-6)


def test_lamps_add_up():
    _, _, figure, atlas = person()
    alone = [Renderer(figure, atlas, lit(spectra=(name,)), SENSOR, WHOLE) for name in ("daylight", "incandescent")]
    both = Renderer(figure, atlas, lit(spectra=("daylight", "incandescent")), SENSOR, WHOLE)
    expected = sum(rendered(drawn, volume=1.0)[0] for drawn in alone)
    np.testing.assert_allclose(rendered(both, volume=1.0)[0], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(both.whites, np.concatenate([drawn.whites for drawn in alone]))
    assert both.whites[1, 0] > 1.3 * both.whites[0, 0], "incandescent light is red"


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_side_towards_the_lamp_is_brighter(turn):
    left, right = (rendered(renderer(), pose((turn, 0, 0)), towards=(side * 0.95, 0.0, 0.31))[0] for side in (-1, 1))
    half = SIDE // 2
    assert left[:, :half].mean() > 2 * left[:, half:].mean()
    assert right[:, half:].mean() > 2 * right[:, :half].mean()
    above, below = (rendered(renderer(), towards=(0, sign * 0.95, 0.31))[0] for sign in (1, -1))
    x, y = image_position(at(*FOREHEAD)).astype(int)
    assert above[y, x, 1] > 1.5 * below[y, x, 1]


# --- geometry


def test_signs_of_yaw_pitch_and_roll():
    front = image_position(nose())
    assert np.abs(front - [SIDE / 2, 0.6 * SIDE]).max() < 4
    assert image_position(nose(), pose((0.3, 0, 0)))[0] > front[0] + 6, "yaw: to the right of the image"
    chin = image_position(at(*CHIN))
    assert image_position(at(*CHIN), pose((0, 0.2, 0)))[1] < chin[1] - 3, "pitch: the chin up"
    forehead = at(*FOREHEAD)
    assert image_position(forehead, pose((0, 0, 0.2)))[0] < image_position(forehead)[0] - 5, (
        "roll: the crown to the left"
    )


def test_signs_and_sizes_of_translation_and_shake():
    front = image_position(nose())
    assert front[0] + 2 < image_position(nose(), pose(position=(0.02, 0, 0)))[0]
    assert front[1] - 2 > image_position(nose(), pose(position=(0, 0.02, 0)))[1]
    pixels = WHOLE.focal * np.tan(0.05)
    np.testing.assert_allclose(
        np.abs(image_position(nose(), pose(shake=(0.05, 0, 0))) - front), [pixels, 0], atol=0.07 * pixels
    )
    np.testing.assert_allclose(
        np.abs(image_position(nose(), pose(shake=(0, 0.05, 0))) - front), [0, pixels], atol=0.07 * pixels
    )


def test_facial_actions_move_the_face_and_are_reversible():
    drawn = renderer()
    rest = rendered(drawn)[0]
    opened = rendered(drawn, pose(action="jawOpen"))[0]
    assert np.abs(opened - rest)[60:].max() > 0.05
    np.testing.assert_allclose(opened[:35], rest[:35], atol=5e-3, err_msg="the forehead does not move")
    np.testing.assert_array_equal(rendered(drawn)[0], rest)


def test_window_equals_that_part_of_the_frame():
    window = replace(WHOLE, window=(24.0, 30.0, 48.0, 40.0), shape=(40, 48))
    cut, covered = rendered(renderer(view=window))
    whole, all_covered = rendered(renderer())
    np.testing.assert_allclose(cut, whole[30:70, 24:72], atol=2e-2)
    assert np.abs(cut - whole[30:70, 24:72]).mean() < 1e-4
    assert (covered == all_covered[30:70, 24:72]).mean() > 0.995
    assert window.binning == 1
    assert replace(window, shape=(20, 24)).binning == 4


@settings(max_examples=40)
@given(left=st.floats(-50, 90), top=st.floats(-50, 90), side=st.floats(5, 200), depth=st.floats(0.2, 3))
def test_projection_inverts_the_rays_of_pixels(left, top, side, depth):
    view = replace(WHOLE, window=(left, top, side, 0.7 * side), shape=(7, 9))
    towards = view.to_lens()
    assert (towards[..., 2] > 0).all()
    points = -towards / towards[..., 2:] * depth
    pixels = view.project(points.reshape(-1, 3)).reshape(7, 9, 2)
    rows, columns = np.indices((7, 9)) + 0.5
    np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=-1), atol=1e-3)


@settings(max_examples=40)
@given(yaw=angles, pitch=angles, roll=angles)
def test_rotation_matrices_are_orthogonal_and_turn_the_face(yaw, pitch, roll):
    matrix = rotation_matrix(np.array([yaw, pitch, roll]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    gaze = matrix @ [0, 0, 1]
    np.testing.assert_allclose(gaze, [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
