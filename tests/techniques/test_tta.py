"""Flips at test time: views that can be undone, whose weights are weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import RecipeError
from kagglekit.plugin.solution import make_technique
from kagglekit.predict.views import compose, hflip, identity, product
from kagglekit_techniques import FlipTTA
from tests.helpers import answer, bringing, build, solution, techniques_of, toy

weights = st.floats(0, 1)
images = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 5), st.integers(1, 7)).map(
    lambda shape: torch.arange(float(torch.tensor(shape).prod())).view(shape)
)


def flipped(weight: float, views):
    """What FlipTTA makes of `views`, as pluggy would ask it."""
    wrapper = FlipTTA(weight).kk_tta()
    next(wrapper)
    with pytest.raises(StopIteration) as stop:
        wrapper.send(views)
    return stop.value.value


def by_name(views) -> dict[str, float]:
    """The weight of each view."""
    return {view.name: view.weight for view in views}


@given(weights)
def test_the_weights_sum_to_one_and_the_image_as_it_is_comes_first(weight):
    views = flipped(weight, (identity(),))
    assert [v.name for v in views] == ["identity", "hflip"]
    assert [v.weight for v in views] == [weight, 1 - weight]


@given(weights, weights, images)
def test_every_view_is_undone_exactly_also_where_images_are_not_square(first, second, image):
    views = [*flipped(first, (identity(),)), *flipped(second, flipped(first, (identity(),)))]
    assert len(views) >= 4
    for view in views:
        assert torch.equal(view.undo(view.do(image)), image)
        assert view.do(image).shape == image.shape


def test_the_mirrored_view_is_mirrored_left_to_right():
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]])
    assert hflip().do(image).tolist() == [[[[3, 2, 1], [6, 5, 4]]]]


@given(weights, weights)
def test_flips_that_are_applied_twice_weigh_the_image_and_its_mirror_image_as_they_should(first, second):
    image = torch.tensor([[[[1.0, 2.0]]]])
    mirrored = {True: 0.0, False: 0.0}
    for view in flipped(second, flipped(first, (identity(),))):
        mirrored[not torch.equal(view.do(image), image)] += view.weight
    once = first * (1 - second) + second * (1 - first)
    assert mirrored == pytest.approx({True: once, False: 1 - once})


def test_flips_keep_the_other_views_of_a_competition_and_their_shares():
    class Shift:
        """A view that cannot be confused with a flip: it rolls the image by one row."""

        name, weight = "shift", 0.4
        do = staticmethod(lambda x: x.roll(1, -2))
        undo = staticmethod(lambda x: x.roll(-1, -2))

    views = flipped(0.75, (identity(0.6), Shift))
    assert by_name(views) == pytest.approx({"identity": 0.45, "hflip": 0.15, "shift": 0.3, "shift+hflip": 0.1})
    image = torch.arange(12.0).view(1, 1, 4, 3)
    assert all(torch.equal(view.undo(view.do(image)), image) for view in views)
    assert torch.equal(views[-1].do(image), image.roll(1, -2).flip(-1))


@given(images)
def test_views_are_composed_in_order_and_undone_in_reverse(image):
    double, add = [type(identity())(n, 0.5, d, u) for n, d, u in (
        ("double", lambda x: 2 * x, lambda x: x / 2), ("add", lambda x: x + 1, lambda x: x - 1))]  # fmt: skip
    both = compose(double, add)
    assert (both.name, both.weight) == ("double+add", 0.25)
    assert torch.equal(both.do(image), 2 * image + 1) and torch.equal(both.undo(both.do(image)), image)


@given(st.lists(weights, min_size=1, max_size=4), st.lists(weights, min_size=1, max_size=4))
def test_a_product_of_views_keeps_the_sum_of_the_weights(outer, inner):
    made = product([identity(w) for w in outer], [hflip(w) for w in inner])
    assert by_name(made) == pytest.approx({"hflip": sum(outer) * sum(inner)})


@pytest.mark.parametrize("setting", [-0.1, 1.1, float("nan"), "much"])
def test_a_weight_that_is_no_share_is_refused(setting):
    with pytest.raises(RecipeError, match=r"techniques\.flip-tta: "):
        make_technique(FlipTTA, {"identity": setting})


def test_the_default_is_three_quarters_for_the_image_as_it_is():
    assert make_technique(FlipTTA, {}).identity == 0.75


def test_a_solution_with_flips_answers_with_both_views():
    assert by_name(toy(FlipTTA).views()) == {"identity": 0.75, "hflip": 0.25}


def test_a_competition_that_flips_already_stays_within_the_laws():
    registry = build(
        toy=bringing("toy", kk_tta=answer((identity(0.5), hflip(0.5)), "kk_tta")), more=techniques_of(FlipTTA)
    )
    views = solution(registry, techniques=["flip-tta"]).views()
    assert sum(v.weight for v in views) == pytest.approx(1) and views[0].name == "identity"
