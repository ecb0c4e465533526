"""Proposals: the known solution first, a fixed mix after it, nothing twice, nothing outside the space."""

import math
from collections import Counter

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from kagglekit.search.propose import Config, near, propose
from kagglekit.search.space import contains
from tests.search.planted import SPACE

START = {"lr": 1e-3, "decoder": "unet", "loss.dice": 0.5}


def test_the_recipe_is_the_first_trial_and_half_of_the_others_are_random():
    found = propose(SPACE, START, [], {}, 41, seed=0)
    assert found[0] == Config(0, START, "recipe")
    assert Counter(c.origin for c in found[1:]) == {"random": 20, "near recipe": 20}


def test_results_turn_part_of_the_proposals_towards_the_best_so_far():
    known = propose(SPACE, START, [], {}, 40, seed=0)
    scores = {c.number: -abs(math.log10(c.params["lr"]) + 2) for c in known}  # best at 0.01
    found = propose(SPACE, START, known, scores, 40, seed=0)
    assert Counter(c.origin for c in found) == {"random": 20, "near recipe": 10, "near best": 10}
    distance = {o: np.mean([abs(math.log10(c.params["lr"]) + 2) for c in found if c.origin == o])
                for o in ("near best", "random")}  # fmt: skip
    assert distance["near best"] < distance["random"] / 1.5


def test_without_the_prior_nothing_comes_from_the_recipe():
    found = propose(SPACE, None, [], {}, 12, seed=0)
    assert {c.origin for c in found} == {"random"} and found[0].params != START
    more = propose(SPACE, None, found, {c.number: c.params["lr"] for c in found}, 12, seed=0)
    assert {c.origin for c in more} == {"random", "near best"}


def test_proposals_depend_on_seed_number_and_results_alone():
    one = propose(SPACE, START, [], {}, 12, seed=3)
    assert one == propose(SPACE, START, [], {}, 12, seed=3)
    assert one[1:] != propose(SPACE, START, [], {}, 12, seed=4)[1:]
    scores = {c.number: c.params["lr"] for c in one}
    assert propose(SPACE, START, one, scores, 8, 3) == propose(SPACE, START, one, dict(reversed(scores.items())), 8, 3)


def test_nothing_is_proposed_twice_and_a_small_space_ends():
    space = {"decoder": CategoricalDistribution(["a", "b", "c"]), "ema": CategoricalDistribution([0.0, 0.9])}
    found = propose(space, {"decoder": "a", "ema": 0.0}, [], {}, 16, seed=0)
    assert sorted((c.params["decoder"], c.params["ema"]) for c in found) == [
        (d, e) for d in "abc" for e in (0.0, 0.9)
    ]  # fmt: skip


def test_everything_proposed_lies_in_the_space():
    space = {
        "a": FloatDistribution(1e-4, 1.0, log=True),
        "b": IntDistribution(2, 9),
        "c": FloatDistribution(0.0, 1.0, step=0.25),
        "d": CategoricalDistribution([True, False]),
        "e": IntDistribution(1, 64, log=True),
    }
    start = {"a": 5.0, "b": 100, "c": 0.3, "d": "elsewhere"}  # outside, and one that is not known
    for config in propose(space, start, [], {}, 60, seed=1)[1:]:
        assert config.params.keys() == space.keys()
        assert all(contains(space[k], v) for k, v in config.params.items()), config
        assert type(config.params["b"]) is int and config.params["c"] % 0.25 == 0


def test_a_step_away_from_the_recipe_moves_some_settings_a_little():
    rng = np.random.default_rng(0)
    steps = [near(SPACE, START, rng) for _ in range(400)]
    moved = [sum(step[k] != START[k] for k in START) for step in steps]
    assert min(moved) >= 1 and 1.2 < np.mean(moved) < 1.9
    far = [abs(math.log10(step["lr"]) + 3) for step in steps if step["lr"] != START["lr"]]
    assert 0.3 < np.median(far) < 1.0  # of four decades


def test_results_that_lie_outside_a_narrowed_space_are_not_modelled():
    wide = propose(SPACE, None, [], {}, 12, seed=0)
    narrow = SPACE | {"lr": FloatDistribution(9e-2, 1e-1, log=True)}
    found = propose(narrow, None, wide, {c.number: 1.0 for c in wide}, 8, seed=0)
    assert {c.origin for c in found} == {"random"}
