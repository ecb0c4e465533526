"""What needs no pixel: counts, groups, problems; which samples and windows are looked at."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kagglekit import Problem, Sample
from kagglekit.eda import counts
from kagglekit.types import Tiling
from tests.helpers import Folder


def of(*groups: str, label=1) -> list[Sample]:
    return [Sample(f"s{i}", Path("x"), (8, 8), label, group) for i, group in enumerate(groups)]


def test_samples_labels_groups_and_skipped_files_are_counted():
    folder = Folder(test=["t"])
    folder.train = [*of("a", "a", "b", ""), *of("c", label=None)]
    folder.problems = [Problem("x", "broken", "why"), Problem("x", "again", "why"), Problem("y", "odd", "", skip=False)]
    assert counts.counts(folder) == {"train": 5, "test": 1, "labelled": 4, "groups": 3, "skipped": 1}


def test_groups_are_counted_by_size_and_those_without_a_label_are_told():
    found = counts.groups([*of("a", "a", "b", ""), *of("c", "c", label=None), *of(*["d"] * 12)])
    assert found["sizes"] == {"1": 1, "2": 2, "10+": 1} and (found["count"], found["alone"]) == (4, 1)
    assert found["unlabelled"] == 1 and found["largest"] == 12
    assert counts.groups(of(""))["count"] == 0 and counts.groups([])["largest"] == 0


def test_problems_are_told_by_rule_with_examples():
    found = counts.problems(
        [Problem(f"s{i}", "broken", "why", damaged=True) for i in range(9)] + [Problem("x", "odd", "")]
    )
    assert [(one["rule"], one["count"], one["damaged"]) for one in found] == [("broken", 9, 9), ("odd", 1, 0)]
    assert len(found[0]["examples"]) == counts.SHOWN


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 3))
def test_a_sample_is_the_same_each_time_in_order_and_as_large_as_it_may_be(number, most, seed):
    samples = of(*[""] * number)
    chosen = counts.sampled(samples, most, seed)
    assert chosen == counts.sampled(samples, most, seed) and len(chosen) == min(number, most)
    assert [int(s.id[1:]) for s in chosen] == sorted({int(s.id[1:]) for s in chosen})


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.integers(1, 4))
def test_windows_lie_within_their_slide_and_are_the_same_each_time(height, width, side, reduce):
    slide = Sample("a", Path("a"), (height, width), 0)
    draws = counts.windows([slide] * 3, Tiling(reduce=reduce), side, 12, 5)
    assert draws == counts.windows([slide] * 3, Tiling(reduce=reduce), side, 12, 5) and len(draws) == 12
    for draw in draws:
        assert draw.box.top >= 0 and draw.box.top + draw.box.height <= height
        assert draw.box.left >= 0 and draw.box.left + draw.box.width <= width
        assert draw.box.height == min(height, side * reduce)
