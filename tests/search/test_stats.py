"""Statistics of a ladder: intervals that hold what they promise on planted searches."""

import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from kagglekit.search.promote import Candidate, promote
from kagglekit.search.stats import agreement, importances, paired, regret
from kagglekit.search.summary import summarize
from tests.search.planted import correlated, plan, planted_scores, search


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.1, 0.6, 0.95])
def test_the_interval_of_the_rank_correlation_covers_the_planted_one(tmp_path, rho):
    covered = warned = 0
    for seed in range(200):
        low, high = planted_scores(rho, 32, seed)
        climbing = promote([Candidate(i, s) for i, s in enumerate(low)], 4, 4, [seed])
        found = agreement(low, list(climbing), [high[i] for i in climbing], seed)
        covered += found.spearman.low <= rho <= found.spearman.high
        warned += bool(found.warning)
    assert covered >= 180
    if rho == 0.1:
        assert warned >= 180


def test_a_search_whose_lower_rung_means_little_warns(tmp_path):
    ladder = search(tmp_path, plan(trials=24, promote=4, controls=4, prior=False), correlated(0.1, 5))
    result = summarize(ladder)
    [found] = result["agreement"]
    assert found["count"] == 8 and found["total"] == 24 and found["spearman"]["low"] <= 0.1 <= found["spearman"]["high"]
    assert result["warnings"] == [found["warning"]] and found["warning"].startswith("rung 1 to 2: ")


def test_the_correlation_of_the_promoted_alone_would_be_too_small_and_is_not_what_is_said():
    rng = np.random.default_rng(0)
    low = rng.normal(size=4000)
    high = 0.8 * low + 0.6 * rng.normal(size=4000)
    best = np.argsort(-low)[:60]
    plain = np.corrcoef(low[best], high[best])[0, 1]
    found = agreement(low[:400], np.argsort(-low[:400])[:30], high[np.argsort(-low[:400])[:30]])
    assert plain < 0.5 and found.spearman.low <= 0.79 <= found.spearman.high


def test_agreement_is_the_same_for_any_rising_change_of_the_scores():
    rng = np.random.default_rng(1)
    low, high = rng.normal(size=20), rng.normal(size=8)
    both = list(range(8))
    assert agreement(low, both, high) == agreement(np.exp(low), both, high**3)


def test_perfect_and_reversed_order_are_recognised():
    low, both = list(range(12)), list(range(12))
    same, opposite = agreement(low, both, low), agreement(low, both, low[::-1])
    assert same.spearman.value > 0.95 and same.spearman.high == pytest.approx(1) and same.warning == ""
    assert opposite.kendall.value < -0.9 and "does not rank" in opposite.warning


def test_too_few_pairs_and_equal_scores_say_nothing():
    assert agreement([1, 2, 3], [0, 1, 2], [1, 2, 3]) is None
    assert agreement([1, 1, 1, 1], [0, 1, 2, 3], [1, 2, 3, 4]) is None
    assert agreement([1, 2, 3, 4], [0, 1, 2, 3], [1, 1, 1, 1]) is None


def test_regret_is_what_the_leader_of_the_lower_rung_misses():
    assert regret({3: 0.5, 7: 0.75}, 3) == 0.25 and regret({3: 0.5, 7: 0.25}, 3) == 0 and regret({7: 0.2}, 3) is None


def test_a_paired_difference_forgets_what_images_have_in_common():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1, 200)
    ours, theirs = hard + 0.01 + rng.normal(0, 0.01, 200), hard + rng.normal(0, 0.01, 200)
    found = paired([ours], [theirs])
    assert 0.005 < found.low < found.value < found.high < 0.015
    assert paired([theirs], [theirs]).high == 0


def test_the_paired_interval_covers_the_planted_difference():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = paired([rng.normal(0.02, 0.1, 60)], [np.zeros(60)], seed)
        covered += found.low <= 0.02 <= found.high
    assert covered >= 88


def test_the_setting_that_matters_is_named_first():
    rng = np.random.default_rng(0)
    space = {"a": FloatDistribution(0, 1), "b": CategoricalDistribution(["x", "y"]), "c": FloatDistribution(0, 1)}
    params = [{"a": float(rng.random()), "b": "xy"[int(rng.integers(2))], "c": float(rng.random())} for _ in range(60)]
    found = importances(params, space, [-((p["a"] - 0.5) ** 2) for p in params])
    assert next(iter(found)) == "a" and all(0 <= one.low <= one.high <= 1 for one in found.values())
    assert math.isclose(sum(one.value for one in found.values()), 1, rel_tol=1e-6)


def test_few_trials_have_no_importances():
    space = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}
    assert importances([{"a": 0.1, "b": 0.2}] * 5, space, [1, 2, 3, 4, 5]) == {}
