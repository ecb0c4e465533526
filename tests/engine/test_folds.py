"""Splits and subsets: laws that hold for any samples."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kagglekit.data.folds import assign, keyed, split, subset
from kagglekit.errors import DataError
from kagglekit.types import Sample


def make(groups: list[int], strata: list[int] | None = None) -> list[Sample]:
    """One sample per entry, of the person and the stratum given; person 0 means none."""
    strata = strata or [0] * len(groups)
    return [
        Sample(f"s{i:04d}", Path("/none"), (8, 8), group=f"g{g}" if g else "", stratum=s)
        for i, (g, s) in enumerate(zip(groups, strata, strict=True))
    ]


many = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=60).map(
    lambda pairs: make([g for g, _ in pairs], [s for _, s in pairs])
)
seeds = st.integers(0, 2**31 - 1)
fractions = st.floats(0.001, 1.0)


def people(samples) -> set[str]:
    return {s.group or s.id for s in samples}


@settings(max_examples=150, deadline=None)
@given(many, st.integers(2, 6), seeds)
def test_no_group_stands_on_both_sides_and_every_sample_is_held_out_once(samples, folds, seed):
    assume(len(people(samples)) >= folds)
    held_out = []
    for fold in range(folds):
        train, validation = split(samples, folds, fold, seed)
        assert not people(train) & people(validation)
        assert sorted(s.id for s in [*train, *validation]) == [s.id for s in samples]
        assert validation, "a fold is empty"
        assert [s.id for s in train] == sorted(s.id for s in train), "the order of the samples is lost"
        held_out += [s.id for s in validation]
    assert sorted(held_out) == [s.id for s in samples]


@settings(max_examples=100, deadline=None)
@given(many, st.integers(2, 6), seeds, st.randoms(use_true_random=False))
def test_the_split_does_not_depend_on_the_order_of_the_samples(samples, folds, seed, random):
    assume(len(people(samples)) >= folds)
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert assign(samples, folds, seed) == assign(shuffled, folds, seed)
    assert {s.id for s in split(samples, folds, 0, seed)[1]} == {s.id for s in split(shuffled, folds, 0, seed)[1]}


@settings(max_examples=100, deadline=None)
@given(many, fractions, seeds, st.randoms(use_true_random=False))
def test_a_subset_does_not_depend_on_the_order_of_the_samples(samples, fraction, seed, random):
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert {s.id for s in subset(samples, fraction, seed)} == {s.id for s in subset(shuffled, fraction, seed)}


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    samples = make(list(range(1, 81)))
    first = [s.id for s in split(samples, 10, 0, 7)[1]]
    assert first == [s.id for s in split(samples, 10, 0, 7)[1]]
    others = {tuple(s.id for s in split(samples, 10, 0, seed)[1]) for seed in range(20)}
    assert len(others) == 20


def test_the_split_is_the_same_on_every_machine():
    samples = make([i // 3 for i in range(30)], [i % 4 for i in range(30)])
    assert " ".join(s.id for s in split(samples, 5, 2, 11)[1]) == "s0000 s0001 s0002 s0009 s0010 s0011"
    assert " ".join(s.id for s in subset(samples, 0.2, 11)) == "s0010 s0011 s0012 s0017 s0024 s0029"
    assert keyed(1, "fold", "x") == 0.963340523873187


def test_sizes_and_strata_are_balanced_over_folds():
    groups = [1 + i // 4 for i in range(400)]
    strata = [(i // 4) % 5 for i in range(400)]
    folds = [split(make(groups, strata), 10, f, 0)[1] for f in range(10)]
    assert [len(f) for f in folds] == [40] * 10
    for fold in folds:
        assert Counter(s.stratum for s in fold) == dict.fromkeys(range(5), 8)


def test_groups_of_very_different_sizes_still_make_folds_of_like_size():
    groups = [g for g in range(1, 61) for _ in range(1 + (g * g) % 17)]
    sizes = [len(split(make(groups), 5, f, 3)[1]) for f in range(5)]
    assert sum(sizes) == len(groups)
    assert max(sizes) - min(sizes) <= 2


def test_samples_without_a_group_are_groups_of_their_own():
    samples = make([0] * 20)
    assert [len(split(samples, 10, f, 0)[1]) for f in range(10)] == [2] * 10


@pytest.mark.parametrize(("groups", "folds"), [([1, 1, 2, 2], 3), ([0] * 9, 10)])
def test_too_few_groups_are_an_error_that_says_what_would_work(groups, folds):
    count = len(people(make(groups)))
    with pytest.raises(DataError, match=rf"{count} group\(s\).*{folds} folds.*-o folds={count} or fewer"):
        split(make(groups), folds, 0, 0)


@pytest.mark.parametrize(
    ("groups", "told"), [([1] * 9, "all 9 samples are of one group"), ([0], "1 sample"), ([], "0 ")]
)
def test_one_group_can_be_split_by_no_number_of_folds_and_the_error_says_so(groups, told):
    with pytest.raises(
        DataError, match=rf"^{told}.*no number of folds helps\. Bring samples of another group"
    ) as caught:
        split(make(groups), 4, 0, 0)
    assert "-o folds" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(many, fractions, fractions, seeds)
def test_a_smaller_subset_lies_within_every_larger_one(samples, a, b, seed):
    small, large = (subset(samples, fraction, seed) for fraction in sorted((a, b)))
    assert {s.id for s in small} <= {s.id for s in large}
    assert len(small) >= 1
    assert [s.id for s in large] == sorted(s.id for s in large)


@settings(max_examples=150, deadline=None)
@given(many, fractions, seeds)
def test_a_subset_has_the_asked_part_rounded_up(samples, fraction, seed):
    wanted = fraction * len(samples)
    assert wanted - 1e-6 <= len(subset(samples, fraction, seed)) < wanted + 1


@settings(max_examples=150, deadline=None)
@given(many, fractions, seeds)
def test_every_stratum_of_a_subset_is_in_proportion(samples, fraction, seed):
    part = subset(samples, fraction, seed)
    share = len(part) / len(samples)
    whole, taken = Counter(s.stratum for s in samples), Counter(s.stratum for s in part)
    for stratum, count in whole.items():
        assert abs(taken[stratum] - share * count) <= 1.5


def test_a_twentieth_lies_within_a_quarter_within_all():
    samples = make([1 + i // 2 for i in range(1000)], [i % 10 for i in range(1000)])
    parts = [subset(samples, fraction, 0) for fraction in (0.05, 0.25, 1.0)]
    assert [len(p) for p in parts] == [50, 250, 1000]
    assert {s.id for s in parts[0]} < {s.id for s in parts[1]} < {s.id for s in parts[2]}
    assert Counter(s.stratum for s in parts[1]) == dict.fromkeys(range(10), 25)


def test_a_tiny_fraction_still_takes_one_sample():
    assert len(subset(make([1, 2, 3]), 0.001, 0)) == 1


def test_the_seed_changes_a_subset():
    samples = make(list(range(1, 101)))
    assert len({tuple(s.id for s in subset(samples, 0.1, seed)) for seed in range(10)}) == 10


def test_keys_spread_evenly():
    keys = [keyed(0, "x", str(i)) for i in range(2000)]
    assert all(0 <= k < 1 for k in keys)
    assert 0.48 < sum(keys) / 2000 < 0.52
    assert max(Counter(int(k * 10) for k in keys).values()) < 260
