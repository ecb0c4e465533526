"""Sizes of network inputs, and resizing without shifts, new classes or half-set pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.data.resize import MOST_SQUARES, STRIDE, input_size, resize_image, resize_mask, resize_probs
from tests.toy_data import centre, disc

SIZES = [(64, 64), (96, 96), (37, 53), (256, 192), (130, 200), (90, 301)]


@given(st.integers(1, 6000), st.integers(1, 6000), st.integers(1, 64).map(lambda n: 32 * n))
def test_network_sizes_are_multiples_of_32_whose_shorter_side_is_the_asked_one(height, width, image_size):
    h, w = input_size((height, width), image_size)
    assert h % STRIDE == w % STRIDE == 0
    if max(height, width) > MOST_SQUARES * min(height, width):
        return  # thin images, see below
    assert min(h, w) == image_size
    assert (h == image_size) if height <= width else (w == image_size)
    longer = max(height, width) / min(height, width) * image_size
    assert abs(max(h, w) - longer) <= STRIDE / 2 + 1e-6


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(1, 32).map(lambda n: 32 * n))
def test_no_image_grows_beyond_sixteen_squares_or_its_own_pixels(height, width, image_size):
    h, w = input_size((height, width), image_size)
    assert h % STRIDE == w % STRIDE == 0
    most = max(MOST_SQUARES * image_size**2, height * width)
    # Rounding to the stride may add half of it on each side.
    assert h * w <= most * (1 + STRIDE / 2 / min(h, w)) * (1 + STRIDE / 2 / max(h, w)) + STRIDE**2
    assert (h <= w) == (height <= width) or h == w


def test_a_line_of_pixels_is_looked_at_in_pieces_that_fit_into_memory():
    assert input_size((1, 9000), 256) == (32, 32_768)
    assert input_size((20_000, 1), 256) == (32_768, 32)


def test_squares_stay_squares_and_landscapes_landscapes():
    assert input_size((512, 512), 256) == (256, 256)
    assert input_size((1400, 2100), 256) == (256, 384)
    assert input_size((2100, 1400), 256) == (384, 256)
    assert input_size((512, 512), 512) == (512, 512)


@pytest.mark.parametrize("size", SIZES)
def test_images_do_not_shift_when_resized_there_and_back(size):
    mask = disc((120, 160), 50, 95, 22)
    image = np.repeat(mask[..., None] * np.uint8(200), 3, -1)
    there = resize_image(image, size)
    back = resize_image(there, (120, 160))
    assert there.shape == (*size, 3)
    # In pixels of the finer image; a half-pixel shift would be 0.5.
    for resized in (there, back):
        shift = np.abs(centre(resized[..., 0].astype(float)) - centre(mask.astype(float))) * (120, 160)
        assert shift.max() < 0.2, (size, shift)


@pytest.mark.parametrize("size", SIZES)
def test_masks_do_not_shift_and_hold_zeros_and_ones_alone(size):
    mask = disc((120, 160), 50, 95, 22)
    there = resize_mask(mask, size, "binary")
    back = resize_mask(there, (120, 160), "binary")
    assert there.shape == size
    for resized in (there, back):
        assert resized.dtype == np.uint8
        assert set(np.unique(resized)) == {0, 1}
        shift = np.abs(centre(resized.astype(float)) - centre(mask.astype(float))) * (120, 160)
        assert shift.max() < 0.5, (size, shift)
        assert resized.mean() == pytest.approx(mask.mean(), rel=0.08)


@pytest.mark.parametrize("size", SIZES)
def test_probabilities_do_not_shift_and_stay_between_zero_and_one(size):
    smooth = cv2.GaussianBlur(disc((120, 160), 50, 95, 22).astype(np.float32), (0, 0), 4)
    probs = np.stack([smooth, 1 - smooth])
    there = resize_probs(probs, size)
    back = resize_probs(there, (120, 160))
    assert there.shape == (2, *size)
    assert there.dtype == np.float32
    for resized in (there, back):
        shift = np.abs(centre(resized[0]) - centre(smooth)) * (120, 160)
        assert shift.max() < 0.25, (size, shift)
        assert resized.min() >= 0
        assert resized.max() <= 1
        assert np.allclose(resized.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_label_maps_keep_their_classes_and_do_not_shift(size):
    labels = np.zeros((120, 160), np.uint8)
    for value, (y, x) in zip((3, 7, 200), ((30, 40), (60, 110), (95, 50)), strict=True):
        labels[disc((120, 160), y, x, 20) > 0] = value
    there = resize_mask(labels, size, "multiclass")
    back = resize_mask(there, (120, 160), "multiclass")
    for resized in (there, back):
        assert set(np.unique(resized)) == {0, 3, 7, 200}
        for value in (3, 7, 200):
            shift = np.abs(centre((resized == value) * 1.0) - centre((labels == value) * 1.0)) * (120, 160)
            assert shift.max() < 1.0, (size, value, shift)


def test_a_label_map_halved_takes_no_class_that_was_not_there():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 10], (64, 64)).astype(np.uint8)
    assert set(np.unique(resize_mask(labels, (32, 32), "multiclass"))) <= {0, 10}
    assert set(np.unique(resize_mask(labels, (100, 90), "multiclass"))) <= {0, 10}


def test_multilabel_masks_are_resized_plane_by_plane():
    planes = np.stack([disc((80, 100), 30, 30, 15), disc((80, 100), 50, 70, 15), disc((80, 100), 40, 50, 25)], -1)
    together = resize_mask(planes, (64, 96), "multilabel")
    assert together.shape == (64, 96, 3)
    for k in range(3):
        assert np.array_equal(together[..., k], resize_mask(planes[..., k], (64, 96), "binary"))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("size", [(32, 64), (200, 260)])
def test_any_number_of_channels_is_resized_channel_by_channel(channels, size):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, channels), np.uint8)
    mask = (image > 127).astype(np.uint8)
    resized, resized_mask = resize_image(image, size), resize_mask(mask, size, "multilabel")
    assert resized.shape == resized_mask.shape == (*size, channels)
    for k in range(channels):
        three = np.repeat(image[..., k : k + 1], 3, -1)
        assert np.array_equal(resized[..., k], resize_image(three, size)[..., 0])
        assert np.array_equal(resized_mask[..., k], resize_mask(mask[..., k], size, "binary"))


def test_a_pixel_is_set_where_most_of_its_area_was():
    mask = np.zeros((4, 4), np.uint8)
    mask[0, :2] = 1  # half of the first block: 127.5 rounds up to 128
    mask[2, 0] = 1  # a quarter of the third
    mask[2:, 2:] = 1
    mask[3, 3] = 0  # three quarters of the fourth
    assert resize_mask(mask, (2, 2), "binary").tolist() == [[1, 0], [0, 1]]


def test_shrinking_images_averages_areas():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]]
    assert resize_image(image, (2, 2))[0, 0].tolist() == [100, 100, 100]


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_nothing_happens_at_the_same_size(task):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 64, 3), np.uint8)
    mask = rng.integers(0, 2, (32, 64, 2) if task == "multilabel" else (32, 64), np.uint8)
    probs = rng.random((2, 32, 64), np.float32)
    assert np.array_equal(resize_image(image, (32, 64)), image)
    assert np.array_equal(resize_mask(mask, (32, 64), task), mask)
    assert np.array_equal(resize_probs(probs, (32, 64)), probs)


def test_inputs_are_not_altered():
    image = np.full((40, 40, 3), 9, np.uint8)
    mask = np.ones((40, 40), np.uint8)
    probs = np.full((1, 40, 40), 0.25, np.float32)
    resize_image(image, (32, 32)), resize_mask(mask, (32, 32), "binary"), resize_probs(probs, (64, 64))
    assert (image == 9).all()
    assert (mask == 1).all()
    assert (probs == 0.25).all()
