"""Members of an ensemble: which, with which weights, combined as probabilities."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import RecipeError
from kagglekit.predict.ensemble import LastEpochs, equal, weighted_mean
from kagglekit.types import Member


def members(count: int) -> list[Member]:
    return [Member(Path(f"epoch-{i:03d}"), i, score=0.1 * i) for i in range(count)]


@given(st.integers(0, 2**32 - 1))
def test_one_member_is_itself_bit_by_bit(seed):
    probs = np.random.default_rng(seed).random((1, 2, 3, 4), np.float32)
    for weights in ([1.0], [0.9999999]):
        assert np.array_equal(weighted_mean(probs, np.array(weights)), probs[0])


def test_the_mean_is_weighted_member_by_member():
    probs = np.random.default_rng(0).random((3, 2, 5, 4), np.float32)
    weights = np.array([0.5, 0.3, 0.2])
    by_hand = sum(w * p.astype(np.float64) for w, p in zip(weights, probs, strict=True))
    combined = weighted_mean(probs, weights)
    assert combined.dtype == np.float32
    assert np.allclose(combined, by_hand, atol=1e-6)


def test_the_mean_of_probabilities_stays_between_the_least_and_the_greatest():
    probs = np.random.default_rng(1).random((4, 1, 8, 8), np.float32)
    combined = LastEpochs(4).combine(probs, np.full(4, 0.25))
    assert (combined >= probs.min(0) - 1e-6).all()
    assert (combined <= probs.max(0) + 1e-6).all()


def test_equal_members_give_their_common_answer():
    probs = np.repeat(np.random.default_rng(2).random((1, 1, 8, 8), np.float32), 5, 0)
    assert np.allclose(weighted_mean(probs, np.full(5, 0.2)), probs[0], atol=1e-6)


def test_the_last_epochs_are_chosen_with_equal_weights():
    chosen = LastEpochs(3).choose(members(8))
    assert [(m.epoch, w) for m, w in chosen] == [(5, 1 / 3), (6, 1 / 3), (7, 1 / 3)]
    assert [m.epoch for m, _ in LastEpochs().choose(members(8))] == [7]


def test_more_epochs_than_there_are_is_an_error_that_says_what_to_do():
    with pytest.raises(RecipeError, match=r"the last 5 epochs are asked for, the run has 2; train longer"):
        LastEpochs(5).choose(members(2))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_equal_weights_sum_to_one(count):
    assert sum(w for _, w in equal(members(count))) == pytest.approx(1)
