"""Contrast windows as channels: what they show, where they may lie, how the network follows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import RecipeError
from kagglekit.data.input_transform import Plain, as_rgb
from kagglekit_techniques import MultiWindow
from kagglekit_techniques.multi_window import SAMPLED, Window, WindowTransform, parse_windows
from tests.helpers import bringing, build, solution, techniques_of


def solved(**settings):
    registry = build(toy=bringing("toy"), extra=techniques_of(MultiWindow))
    return solution(registry, techniques=[{"name": "multi-window", "settings": settings}], encoder_weights="bundled")


def seen(values, windows="0:12040;0:256", mode="linear", training=False, jitter=0.1, dtype=np.uint16):
    """float `[N windows, N values]`."""
    input_transform = WindowTransform(1, tuple(parse_windows(windows)), mode, jitter)
    images = torch.from_numpy(np.array(values, dtype).reshape(1, 1, 1, -1))
    return input_transform(images, training)[0, :, 0]


def test_the_two_windows_of_the_seminar_show_what_they_should():
    full, low = seen([0, 256, 12040, 65535])
    assert low.tolist() == [0, 1, 1, 1]
    assert full.tolist() == pytest.approx([0, 0.02126, 1, 1], abs=1e-5)


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=20).map(sorted), st.sampled_from(["linear", "sigmoid"]))
def test_every_window_rises_with_the_value_and_stays_in_0_to_1(values, mode):
    for channel in seen(values, "0:12040;100:300;c5000:w2000", mode):
        assert (channel.diff() >= 0).all() and channel.min() >= 0 and channel.max() <= 1


def test_centre_and_width_say_the_same_as_both_ends():
    assert parse_windows("c40:w80;-160:240") == [Window(0, 80), Window(-160, 240)]
    values = [-2000, -160, 0, 40, 240, 3000]
    one, other = seen(values, "c40:w400;-160:240", dtype=np.int16)
    assert torch.equal(one, other) and other.tolist() == pytest.approx([0, 0, 0.4, 0.5, 1, 1])


def test_a_sigmoid_window_is_one_half_at_its_centre_and_never_quite_cut_off():
    (channel,) = seen([0, 500, 1000, 1500, 2000], "c1000:w1000", "sigmoid")
    assert channel.tolist() == pytest.approx(
        [1 / (1 + np.exp(4)), 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-4))], abs=1e-5
    )


def test_percentiles_are_those_of_each_image():
    input_transform = WindowTransform(1, tuple(parse_windows("p10:p90")), "linear", 0.0)
    ramp = np.arange(1001, dtype=np.uint16).reshape(1, 1, 7, 143)
    images = torch.from_numpy(np.concatenate([ramp, 10 * ramp]))
    out = input_transform(images, False).flatten(1)
    assert torch.allclose(out[0], out[1], atol=1e-5)
    assert (
        out[0, 100] == 0 and out[0, 900] == pytest.approx(1, abs=1e-5) and out[0, 500] == pytest.approx(0.5, abs=1e-5)
    )
    large = torch.full((1, 1, 500, 500), 7, dtype=torch.int16)
    assert large.numel() > SAMPLED and torch.isfinite(input_transform(large, False)).all(), "one value has no width"


def test_windows_of_several_channels_stand_side_by_side():
    input_transform = WindowTransform(2, tuple(parse_windows("0:100;0:1000")), "linear", 0.0)
    assert input_transform.channels == 4
    images = torch.tensor([[[[50]], [[500]]]], dtype=torch.int16)
    assert input_transform(images, False).flatten().tolist() == pytest.approx([0.5, 0.05, 1.0, 0.5])


def test_ends_move_while_training_alone_and_by_no_more_than_the_jitter():
    values = np.full(4000, 128).reshape(4000, 1, 1, 1).astype(np.uint16)
    input_transform = WindowTransform(1, (Window(0, 256),), "linear", 0.1)
    still = input_transform(torch.from_numpy(values), False)
    assert (still == 0.5).all()
    torch.manual_seed(0)
    moved = input_transform(torch.from_numpy(values), True)
    low, high = (0.5 - 0.1) / (1 + 0.1 - 0.1), (0.5 + 0.1) / (1 + 0.1 - 0.1)
    assert moved.std() > 0.02 and low - 0.06 < moved.min() and moved.max() < high + 0.06
    torch.manual_seed(0)
    assert torch.equal(input_transform(torch.from_numpy(values), True), moved), "an epoch can be repeated"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no window"),
        ("0:100;", "'' is no window"),
        ("abc", "'abc' is no window"),
        ("0-100", "'0-100' is no window"),
        ("nan:3", "'nan:3' is no window"),
        ("5:5", "from 5 to 5; its end must lie above"),
        ("300:200", "from 300 to 200"),
        ("c40:w0", "from 40 to 40"),
        ("p-1:p50", "percentiles lie in 0..100"),
        ("p50:p101", "percentiles lie in 0..100"),
    ],
)
def test_windows_that_make_no_sense_are_refused_by_name(text, message):
    with pytest.raises(RecipeError, match=r"techniques\.multi-window.*" + message.replace("(", r"\(")):
        solved(windows=text)


def test_a_jitter_that_could_turn_a_window_inside_out_is_refused():
    with pytest.raises(RecipeError, match="jitter must lie in"):
        solved(jitter=0.5)


def test_images_of_8_bits_have_nothing_for_windows_to_show():
    with pytest.raises(RecipeError, match=r"multi-window: the images have 8 bits.*--without multi-window"):
        solved().input_transform(3, "uint8")


def test_deep_images_without_windows_are_refused_before_training():
    plain = solution(build(toy=bringing("toy")))
    assert plain.input_transform(3, "uint8") == Plain(3)
    with pytest.raises(RecipeError, match=r"the images have uint16 pixels and the recipe does not say which range"):
        plain.input_transform(1, "uint16")


def test_the_first_layer_follows_the_number_of_windows_and_keeps_its_activations():
    many = solved(windows="0:256;0:1000;0:4000;0:12040;p1:p99")
    input_transform = many.input_transform(1, "uint16")
    assert input_transform.channels == 5
    model = many.model(input_transform.channels)
    first = next(p for p in model.encoder.parameters() if p.ndim == 4)
    assert first.shape[1] == 5 and len(model.normalisation[0]) == 5
    three = solution(build(toy=bringing("toy")), encoder_weights="bundled").model(3)
    rgb = next(p for p in three.encoder.parameters() if p.ndim == 4)
    assert torch.allclose(first.sum(1), (rgb[:, [0, 1, 2, 0, 1]] * 3 / 5).sum(1), atol=1e-5)


def test_a_deep_image_is_shown_by_its_first_windows():
    image = np.array([[[0], [128], [256], [12040]]], np.uint16)
    shown = as_rgb(image, WindowTransform(1, tuple(parse_windows("0:12040;0:256")), "linear", 0.1))
    assert shown.dtype == np.uint8 and shown.shape == (1, 4, 3)
    assert shown[0, :, 0].tolist() == [0, 3, 5, 255] and shown[0, :, 1].tolist() == [0, 128, 255, 255]
