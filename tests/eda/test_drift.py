"""Differences of train and test: those that are planted are found, those that are not are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.eda.drift import auc, compare, drift, telling_apart


def images(rng, count: int, shift: float = 0.0, spread: float = 1.0) -> list[dict[str, float]]:
    """Features of images; `shift` moves the brightness, `spread` widens the tonal range."""
    values = rng.normal(0, 1, (count, 3))
    return [{"brightness": a + shift, "tonal range": spread * b, "sharpness": c} for a, b, c in values.tolist()]


def evaluated(train, test, seed: int = 0) -> dict:
    return drift(train, test, [str(i) for i in range(len(train) + len(test))], seed)


def test_a_planted_shift_is_found_and_named():
    rng = np.random.default_rng(0)
    found = evaluated(images(rng, 200), images(rng, 80, shift=1.5))
    assert found["verdict"] == "strong" and found["auc"]["low"] > 0.75
    assert [one["name"] for one in found["features"] if one["differs"]] == ["brightness"]


def test_a_part_that_only_spreads_wider_is_told_apart_too():
    rng = np.random.default_rng(1)
    found = evaluated(images(rng, 300), images(rng, 200, spread=4.0))
    assert found["verdict"] != "none" and found["auc"]["low"] > 0.6


def test_parts_from_one_source_are_hardly_ever_called_different():
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng(100 + seed)
        alarms += evaluated(images(rng, 120), images(rng, 60), seed)["verdict"] != "none"
    assert alarms <= 2


def test_nothing_is_said_of_a_handful_and_of_features_that_are_the_same_for_all():
    rng = np.random.default_rng(2)
    assert evaluated(images(rng, 100), images(rng, 4))["verdict"] == "unknown"
    same = [{"megapixels": 1.0, "b": float(i % 7)} for i in range(40)]
    assert [one["name"] for one in evaluated(same, same)["features"]] == ["b"]
    assert evaluated([{"a": 1.0}] * 9, [{"a": 1.0}] * 9) == {
        "verdict": "none", "features": [], "auc": None, "train": 9, "test": 9,
    }  # fmt: skip


def test_features_that_some_images_lack_are_left_out():
    rng = np.random.default_rng(3)
    train = [one | {"saturation": 0.5} for one in images(rng, 20)]
    assert "saturation" not in [one["name"] for one in evaluated(train, images(rng, 20))["features"]]


def test_images_of_one_group_are_not_learnt_from_and_judged():
    """Test images of a few people are recognised by who they are, unless people are held out whole."""
    rng = np.random.default_rng(4)
    people = rng.normal(0, 3, (24, 6))
    who = np.repeat(np.arange(24), 12)
    table = people[who] + rng.normal(0, 0.05, (len(who), 6))
    labels = (who >= 16).astype(int)
    together = telling_apart(table, labels, [str(w) for w in who], 0)["value"]
    apart = telling_apart(table, labels, [str(i) for i in range(len(who))], 0)["value"]
    assert apart > together + 0.1
    assert telling_apart(table, labels, ["one"] * len(who), 0) is None


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=14), st.data())
def test_the_auc_is_the_part_of_pairs_in_the_right_order(scores, data):
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    if len(set(labels)) < 2:
        labels[:2] = [0, 1]
    pairs = [(a, b) for a, i in zip(scores, labels, strict=True) for b, j in zip(scores, labels, strict=True) if i > j]
    expected = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert auc(np.array(scores, float), np.array(labels)) == pytest.approx(expected)


def test_one_feature_is_compared_by_its_distributions():
    found = compare("x", np.arange(100.0), np.arange(100.0) + 50)
    assert found["statistic"] == pytest.approx(0.5) and found["differs"] and found["test"][1] - found["train"][1] == 50
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for shares in found["shares"])
    assert not compare("x", np.arange(5000.0), np.arange(5000.0) + 300)["differs"], "sure, but too small to matter"
    assert compare("x", np.ones(9), np.ones(9))["statistic"] == 0
