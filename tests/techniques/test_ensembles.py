"""Ensembles of epochs: which are chosen, with which weights, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import Member, RecipeError
from kagglekit.plugin.solution import make_technique
from kagglekit.predict.ensemble import LastEpochs
from kagglekit_techniques import EpochEnsemble
from kagglekit_techniques.ensembles import SeveralEpochs
from tests.helpers import toy


def members(*scores) -> list[Member]:
    """One checkpoint per score, in order of epoch."""
    return [Member(Path(f"epoch-{i}"), i, score=score) for i, score in enumerate(scores)]


def epochs(chosen) -> list[int]:
    """The epochs that were chosen."""
    return [member.epoch for member, _ in chosen]


def several(last: int = 0, best: int = 0) -> SeveralEpochs:
    """The ensemble over the engine's own way to combine."""
    return SeveralEpochs(LastEpochs(1), last, best)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(1, 12), st.booleans(), st.booleans())
def test_weights_are_equal_and_sum_to_one_and_members_stay_in_order_of_epoch(scores, count, last, greater):
    ensemble = several(last=count) if last else several(best=count)
    chosen = ensemble.choose(members(*scores), greater)
    assert len(chosen) == min(count, len(scores))
    assert epochs(chosen) == sorted(set(epochs(chosen)))
    assert {weight for _, weight in chosen} == {1 / len(chosen)}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(1, 9), st.booleans())
def test_the_best_are_no_worse_than_those_that_are_left_out(scores, count, greater):
    chosen = set(epochs(several(best=count).choose(members(*scores), greater)))
    inside = [score for i, score in enumerate(scores) if i in chosen]
    outside = [score for i, score in enumerate(scores) if i not in chosen]
    assert not outside or (min(inside) >= max(outside) if greater else max(inside) <= min(outside))


def test_the_last_epochs_are_the_last_whatever_their_scores():
    assert epochs(several(last=3).choose(members(0.9, 0.8, 0.1, 0.2, 0.3))) == [2, 3, 4]


def test_the_direction_of_the_metric_decides_what_is_best():
    scores = members(0.5, 0.9, 0.1, 0.7)
    assert epochs(several(best=2).choose(scores, True)) == [1, 3]
    assert epochs(several(best=2).choose(scores, False)) == [0, 2]


def test_of_equal_scores_the_later_epoch_is_taken():
    assert epochs(several(best=2).choose(members(0.5, 0.5, 0.5))) == [1, 2]


def test_a_run_shorter_than_asked_for_gives_all_its_epochs():
    assert epochs(several(last=5).choose(members(0.1, 0.2))) == [0, 1]
    assert epochs(several(best=5).choose(members(0.1, 0.2))) == [0, 1]


def test_the_best_cannot_be_chosen_without_scores_but_the_last_can():
    with pytest.raises(RecipeError, match=r"techniques\.epoch-ensemble\.best: .* use last"):
        several(best=2).choose(members(0.1, None, 0.3))
    assert epochs(several(last=2).choose(members(None, None, None))) == [1, 2]


@pytest.mark.parametrize("settings", [{"last": 0}, {"last": -1}, {"last": 0, "best": 2}, {"best": -1}, {"last": 1.5}])
def test_settings_that_choose_nothing_are_refused(settings):
    with pytest.raises(RecipeError, match=r"techniques\.epoch-ensemble"):
        make_technique(EpochEnsemble, settings)


def test_the_best_epochs_are_taken_instead_of_the_last_where_they_are_asked_for():
    scored = members(0.3, 0.1, 0.2, 0.0)
    assert epochs(several(last=2).choose(scored)) == [2, 3]
    assert epochs(several(last=2, best=2).choose(scored)) == [0, 2]


def test_how_members_combine_is_left_to_the_inner_ensemble():
    class Inner:
        """Combines in a way nobody else would."""

        def combine(self, probs, weights):
            """Seven."""
            return "combined", probs, weights

    assert SeveralEpochs(Inner(), 2, 0).combine("p", "w") == ("combined", "p", "w")


def test_a_solution_with_the_technique_averages_the_last_epochs():
    ensemble = toy(EpochEnsemble).ensemble()
    chosen = ensemble.choose(members(0.1, 0.2, 0.3, 0.4), True)
    assert epochs(chosen) == [1, 2, 3]
    probs = np.random.default_rng(0).random((3, 2, 1, 4, 5), np.float32)
    mean = ensemble.combine(probs, np.array([w for _, w in chosen]))
    np.testing.assert_allclose(mean, probs.mean(0), rtol=1e-6)
    one = ensemble.combine(probs[:1], np.ones(1))
    assert np.array_equal(one, probs[0])
