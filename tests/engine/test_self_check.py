"""The self-check: planted offsets and views that are not undone are flagged, honest ones are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.pipeline.self_check import far, planes, self_check, shift, soft_iou


def blob(y: float, x: float, radius: float = 12.0, size: tuple[int, int] = (64, 80), soft: float = 1.5) -> np.ndarray:
    """A soft ellipse `[1, h, w]` that no flip maps onto itself."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    distance = np.hypot((rows - y) * 1.4, columns - x) - radius * (
        1 + 0.3 * np.sin(3 * np.arctan2(rows - y, columns - x))
    )
    return (1 / (1 + np.exp(distance / soft)))[None].astype(np.float32)


def scenes(count: int = 12, seed: int = 0):
    """Centres of blobs."""
    rng = np.random.default_rng(seed)
    return [(float(y), float(x)) for y, x in zip(rng.uniform(22, 42, count), rng.uniform(24, 56, count), strict=True)]


def looks(places, move=lambda probs: probs, noise: float = 0.05):
    """Two views of each scene, the second as `move` leaves it."""
    rng = np.random.default_rng(1)
    found = []
    for y, x in places:
        first, second = blob(y, x), move(blob(y, x))
        both = np.stack([first, second]) + rng.normal(0, noise, (2, *first.shape))
        found.append(np.clip(both, 0, 1).astype(np.float32))
    return found


def labels(places, down: float = 0.0, right: float = 0.0):
    return [(blob(y + down, x + right) > 0.5).astype(np.float32) for y, x in places]


NAMES = ["identity", "hflip"]


@given(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
def test_a_shift_by_part_of_a_pixel_is_measured(down, right):
    found = shift(blob(32, 40), blob(32 + down, 40 + right))
    assert found == pytest.approx((down, right), abs=0.08)


def test_a_shift_of_an_edge_without_corners_is_not_guessed():
    ramp = np.repeat((np.arange(80) > 40).astype(np.float32)[None], 64, 0)[None]
    assert shift(ramp, np.roll(ramp, 1, -1)) == (0.0, 0.0)


def test_nothing_is_flagged_where_nothing_is_wrong():
    found = self_check(NAMES, looks(scenes()), labels(scenes()))
    assert found.warnings == () and found.agreement["hflip"] > 0.6
    assert max(map(abs, (*found.offsets["hflip"], *found.offsets["labels"]))) < 0.1


@pytest.mark.parametrize(("down", "right"), [(0.5, 0.0), (0.0, -0.5), (0.5, 0.5)])
def test_labels_that_lie_half_a_pixel_off_are_flagged_with_the_direction(down, right):
    found = self_check(NAMES, looks(scenes()), labels(scenes(), down, right))
    assert len(found.warnings) == 1 and found.warnings[0].startswith("labels lie ")
    assert found.offsets["labels"] == pytest.approx((down, right), abs=0.12)


def mirrored(places, identity: float, undone: float):
    """Looks whose masks lie `identity` px right of the truth, and `undone` px right in the mirrored view."""
    rng = np.random.default_rng(0)
    pairs = [np.stack([blob(y, x + identity), blob(y, x + undone)]) for y, x in places]
    return [np.clip(pair + rng.normal(0, 0.02, pair.shape), 0, 1).astype(np.float32) for pair in pairs]


def test_a_network_that_learnt_the_offset_of_its_labels_betrays_it_by_its_mirrored_view():
    # Labels lie 0.5 px to the right of the objects, the network learnt that, and mirrored it lies 0.5 px to the left.
    found = self_check(NAMES, mirrored(scenes(), 0.5, -0.5), labels(scenes(), 0.0, 0.5))
    assert len(found.warnings) == 1 and found.warnings[0].startswith("labels lie ")
    assert found.offsets["hflip"] == pytest.approx((0.0, -1.0), abs=0.12)
    assert found.offsets["labels"] == pytest.approx((0.0, 0.5), abs=0.15)


def test_a_lopsided_network_is_a_note_and_no_fault_of_the_labels():
    found = self_check(NAMES, mirrored(scenes(), 0.4, -0.4), labels(scenes()))
    assert found.warnings == () and len(found.notes) == 1 and "the network is lopsided" in found.notes[0]
    assert max(map(abs, found.offsets["labels"])) < 0.15


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (lambda p: p[..., ::-1], "after a flip"),
        (lambda p: p[..., ::-1, :], "after a vertical flip"),
        (lambda p: p[..., ::-1, ::-1], "after a turn by 180 degrees"),
    ],
)
def test_a_view_that_is_not_undone_is_flagged_with_what_is_missing(move, said):
    rng = np.random.default_rng(3)
    places = list(zip(rng.uniform(14, 22, 12), rng.uniform(14, 24, 12), strict=True))
    found = self_check(NAMES, looks(places, move), labels(places))
    assert len(found.warnings) == 1
    assert "view hflip is not undone" in found.warnings[0] and said in found.warnings[0]


def test_too_few_images_that_show_something_say_nothing():
    places = scenes(5)
    assert self_check(NAMES, looks(places), labels(places, 0.5, 0.5)).offsets == {}
    empty = [np.zeros((2, 1, 64, 80), np.float32)] * 12
    assert self_check(NAMES, empty, labels(scenes())).warnings == ()


def test_offsets_that_differ_from_image_to_image_are_no_offset():
    rng = np.random.default_rng(0)
    assert not far(rng.normal(0, 1.0, (16, 2)).tolist())
    assert far((rng.normal(0, 0.1, (16, 2)) + np.array([0.5, 0.0])).tolist())


def test_agreement_is_one_with_itself_and_zero_with_what_lies_elsewhere():
    assert soft_iou(blob(32, 40), blob(32, 40)) == pytest.approx(1.0)
    assert soft_iou(blob(16, 16, 6), blob(48, 64, 6)) < 0.05
    assert soft_iou(np.zeros((1, 4, 4)), np.zeros((1, 4, 4))) == 1.0


def test_masks_of_every_task_become_planes():
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    assert planes((mask > 0).astype(np.uint8), "binary", 1).shape == (1, 2, 2)
    assert planes(mask, "multiclass", 3).sum(0).tolist() == [[1, 1], [1, 1]]
    assert planes(np.stack([mask > 0, mask > 1], -1).astype(np.uint8), "multilabel", 2)[1].tolist() == [[0, 0], [1, 0]]
