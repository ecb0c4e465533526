"""Promotion: merit, diversity, the recipe, controls."""

from collections import Counter

from kagglekit.search.promote import Candidate, kind_of, promote


def ranked(count: int, kinds: str = "") -> list[Candidate]:
    """Candidates 0, 1, ... from the best down."""
    return [Candidate(i, -float(i), kinds[i] if kinds else str(i)) for i in range(count)]


def test_the_best_climb_in_their_order():
    assert promote(ranked(8), 3, 0, [0]) == {0: "merit", 1: "merit", 2: "merit"}


def test_equal_merits_are_decided_by_number():
    assert list(promote([Candidate(2, 1.0, "a"), Candidate(1, 1.0, "b")], 1, 0, [0])) == [1]


def test_the_best_of_each_kind_climb_before_a_second_of_any():
    assert list(promote(ranked(6, "aabbcd"), 3, 0, [0])) == [0, 2, 4]
    assert list(promote(ranked(6, "aabbcd"), 5, 0, [0])) == [0, 1, 2, 4, 5]
    assert list(promote(ranked(6, "aaabcd"), 1, 0, [0])) == [0]
    assert list(promote(ranked(6, "aaaabb"), 4, 0, [0])) == [0, 1, 4, 5]
    assert list(promote(ranked(6, "aaaaab"), 4, 0, [0])) == [0, 1, 2, 5]
    assert list(promote(ranked(3, "aaa"), 3, 0, [0])) == [0, 1, 2]


def test_controls_are_drawn_evenly_from_those_left():
    drawn = Counter()
    for seed in range(600):
        climbing = promote(ranked(6), 2, 1, [seed])
        [control] = [n for n, why in climbing.items() if why == "control"]
        drawn[control] += 1
    assert set(drawn) == {2, 3, 4, 5} and min(drawn.values()) > 110


def test_controls_depend_on_the_seed_alone_and_end_with_the_candidates():
    assert promote(ranked(9), 2, 3, [5, 1]) == promote(list(reversed(ranked(9))), 2, 3, [5, 1])
    assert len(promote(ranked(3), 2, 9, [0])) == 3
    assert promote([], 2, 2, [0]) == {}


def test_trials_of_a_kind_share_encoder_and_decoder():
    assert kind_of({"lr": 1, "decoder": "fpn", "encoder": "e"}) == "e fpn" and kind_of({"lr": 1}) == ""
