"""Images and curves: what is drawn where, in which colour, and always the same."""

import base64
import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from kagglekit.report import figures


def decoded(uri: str) -> np.ndarray:
    """Read the RGB pixels back out of a data URI."""
    data = np.frombuffer(base64.b64decode(uri.split(",", 1)[1]), dtype=np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]


def labels_with(*boxes: tuple[int, int, int, int, int], side: int = 320) -> np.ndarray:
    """Make a label map of rectangles given as (class, top, bottom, left, right)."""
    labels = np.zeros((side, side), dtype=np.uint8)
    for index, top, bottom, left, right in boxes:
        labels[top:bottom, left:right] = index
    return labels


GREY = np.full((320, 320, 3), 128, dtype=np.uint8)


def distance(pixel: np.ndarray, color: figures.Color) -> float:
    return float(np.abs(pixel.astype(float) - color).max())


def test_a_png_keeps_every_pixel_and_the_order_of_colours():
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    uri = figures.png_data_uri(image)
    assert uri.startswith("data:image/png;base64,")
    assert np.array_equal(decoded(uri), image)


def test_a_png_of_a_label_map_has_one_channel_worth_of_values():
    labels = labels_with((3, 2, 5, 2, 5), side=8)
    assert np.array_equal(decoded(figures.png_data_uri(labels))[:, :, 1], labels)


def test_a_jpeg_keeps_red_red():
    red = np.zeros((32, 32, 3), dtype=np.uint8)
    red[:, :, 0] = 250
    pixel = decoded(figures.jpeg_data_uri(red))[16, 16].astype(int)
    assert pixel[0] > 230 and pixel[1] < 25 and pixel[2] < 25


def test_a_jpeg_over_its_limit_is_encoded_at_lower_quality():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    free = figures.jpeg_data_uri(noise)
    held = figures.jpeg_data_uri(noise, limit_bytes=len(free) // 2)
    assert len(held) <= len(free) // 2
    assert decoded(held).shape == noise.shape


@pytest.mark.parametrize(
    ("height", "width", "shape"), [(512, 512, (320, 320)), (100, 50, (320, 160)), (3, 900, (1, 320))]
)
def test_an_image_is_scaled_to_its_longer_side_and_keeps_its_proportions(height, width, shape):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    labels = np.ones((height, width), dtype=np.uint8)
    assert figures.scaled_photo(image).shape[:2] == shape
    assert figures.truth_overlay(image, labels).shape[:2] == shape
    assert figures.error_overlay(image, labels, labels).shape[:2] == shape


def test_drawing_leaves_the_photo_itself_unchanged():
    image, labels = GREY.copy(), labels_with((1, 50, 200, 50, 200))
    figures.truth_overlay(image, labels)
    figures.error_overlay(image, labels, np.roll(labels, 9))
    assert np.array_equal(image, GREY)


def test_the_truth_is_outlined_in_the_colour_of_its_class_and_its_inside_stays_as_photographed():
    image = figures.truth_overlay(GREY, labels_with((1, 100, 200, 100, 200)))
    assert distance(image[150, 100], figures.class_color(1)) < 40
    assert np.array_equal(image[150, 150], GREY[150, 150])
    assert np.array_equal(image[20, 20], GREY[20, 20])


def test_several_classes_are_outlined_and_tinted_in_their_own_colours():
    image = figures.truth_overlay(GREY, labels_with((1, 20, 120, 20, 120), (2, 180, 300, 180, 300)))
    assert distance(image[70, 20], figures.class_color(1)) < 40
    assert distance(image[240, 180], figures.class_color(2)) < 40
    assert not np.array_equal(image[70, 70], image[240, 240])


def test_hits_misses_and_false_alarms_have_their_own_colours():
    truth = labels_with((1, 0, 320, 0, 200))
    predicted = labels_with((1, 0, 320, 100, 300))
    image = figures.error_overlay(GREY, truth, predicted)
    assert distance(image[160, 50], figures.MISSED) < 25
    assert distance(image[160, 250], figures.FALSE_ALARM) < 25
    base = int(image[160, 310, 0])
    expected = [round(base * 0.58 + 0.42 * channel) for channel in figures.HIT]
    assert distance(image[160, 150], tuple(expected)) <= 2
    assert len(set(image[160, 310].tolist())) == 1, "pixels rightly left out stay grey"


def test_a_wrong_class_is_an_error_of_its_own():
    truth, predicted = labels_with((1, 20, 300, 20, 300)), labels_with((2, 20, 300, 20, 300))
    assert distance(figures.error_overlay(GREY, truth, predicted)[160, 160], figures.WRONG_CLASS) < 25


def test_every_pixel_that_differs_is_exactly_one_kind_of_error():
    rng = np.random.default_rng(5)
    truth, predicted = rng.integers(0, 4, (2, 40, 40), dtype=np.uint8)
    kinds = figures.error_kinds(truth, predicted)
    counted = sum(kinds[name].astype(int) for name in ("missed", "false alarm", "wrong class"))
    assert np.array_equal(counted, (truth != predicted).astype(int))
    assert np.array_equal(kinds["hit"], (truth == predicted) & (truth > 0))


def test_a_structure_thinner_than_a_shown_pixel_stays_visible():
    image = np.zeros((960, 960, 3), dtype=np.uint8)
    line = labels_with((1, 0, 960, 481, 482), side=960)
    assert distance(figures.truth_overlay(image, line)[160, 160], figures.class_color(1)) < 40


def test_maps_of_another_size_than_the_photo_are_refused():
    with pytest.raises(ValueError, match="label map of shape"):
        figures.truth_overlay(GREY, np.zeros((10, 10), dtype=np.uint8))
    with pytest.raises(ValueError, match="label map of shape"):
        figures.error_overlay(GREY, labels_with(), np.zeros((10, 10), dtype=np.uint8))


def test_the_first_forty_classes_have_different_colours():
    assert len({figures.class_color(index) for index in range(1, 41)}) == 40


def test_the_legend_names_wrong_class_only_where_there_are_several():
    one = figures.overlay_legend([labels_with((1, 0, 9, 0, 9))])
    two = figures.overlay_legend([labels_with((1, 0, 9, 0, 9)), labels_with((7, 0, 9, 0, 9))])
    assert [name for name, _ in one["kinds"]] == ["hit", "missed", "false alarm"]
    assert [name for name, _ in two["kinds"]][-1] == "wrong class"
    assert [name for name, _ in two["classes"]] == ["class 1", "class 7"]


def test_the_legend_counts_the_classes_it_does_not_name():
    labels = np.arange(31, dtype=np.uint8)[None]
    legend = figures.overlay_legend([labels], most=12)
    assert len(legend["classes"]) == 12 and legend["more"] == 18


def curve(*values: float) -> figures.Curve:
    return figures.Curve(tuple((float(i + 1), value) for i, value in enumerate(values)), figures.ACCENT)


def test_a_chart_is_one_well_formed_element_in_the_colours_of_the_page():
    svg = figures.line_chart("loss", [curve(0.9, 0.5, 0.4)], [(2.0, 0.5)], 'a "quoted" <label>')
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and root.get("role") == "img"
    assert root.get("aria-label") == 'a "quoted" <label>'
    assert "var(--accent)" in svg and "#01010" not in svg
    assert "<metadata" not in svg and "<!DOCTYPE" not in svg


def test_a_single_epoch_shows_a_point():
    svg = figures.line_chart("one", [curve(0.7)], [], "one epoch")
    assert re.search(r'<use [^>]*href="#one-', svg), "markers are drawn by reference"


def test_a_chart_with_marks_differs_from_one_without():
    curves = [curve(0.1, 0.2)]
    assert figures.line_chart("a", curves, [(2.0, 0.2)], "x").count("<use") > figures.line_chart(
        "a", curves, [], "x"
    ).count("<use")


def test_the_same_curves_give_the_same_text():
    first, second = (figures.line_chart("c", [curve(0.9, 0.5)], [(1.0, 0.9)], "x") for _ in range(2))
    assert first == second


def test_two_charts_share_no_id_and_every_reference_has_its_target():
    both = "".join(figures.line_chart(name, [curve(0.9, 0.5)], [(1.0, 0.9)], "x") for name in ("a", "b"))
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', both)) <= set(ids)


def test_a_chart_without_any_point_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        figures.line_chart("empty", [figures.Curve((), figures.ACCENT)], [], "x")
