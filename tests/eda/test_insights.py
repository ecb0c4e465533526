"""What stands out: each fault and each peculiarity that is planted in the facts is said, and nothing else."""

import copy

import pytest

from kagglekit.eda.insights import insights, listing, number
from tests.eda.facts import facts, one_class


def heads(**changes) -> list[str]:
    return [one["head"] for one in insights(facts(**changes))]


def test_even_data_leave_nothing_to_say():
    assert heads() == []


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ({"copies.leaked": 2}, "The parts share images."),
        ({"copies.across_groups": 1}, "Copies may stand on both sides of a fold."),
        ({"drift.verdict": "strong"}, "Test images look clearly unlike training images."),
        ({"counts.skipped": 3}, "Not everything can be used."),
        ({"sampled.looked_train": 90}, "Damaged files."),
        ({"findings.distrusted": 4}, "Labels to look at."),
        ({"empty": 0.3}, "Empty labels."),
        ({"groups.count": 3, "groups.largest": 1}, "Few groups."),
        ({"groups.count": 30, "groups.largest": 9, "groups.mean": 4.0}, "Images belong together."),
        ({"groups.unlabelled": 2}, "Groups without labels."),
        ({"balance": [one_class("a", area=0.001)]}, "Small objects."),
        ({"balance": [one_class("a", several=0.9)]}, "Several pieces."),
        ({"balance": [one_class("a", holes=0.5)]}, "Holes."),
        ({"balance": [one_class("a", edge=0.8)]}, "Cut off at the edge."),
        ({"balance": [one_class("a"), one_class("b", images=0)]}, "Classes without an image."),
        ({"balance": [one_class("a"), one_class("b", images=0.03)]}, "Classes are uneven."),
        ({"balance": [one_class("a", images=0.2), one_class("b", images=0.2)]}, "Absence is the rule."),
        ({"intensity.windows": [{"low": 0, "high": 9, "separates": 0.1}] * 2}, "One intensity window is not enough."),
    ],
)
def test_what_is_planted_is_said_alone(changes, head):
    assert heads(**changes) == [head]


def test_faults_come_before_what_the_data_are_like():
    kinds = [one["kind"] for one in insights(facts(**{"empty": 0.5, "copies.leaked": 1, "counts.skipped": 1}))]
    assert kinds == ["warn", "warn", "note"]


def test_slides_are_cut_and_copied_nowhere():
    cut = facts(**{"balance": [one_class("a", edge=0.9)], "pictures.tiled": True, "copies": None})
    assert insights(copy.deepcopy(cut)) == []


def test_differences_of_few_slides_are_not_taken_for_differences_of_the_parts():
    slides = {"pictures.tiled": True, "drift.verdict": "some", "copies": None}
    assert "single slides" in insights(facts(**slides, **{"counts.test": 1}))[0]["text"]
    assert "single slides" not in insights(facts(**slides, **{"counts.test": 20}))[0]["text"]


def test_numbers_and_names_read_well():
    assert number(1, "group") == "1 group" and number(2, "group") == "2 groups"
    assert (
        listing(["a"]) == "a" and listing(["a", "b"]) == "a and b" and listing(list("abcdef")) == "a, b, c and 3 more"
    )
