"""What an epoch draws: reproducible, of the length that is promised, and in the proportions that are asked for."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Box, DataError, Draw, RecipeError, Sample
from kagglekit.data.sampling import Shuffle
from kagglekit.data.windows import windows_with_tissue
from kagglekit.types import Tiling
from kagglekit_techniques import BalancedClasses, GroupLimit, MaskFractionBins, RandomWindows, WeightedDraws
from kagglekit_techniques.shown import classes_shown, foreground_share
from kagglekit_techniques.wrapped_samplers import Binned, Limited, Weighted, in_proportion, repeat_factors
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.toy_data import discs, filled

KINDS = (BalancedClasses, GroupLimit, MaskFractionBins, RandomWindows, WeightedDraws)


def grouped(sizes, **fields) -> list[Sample]:
    """Samples a0, a1 ... of groups a, b ... of these sizes; of size 0: one sample without a group."""
    return [
        Sample(f"{chr(97 + g)}{i}", Path("/nowhere"), (8, 8), i, chr(97 + g) if size else "", **fields)
        for g, size in enumerate(sizes)
        for i in range(size or 1)
    ]


def shuffle(samples) -> Shuffle:
    return Shuffle(tuple(Draw(s) for s in samples), 0)


def ids(draws) -> list[str]:
    return [draw.sample.id for draw in draws]


def solved(*techniques, seed=0):
    registry = build(toy=bringing("toy", competition=competition()), more=techniques_of(*KINDS))
    return solution(registry, techniques=list(techniques), seed=seed, fidelity={"image_size": 32})


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(1, 4), st.integers(0, 20))
def test_an_epoch_shows_at_most_so_many_of_a_group_and_all_take_their_turns(sizes, most, epoch):
    samples = grouped(sizes)
    limited = Limited(shuffle(samples), Limited.turns_of(samples, 3), most)
    rounds = -(-max([*sizes, 1]) // most)
    seen = Counter()
    for e in range(epoch, epoch + rounds):
        drawn = ids(limited(e))
        assert drawn == ids(limited(e)) and len(set(drawn)) == len(drawn)
        assert Counter(i[0] for i in drawn) == {chr(97 + g): min(most, size or 1) for g, size in enumerate(sizes)}
        seen.update(drawn)
    assert set(seen) == {s.id for s in samples}, "none is left out for good"


def test_turns_do_not_depend_on_the_order_of_the_samples_but_on_the_seed():
    samples = grouped([9, 9])
    turns = Limited.turns_of(samples, 0)
    assert turns == Limited.turns_of(samples[::-1], 0) != Limited.turns_of(samples, 1)


def test_images_that_belong_to_no_group_have_no_group_to_be_limited(tmp_path):
    dataset = discs(6)
    store = filled(tmp_path, dataset)
    drawn = ids(solved("group-limit").sampler(dataset, dataset.train, store)(0))
    assert len(drawn) == 6, "two of each of three groups"
    one = solved({"name": "group-limit", "settings": {"most": 1}}).sampler(dataset, dataset.train, store)
    assert len(ids(one(0))) == 3 and set(ids(one(0))) | set(ids(one(1))) == {s.id for s in dataset.train}
    few = solved("group-limit").sampler(dataset, dataset.train[::2], store)
    assert len(ids(few(0))) == 3, "a subset in which every group has one image is no error"
    dataset.samples = [replace(s, group="") for s in dataset.samples]
    with pytest.raises(RecipeError, match=r"techniques\.group-limit: no two images .* use --without group-limit"):
        solved("group-limit").sampler(dataset, dataset.train, store)


@settings(max_examples=100)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.integers(0, 60), st.integers(0, 99))
def test_draws_in_proportion_are_as_many_as_the_share_says_rounded_down_or_up(weights, count, seed):
    weights = np.array(weights)
    weights[weights < 1e-6] = 0
    if not weights.any():
        weights[0] = 1
    drawn = in_proportion(weights, count, np.random.default_rng(seed))
    wanted = count * weights / weights.sum()
    got = np.bincount(drawn, minlength=len(weights))
    assert got.sum() == count and (np.abs(got - wanted) < 1 + 1e-6).all() and not got[weights == 0].any()


def test_of_equal_weights_every_image_is_drawn_once_as_if_there_were_none():
    samples = grouped([0] * 40)
    weighted = Weighted(shuffle(samples), {s.id: 0.3 for s in samples}, 5)
    for epoch in range(3):
        assert sorted(ids(weighted(epoch))) == sorted(s.id for s in samples)
    assert ids(weighted(0)) == ids(weighted(0)) != ids(weighted(1))


def test_repeat_factors_are_those_of_the_paper():
    shown = [(0,)] * 90 + [(0, 1)] * 9 + [(2,)] + [()] * 0
    factors = repeat_factors(shown, 0.25, 3.0)
    assert factors[0] == 1.0, "a class of 99%"
    assert factors[95] == pytest.approx(np.sqrt(0.25 / 0.09)), "the largest factor of its classes"
    assert factors[99] == 3.0 and np.sqrt(0.25 / 0.01) > 3.0, "at most the limit"
    assert repeat_factors([(), (0,)], 0.5, 9.0) == [1.0, 1.0]


def test_images_with_a_rare_class_come_more_often_and_an_epoch_stays_as_long(tmp_path):
    dataset = discs(40)
    dataset.samples = [replace(s, classes=(0,) if i % 20 else (0, 1)) for i, s in enumerate(dataset.samples)]
    store = filled(tmp_path, dataset)
    made = solved({"name": "balanced-classes", "settings": {"threshold": 0.8}}).sampler(dataset, dataset.train, store)
    counts = Counter(i for epoch in range(50) for i in ids(made(epoch)))
    assert sum(counts.values()) == 50 * 40
    rare = np.mean([counts[f"s{i:03d}"] for i in (0, 20)])
    common = np.mean([counts[f"s{i:03d}"] for i in range(40) if i % 20])
    assert rare / common == pytest.approx(np.sqrt(0.8 / 0.05), rel=0.08)


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_classes_are_looked_for_in_masks_where_the_data_set_says_nothing(tmp_path, task):
    dataset = discs(3, task=task)
    store = filled(tmp_path, dataset, classes={"binary": 1, "multilabel": 2, "multiclass": 2}[task])
    expected = {"binary": (0,), "multilabel": (0, 1), "multiclass": (1,)}[task]
    assert classes_shown(dataset.train, store) == [expected] * 3
    told = [replace(dataset.train[0], classes=(0, 1)), *dataset.train[1:]]
    assert classes_shown(told, store) == [(1,) if task == "multiclass" else (0, 1), (), ()]


class Masks:
    """A store of masks alone, of which a share given by the sample's label is foreground."""

    def read(self, sample, box=None):
        mask = np.zeros(1000, np.uint8)
        mask[: round(1000 * sample.label)] = 1
        return None, mask.reshape(10, 100)


def shares(values) -> list[Sample]:
    return [Sample(f"p{i:03d}", Path("/nowhere"), (10, 100), value) for i, value in enumerate(values)]


def test_half_is_empty_and_bins_of_mask_fractions_are_drawn_equally():
    samples = shares([0] * 60 + [0.01] * 20 + [0.05] * 10 + [0.1] * 6 + [0.5] * 3 + [0.9])
    binned = Binned(shuffle(samples), Masks(), 4, 0)
    for epoch in range(4):
        drawn = list(binned(epoch))
        assert ids(drawn) == ids(binned(epoch)) and len(drawn) == 100
        found = Counter(-1 if not d.sample.label else min(4, round(20 * d.sample.label)) for d in drawn)
        assert set(found) == {-1, 0, 1, 2, 4}
        assert found[-1] in (49, 50, 51) and all(n in (12, 13) for b, n in found.items() if b >= 0)
        once = Counter(ids(drawn))
        assert max(once[s.id] for s in samples[:80]) == 1, "none comes twice before all of its bin were there"
    assert ids(binned(0)) != ids(binned(1))


@pytest.mark.parametrize("values", [[0, 0, 0], [0.2, 0.3, 0.9]])
def test_where_all_or_none_show_something_an_epoch_is_still_as_long(values):
    assert len(list(Binned(shuffle(shares(values)), Masks(), 4, 0)(0))) == 3
    assert list(Binned(shuffle([]), Masks(), 4, 0)(0)) == []


def tiled_world(tmp_path):
    dataset = discs(3, ((160, 192),), tiling=Tiling(reduce=1))
    return dataset, filled(tmp_path, dataset)


def test_windows_are_balanced_by_what_each_shows_also_those_drawn_at_random(tmp_path):
    dataset, store = tiled_world(tmp_path)
    for techniques in (["mask-fraction-bins"], ["random-windows", "mask-fraction-bins"]):
        inner = solved(*techniques[:-1]).sampler(dataset, dataset.train, store)
        made = solved(*techniques).sampler(dataset, dataset.train, store)
        before, drawn = list(inner(1)), list(made(1))
        assert len(drawn) == len(before) and set(drawn) <= set(before) and drawn == list(made(1))
        empty = sum(foreground_share(store, d) == 0 for d in drawn)
        assert any(foreground_share(store, d) == 0 for d in before) and abs(empty - len(drawn) / 2) <= 1
    assert not made._shares, "windows that never come back are not remembered"


def test_the_share_of_a_window_is_that_of_its_box(tmp_path):
    dataset, store = tiled_world(tmp_path)
    for draw in windows_with_tissue(store, dataset.train, 32, 32):
        _, mask = store.read(draw.sample, draw.box)
        assert foreground_share(store, draw) == pytest.approx((mask > 0).mean())
    whole = Draw(dataset.train[0], Box(0, 0, 160, 192))
    assert foreground_share(store, whole) == foreground_share(store, Draw(dataset.train[0]))


@pytest.mark.parametrize("name", ["group-limit", "balanced-classes"])
def test_what_needs_whole_images_refuses_tiled_ones(tmp_path, name):
    dataset, store = tiled_world(tmp_path)
    with pytest.raises(RecipeError, match=rf"techniques\.{name}: needs whole images.*use --without {name}"):
        solved(name).sampler(dataset, dataset.train, store)


def weighed(tmp_path, text, **more):
    dataset = discs(4)
    store = filled(tmp_path / "store", dataset)
    path = tmp_path / "weights.csv"
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8")
    made = solved({"name": "weighted-draws", "settings": {"file": str(path), **more}})
    return made.sampler(dataset, dataset.train, store)


def test_weights_of_a_file_say_how_often_each_image_is_drawn(tmp_path):
    made = weighed(tmp_path, "sample,weight\r\ns003,0\ns000,1e0\ns001,1\ns002,2\n")
    for epoch in range(5):
        assert Counter(ids(made(epoch))) == {"s000": 1, "s001": 1, "s002": 2}
    assert ids(made(2)) == ids(made(2))


GOOD = "sample,weight\ns000,1\ns001,1\ns002,1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begins with nothing"),
        ("s000,1\n", "must begin with the line sample,weight; it begins with s000,1"),
        (GOOD, r"1 training image\(s\) have no weight, the first is s003"),
        (GOOD + "s003\n", "line 5: has 1 values"),
        (GOOD + "s003,1,2\n", "line 5: has 3 values"),
        (GOOD + "s030,1\n", "line 5: 's030' is no training image; did you mean s0"),
        (GOOD + "s002,1\n", "line 5: s002 is listed twice"),
        (GOOD + "s003,-1\n", "line 5: '-1' is no weight; expected a number of 0 or more"),
        (GOOD + "s003,nan\n", "line 5: 'nan' is no weight"),
        (GOOD + "s003,inf\n", "line 5: 'inf' is no weight"),
        (GOOD + "s003,much\n", "line 5: 'much' is no weight"),
        (GOOD.replace(",1", ",0") + "s003,0\n", "every training image has a weight of 0"),
        (b"\xff\xfe\x00s", "is no CSV in UTF-8"),
        (GOOD + 's003,"1\n', "is no CSV in UTF-8"),
    ],
)
def test_a_faulty_file_of_weights_is_refused_with_line_and_reason(tmp_path, text, said):
    with pytest.raises(DataError, match=rf"weights\.csv: .*{said}"):
        weighed(tmp_path, text)


def test_the_content_of_the_file_is_part_of_the_recipe(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text("sample,weight\ns000,1\n")
    one = WeightedDraws(str(path))
    assert WeightedDraws(str(path), one.content) == one
    path.write_text("sample,weight\ns000,2\n")
    assert WeightedDraws(str(path)).content != one.content
    dataset = discs(4)
    stated = solved({"name": "weighted-draws", "settings": {"file": str(path), "content": one.content}})
    with pytest.raises(RecipeError, match="has changed since this recipe was made"):
        stated.sampler(dataset, dataset.train, filled(tmp_path, dataset))
    path.unlink()
    assert WeightedDraws(str(path), one.content) == one, "whoever predicts needs no weights"


def test_a_missing_file_and_none_at_all_are_refused(tmp_path):
    dataset = discs(4)
    with pytest.raises(RecipeError, match=r"weighted-draws\.file: .*none\.csv does not exist"):
        settings_ = {"file": str(tmp_path / "none.csv")}
        solved({"name": "weighted-draws", "settings": settings_}).sampler(
            dataset, dataset.train, filled(tmp_path, dataset)
        )
    with pytest.raises(RecipeError, match=r"weighted-draws\.file: names no file; .* --with weighted-draws:file=PATH"):
        solved("weighted-draws").sampler(dataset, dataset.train, filled(tmp_path, dataset))


def test_if_all_that_can_be_drawn_weighs_nothing_it_is_said():
    samples = grouped([0, 0])
    with pytest.raises(RecipeError, match="weight of 0"):
        Weighted(shuffle(samples), {s.id: 0.0 for s in samples}, 0)(0)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (GroupLimit, {"most": 0}),
        (BalancedClasses, {"threshold": 0}),
        (BalancedClasses, {"limit": 0.5}),
        (MaskFractionBins, {"cap": 21}),
    ],
)
def test_settings_out_of_range_are_refused(kind, bad):
    with pytest.raises(RecipeError, match=rf"techniques\.{kind.name}"):
        solved({"name": kind.name, "settings": bad})
