"""Views of test-time augmentation: what is done is undone, on any shape, in any order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.predict.views import compose, hflip, identity, product
from kagglekit.types import View

TURN = View("turn", 0.5, lambda x: x.rot90(1, (-2, -1)), lambda x: x.rot90(-1, (-2, -1)))
VFLIP = View("vflip", 0.5, lambda x: x.flip(-2), lambda x: x.flip(-2))
SHIFT = View("shift", 0.25, lambda x: x.roll((1, 2), (-2, -1)), lambda x: x.roll((-1, -2), (-2, -1)))
ALL = [identity(), hflip(), TURN, VFLIP, SHIFT]


def image(batch: int, channels: int, height: int, width: int) -> torch.Tensor:
    """An image in which every pixel is different."""
    return torch.arange(batch * channels * height * width).view(batch, channels, height, width)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.lists(st.sampled_from(ALL), min_size=1, max_size=4),
)
def test_what_a_view_does_it_undoes_on_every_shape_however_many_are_composed(shape, chain):
    view = chain[0]
    for other in chain[1:]:
        view = compose(view, other)
    x = image(*shape)
    assert torch.equal(view.undo(view.do(x)), x)


def test_mirroring_swaps_left_and_right_and_nothing_else():
    x = image(1, 2, 2, 3)
    assert hflip().do(x)[0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert torch.equal(identity().do(x), x)


def test_a_composed_view_acts_in_the_order_of_its_parts_and_undoes_in_reverse():
    x = image(1, 1, 2, 3)
    view = compose(TURN, VFLIP)
    assert torch.equal(view.do(x), VFLIP.do(TURN.do(x)))
    assert not torch.equal(view.do(x), TURN.do(VFLIP.do(x))), "these two commute, so nothing is shown"
    assert torch.equal(view.undo(view.do(x)), x)
    assert view.name == "turn+vflip"
    assert view.weight == 0.25


def test_identity_leaves_no_trace_in_the_name():
    assert compose(identity(0.5), hflip(0.5)).name == "hflip"
    assert compose(identity(), identity()).name == "identity"


def test_a_product_has_every_pair_once_and_weights_that_still_sum_to_one():
    views = product((identity(0.6), hflip(0.4)), (identity(0.5), VFLIP))
    assert {v.name: v.weight for v in views} == pytest.approx(
        {"identity": 0.3, "hflip": 0.2, "vflip": 0.3, "vflip+hflip": 0.2}
    )
    assert views[0].name == "identity"
    x = image(2, 3, 4, 5)
    for view in views:
        assert torch.equal(view.undo(view.do(x)), x)


def test_views_of_one_name_are_merged_and_their_weights_added():
    views = product((identity(0.5), hflip(0.5)), (identity(1.0),))
    again = product((identity(0.5), hflip(0.5)), (identity(0.5), identity(0.5)))
    assert {v.name: v.weight for v in again} == {v.name: v.weight for v in views}


def test_views_are_immutable():
    with pytest.raises(AttributeError):
        hflip().weight = 2.0
