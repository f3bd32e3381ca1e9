"""Images of callers: RGB of any type and scale becomes uint8, and anything else is one clear line."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from facepulse.errors import UsageError
from facepulse.video.pixels import DARKEST_TOP, ImageConverter, as_array, check_type, image_fault, video_fault

IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3)))
FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
WIDE = 255 * np.ones((4, 6, 3))


def convert(*images: object, copy: bool = False) -> list[NDArray[np.uint8]]:
    converter = ImageConverter(copy)
    return [converter(image, f"frame {index}") for index, image in enumerate(images)]


# --- scale ---------------------------------------------------------------------------------------------------------


@given(IMAGES, FLOATS)
def test_fractions_give_the_same_image_as_uint8(image: NDArray[np.uint8], dtype: type) -> None:
    [found] = convert((image / 255).astype(dtype))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, image)


@given(IMAGES, FLOATS)
def test_values_up_to_255_give_the_same_image_unless_they_are_ambiguous(image: NDArray[np.uint8], dtype: type) -> None:
    if 1 < image.max() <= DARKEST_TOP:
        with pytest.raises(UsageError, match=r"too high for 0\.\.1 and too dark for 0\.\.255; scale the values and"):
            convert(image.astype(dtype))
    else:
        [found] = convert(image.astype(dtype))
        np.testing.assert_array_equal(found, image if image.max() > 1 else 255 * image)


@given(st.floats(-1e4, 1e4, width=32))
def test_every_highest_value_is_either_scaled_or_refused(high: float) -> None:
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0, 0] = high
    if -0.001 <= high <= 1.001 or 16 < high <= 255.255:
        [found] = convert(image)
        assert found[0, 0, 0] == pytest.approx(min(max(high if high > 16 else 255 * high, 0), 255), abs=0.51)
    else:
        with pytest.raises(UsageError):
            convert(image)


def test_first_image_that_is_not_black_decides_on_the_scale() -> None:
    black, bright, dark = 0 * WIDE, WIDE - 55, 0 * WIDE + 0.7
    assert [image[0, 0, 0] for image in convert(black, bright, dark)] == [0, 200, 1]
    assert [image[0, 0, 0] for image in convert(black, dark, dark)] == [0, 178, 178]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            [WIDE / 255, WIDE],
            "frame 1 contains values up to 255, more than 1, but the frames before it are within 0..1",
        ),
        ([WIDE + 100], "frame 0 contains values up to 355, more than 255; scale them"),
        ([WIDE - 56, WIDE + 1], "frame 1 contains values up to 256, more than 255; scale them"),
        ([np.linspace(-0.5, 0.5, 72).reshape(4, 6, 3)], "frame 0 contains negative values (-0.5); scale them to 0..1"),
        ([WIDE * np.linspace(-1, 1, 18).reshape(1, 6, 3)], "frame 0 contains negative values (-255)"),
        ([WIDE / 100], "frame 0 is floating point with a highest value of 2.55, too high for 0..1"),
        ([WIDE * np.nan], "frame 0 contains values that are NaN or infinite"),
        ([np.where(np.arange(3) == 1, np.inf, WIDE)], "frame 0 contains values that are NaN or infinite"),
    ],
)
def test_values_outside_of_the_scale_are_refused(images: list, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        convert(*images)


def test_rounding_beyond_the_ends_of_the_scale_is_clipped() -> None:
    assert convert(WIDE / 255 + 5e-4)[0].max() == 255
    assert convert(WIDE / 255 * np.linspace(-5e-4, 1, 18).reshape(1, 6, 3))[0].min() == 0


# --- type, shape and memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.complex64, object, "datetime64[s]", "U4"])
def test_other_types_are_refused(dtype: object) -> None:
    array = np.zeros((4, 6, 3)).astype(dtype)
    with pytest.raises(UsageError, match=rf"the array is of the type {re.escape(str(array.dtype))}; give uint8 from 0"):
        check_type(array, "the array")
    with pytest.raises(UsageError, match="frame 0 is of the type "):
        convert(array)


IMAGE_FAULTS = [
    ((240, 320), "grey, no axis of channels; repeat it for red, green and blue"),
    ((240, 320, 1), "grey, one channel; repeat it for red, green and blue"),
    ((240, 320, 4), "four channels, such as RGBA; leave out the fourth with array[..., :3]"),
    ((3, 240, 320), "channels before pixels; move the channels to the end with np.moveaxis(array, 0, -1)"),
    ((300, 240, 320, 3), "a video by itself; measure one video at a time"),
    ((0, 320, 3), "empty"),
    ((), "not an image"),
    ((240, 320, 2), "not an image"),
]
VIDEO_FAULTS = [
    ((300, 240, 320), "grey, no axis of channels; repeat it for red, green and blue"),
    ((300, 240, 320, 1), "grey, one channel; repeat it for red, green and blue"),
    ((300, 240, 320, 4), "four channels, such as RGBA; leave out the fourth with array[..., :3]"),
    ((300, 3, 240, 320), "channels before pixels; move the channels to the end with np.moveaxis(array, 1, -1)"),
    ((3, 300, 240, 320), "channels before pixels; move the channels to the end with np.moveaxis(array, 0, -1)"),
    ((240, 320, 3), "a single image; give the frames of at least 5 s"),
    ((3, 240, 320), "a single image; give the frames of at least 5 s"),
    ((240, 320), "a single grey image; give the frames of at least 5 s"),
    ((300, 3), "an RGB trace or a table; give frames, or use facepulse.rppg for traces"),
    ((2, 300, 240, 320, 3), "several videos; measure one at a time"),
    ((0, 240, 320, 3), "empty; give at least 5 s of frames"),
    ((), "not a video"),
    ((300,), "not a video"),
    ((300, 240, 320, 5), "not a video"),
]


@pytest.mark.parametrize(("shape", "fault"), IMAGE_FAULTS)
def test_image_of_another_shape_is_described(shape: tuple[int, ...], fault: str) -> None:
    assert image_fault((240, 320, 3)) is None
    message = f"frame 0 has the shape {shape}, expected RGB (H, W, 3): {fault}"
    with pytest.raises(UsageError, match=re.escape(message)):
        convert(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(("shape", "fault"), VIDEO_FAULTS)
def test_video_of_another_shape_is_described(shape: tuple[int, ...], fault: str) -> None:
    assert video_fault((300, 240, 320, 3)) is None
    assert (video_fault(shape) or "").startswith(fault)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="frame 1 has 6x3 pixels, and those before it have 6x4; give frames of one"):
        convert(WIDE, WIDE[:3])


def test_images_are_copied_only_if_their_memory_may_be_written_again() -> None:
    image = WIDE.astype(np.uint8)
    assert np.shares_memory(convert(image)[0], image)
    assert not np.shares_memory(convert(image, copy=True)[0], image)
    [flipped] = convert(image[:, ::-1])
    assert flipped.flags.c_contiguous


def test_objects_convert_themselves_to_arrays_or_are_refused() -> None:
    class Tensor:
        def __array__(self, *_: object, **__: object) -> NDArray[np.uint8]:
            return WIDE.astype(np.uint8)

    class OnGpu:
        def __array__(self, *_: object, **__: object) -> NDArray[np.uint8]:
            raise TypeError("can't convert cuda:0 device type tensor to numpy.\nUse Tensor.cpu()")

    np.testing.assert_array_equal(convert(Tensor())[0], WIDE)
    with pytest.raises(UsageError, match=r"cannot be converted to an array \(can't .* numpy\. Use Tensor\.cpu\(\)\); "):
        as_array(OnGpu(), "the array")
    with pytest.raises(UsageError, match=r"frame 0 is of the type list; give an array \(H, W, 3\) of RGB"):
        convert([[1, 2, 3]])
