"""Rules on labels: each planted flaw is found by its rule, faultless labels by none, whatever the task."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import RecipeError
from kagglekit.plugin.solution import make_technique
from kagglekit_techniques import LabelRules
from kagglekit_techniques.label_facts import Fit, areas_of, colours_of, fit_of, measure, pieces_of, separation
from kagglekit_techniques.label_rules import LEAST, robust_z
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.techniques import flawed
from tests.techniques.flawed import CLASSES, Flawed, blob, scene


def found_in(dataset: Flawed, *kinds: type, **settings) -> dict[str, set[str]]:
    """Rules by sample that distrust it, asked through a solution."""
    toy = bringing("toy", competition=competition(task=dataset.task, classes=CLASSES[dataset.task]))
    registry = build(toy=toy, extra=techniques_of(*(kinds or (LabelRules,))))
    specs = [{"name": kind.name, "settings": settings if kind is LabelRules else {}} for kind in kinds or (LabelRules,)]
    found: dict[str, set[str]] = {}
    for one in solution(registry, techniques=specs).clean(dataset):
        found.setdefault(one.sample, set()).add(one.rule.removeprefix("label-rules/"))
    return found


FLAWS = {
    3: (flawed.empty, "empty"),
    9: (flawed.tiny, "tiny"),
    14: (flawed.huge, "huge"),
    21: (flawed.small, "area"),
    28: (flawed.turned, "turned"),
    33: (flawed.wide, "loose"),
    37: (flawed.shredded, "fragmented"),
}


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_every_planted_flaw_is_found_by_its_rule_and_faultless_labels_by_none(task):
    found = found_in(Flawed(48, {i: spoil for i, (spoil, _) in FLAWS.items()}, task=task))
    assert set(found) == {f"s{i:03d}" for i in FLAWS}
    assert {i for i, (_, rule) in FLAWS.items() if rule not in found[f"s{i:03d}"]} == set()


def test_faultless_labels_are_all_trusted_and_a_damaged_image_is_left_to_the_run():
    assert found_in(Flawed(40)) == {}
    assert found_in(Flawed(40, {5: flawed.turned}, damaged=("s005", "s006"))) == {}


@pytest.mark.parametrize(
    ("settings", "gone"),
    [
        ({"z": 0.0}, {"area", "fragmented"}),
        ({"tiny": 0.0, "z": 0.0}, {"tiny", "area", "fragmented"}),
        ({"huge": 0.0, "z": 0.0}, {"huge", "area", "fragmented"}),
        ({"empty": -1.0}, {"empty"}),
        ({"loose": 0.0, "turned": 0.0}, {"loose", "turned"}),
    ],
)
def test_every_rule_can_be_switched_off(settings, gone):
    dataset = Flawed(48, {i: spoil for i, (spoil, _) in FLAWS.items()})
    all_rules = set().union(*found_in(dataset).values())
    assert gone <= all_rules
    assert set().union(*found_in(dataset, **settings).values()) & gone == set()


def test_without_the_rules_on_edges_no_image_is_read():
    dataset = Flawed(30, {4: flawed.tiny}, damaged=tuple(f"s{i:03d}" for i in range(30)))
    assert found_in(dataset, loose=0.0, turned=0.0) == {"s004": {"tiny"}}
    assert found_in(dataset) == {}


def test_empty_labels_are_normal_where_many_are_empty():
    few = Flawed(40, dict.fromkeys(range(2), flawed.empty))
    many = Flawed(40, dict.fromkeys(range(0, 40, 3), flawed.empty))
    assert set(found_in(few)) == {"s000", "s001"} and found_in(many) == {}


def test_where_many_labels_fit_better_when_turned_outlines_follow_no_edges_and_nothing_is_said():
    some, many = (Flawed(40, dict.fromkeys(range(0, 40, step), flawed.turned)) for step in (20, 5))
    assert {name for name, rules in found_in(some).items() if "turned" in rules} == {"s000", "s020"}
    assert not any("turned" in rules for rules in found_in(many).values())


def test_of_few_labels_nobody_says_what_is_usual():
    assert found_in(Flawed(LEAST - 1, {2: flawed.small, 5: flawed.wide}), turned=0.0) == {}
    assert found_in(Flawed(LEAST - 1, {2: flawed.tiny}))["s002"] == {"tiny"}


@pytest.mark.parametrize(("channels", "depth"), [(1, "uint8"), (6, "uint8"), (3, "uint16")])
def test_images_of_any_depth_and_number_of_channels_are_judged(channels, depth):
    found = found_in(Flawed(40, {7: flawed.turned, 8: flawed.wide}, channels=channels, depth=depth))
    assert "turned" in found["s007"] and "loose" in found["s008"]


def test_what_other_rules_found_before_stays():
    dataset = Flawed(30, {4: flawed.tiny})
    inner = LabelRules().kk_clean(dataset, competition())
    next(inner)
    with pytest.raises(StopIteration) as done:
        inner.send(["before"])
    assert done.value.value[0] == "before" and [one.sample for one in done.value.value[1:]] == ["s004"]


@given(st.lists(st.floats(-1e3, 1e3), min_size=LEAST, max_size=60), st.floats(0.5, 50), st.floats(-100, 100))
def test_robust_distances_do_not_change_with_scale_and_place_and_one_outlier_does_not_hide_itself(values, scale, shift):
    values = np.array(values) + np.linspace(0, 5, len(values))
    moved = robust_z(values * scale + shift, floor=1e-9)
    np.testing.assert_allclose(moved, robust_z(values, floor=1e-9), rtol=1e-4, atol=1e-4)
    wild = np.append(np.linspace(0, 1, len(values)), 1000.0)
    assert robust_z(wild)[-1] > 100 and abs(robust_z(wild)[:-1]).max() < 4


def test_robust_distances_of_few_or_equal_values_are_zero():
    assert robust_z([1.0, 900.0]).tolist() == [0.0, 0.0]
    assert robust_z([3.0] * 30).tolist() == [0.0] * 30


@given(st.integers(0, 50), st.integers(0, 3))
def test_a_mask_fits_its_image_best_as_it_is_and_turning_back_is_what_a_turned_one_wants(seed, turns):
    mask = blob(seed, (128, 128))
    fit = fit_of(scene(seed, mask), np.rot90(mask, turns) > 0)
    gain, angle = fit.turn()
    assert (gain > 0.3 and angle == 90 * turns) if turns else gain < 0.05
    assert all(0 <= value <= 1 for value in (*fit.edges, *fit.colours))


def test_an_outline_too_short_says_nothing_about_edges():
    mask = np.zeros((128, 128), bool)
    mask[5, 5] = True
    assert fit_of(scene(0, mask), mask) is None
    assert Fit((0.5, 0.6, 0.4, 0.4), (0.5, 0.4, 0.9, 0.9)).turn() == (0.0, 0)


def test_areas_are_shares_of_the_image_by_class():
    label_map = np.array([[0, 1], [2, 2]], np.uint8)
    assert areas_of(label_map, "multiclass", 4) == ((0.25, 0.5, 0.0), 0.75)
    assert areas_of(label_map > 0, "binary", 1) == ((0.75,), 0.75)
    planes = np.stack([label_map > 0, label_map == 1], -1).astype(np.uint8)
    assert areas_of(planes, "multilabel", 2) == ((0.75, 0.25), 0.75)


def test_pieces_are_counted_without_specks():
    shown = np.zeros((40, 40), bool)
    shown[2:6, 2:6] = shown[20:25, 20:25] = shown[35, 35] = True
    assert pieces_of(shown) == 2 and pieces_of(shown & False) == 0


def test_colours_inside_and_outside_are_wholly_apart_or_the_same():
    image = np.zeros((20, 20, 3), np.float32)
    image[:10] = 200
    top = np.zeros((20, 20), bool)
    top[:10] = True
    assert separation(colours_of(image), top) == 1 and separation(colours_of(image), top.T) == 0
    assert separation(colours_of(image), top | True) == 0


@pytest.mark.parametrize(
    "settings", [{"z": -1.0}, {"tiny": 1.0}, {"huge": 1.5}, {"empty": 2.0}, {"turned": 3.0}, {"loose": -1.0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(RecipeError, match=r"techniques\.label-rules: "):
        make_technique(LabelRules, settings)


def test_a_large_image_is_looked_at_band_by_band():
    from kagglekit.types import Tiling

    plain, tiled = Flawed(1, size=(400, 300)), Flawed(1, size=(400, 300), tiling=Tiling(reduce=2))
    one, other = (measure(d, d.train[0], "binary", 1, True) for d in (plain, tiled))
    assert abs(one.share - other.share) < 0.01 and other.fit.edges[0] > 0.85
