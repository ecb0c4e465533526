"""Greedy selection, fitted views, averaged weights: laws of each, and a whole run with all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import Member
from kagglekit.predict.ensemble import LastEpochs
from kagglekit.predict.views import hflip, identity
from kagglekit.train.average import averaged, mean_weights, renew_statistics
from kagglekit.train.checkpoint import read_weights, save_weights
from kagglekit_techniques.fitted import FitViews, Greedy, GreedyEnsemble, Merging, WeightAverage
from tests.helpers import wrapped
from tests.toy_data import tiny_network

PLAIN = ((0.5,) * 3, (0.5,) * 3)


def filled_network(seed: int):
    """A small network with weights of its own."""
    import torch

    torch.manual_seed(seed)
    return tiny_network()


def members(count: int) -> list[Member]:
    return [Member(f"epoch-{i}", i, 0, 0.1 * i) for i in range(count)]


def mean_square(target: np.ndarray, columns: np.ndarray):
    """A score: minus the squared distance of the weighted columns to a target."""
    return lambda weights: (
        -float(((columns @ np.asarray(weights)) - target) @ ((columns @ np.asarray(weights)) - target))
    )


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 12))
def test_greedy_selection_never_ends_below_equal_weights_or_the_best_member(seed, count, rounds):
    rng = np.random.default_rng(seed)
    score = mean_square(rng.normal(size=8), rng.normal(size=(8, count)))
    start = [1 / count] * count
    weights = Greedy(LastEpochs(1), 0, rounds).fit(start, score)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0
    alone = max(score([float(i == j) for j in range(count)]) for i in range(count))
    assert score(weights) >= max(score(start), alone) - 1e-12


def test_greedy_selection_finds_a_planted_mixture_with_repetition():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(50, 4))
    weights = Greedy(LastEpochs(1), 0, 12).fit([0.25] * 4, mean_square(columns @ [0.75, 0, 0.25, 0], columns))
    assert np.allclose(weights, [0.75, 0, 0.25, 0])


def test_candidates_are_all_epochs_or_the_last():
    greedy = wrapped(GreedyEnsemble(), "kk_ensemble", LastEpochs(1))
    assert [m.epoch for m, _ in greedy.choose(members(5))] == [0, 1, 2, 3, 4]
    last = wrapped(GreedyEnsemble(last=2), "kk_ensemble", LastEpochs(1))
    assert [(m.epoch, w) for m, w in last.choose(members(5))] == [(3, 0.5), (4, 0.5)]
    probs = np.random.default_rng(0).random((2, 1, 4, 4), np.float32)
    assert np.allclose(last.combine(probs, np.array([0.25, 0.75])), 0.25 * probs[0] + 0.75 * probs[1])


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_fitted_views_never_score_below_the_weights_they_began_with(seed, count):
    rng = np.random.default_rng(seed)
    score = mean_square(rng.normal(size=8), rng.normal(size=(8, count)))
    start = [1 / count] * count
    weights = FitViews().fit(start, score)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0 and score(weights) >= score(start)


def test_a_view_that_only_harms_loses_its_weight_and_one_view_stays_as_it_is():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(40, 2))
    weights = FitViews(sweeps=4).fit([0.5, 0.5], mean_square(columns[:, 0], columns))
    assert weights == [1.0, 0.0]
    assert FitViews().fit([1.0], lambda w: 0.0) == [1.0]
    views = wrapped(FitViews(), "kk_tta", (identity(0.5), hflip(0.5)))
    assert [v.name for v in views] == ["identity", "hflip"] and callable(views.fit)


@pytest.mark.parametrize("make", [lambda: FitViews(0), lambda: GreedyEnsemble(-1), lambda: GreedyEnsemble(0, 0),
                                  lambda: WeightAverage(0)])  # fmt: skip
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match=r"must|lie"):
        make()


def test_weight_average_takes_the_members_before_it_or_the_last():
    chosen = wrapped(WeightAverage(last=2), "kk_ensemble", LastEpochs(1)).choose(members(4))
    assert [m.epoch for m, _ in chosen] == [2, 3]
    chosen = wrapped(WeightAverage(last=2), "kk_ensemble", LastEpochs(3)).choose(members(4))
    assert [m.epoch for m, _ in chosen] == [1, 2, 3]
    assert Merging.merges


def saved(folder, epoch: int, seed: int) -> Member:
    path = folder / f"epoch-{epoch:03d}.safetensors"
    save_weights(path, filled_network(seed).state_dict(), {"normalisation": PLAIN})
    return Member(path, epoch)


def test_averaged_weights_are_the_mean_and_statistics_those_of_the_images(tmp_path):
    import torch

    from kagglekit.data.input_transform import Plain
    from kagglekit.train.network import Network

    some = [(saved(tmp_path, i, i), w) for i, w in enumerate((0.25, 0.75))]
    mean, _ = mean_weights(some)
    first, second = (read_weights(m.path)[0] for m, _ in some)
    for key, tensor in mean.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, 0.25 * first[key] + 0.75 * second[key], atol=1e-6)
    images = [torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8) for _ in range(3)]
    made = []

    def network():
        made.append(1)
        return Network(filled_network(9), Plain(3))

    one = averaged(some, network, lambda: images)
    assert one.path.name.startswith("average-") and one.path.is_file() and len(made) == 1
    assert averaged(some, network, lambda: images) == one and len(made) == 1, "a known average is not made again"
    body = network()
    body.body.load_state_dict(mean)
    renew_statistics(body, images)
    kept, _ = read_weights(one.path)
    for key, tensor in body.body.state_dict().items():
        assert torch.allclose(kept[key].float(), tensor.float(), atol=1e-5), key
    assert any("running_mean" in key and not torch.allclose(kept[key], mean[key]) for key in kept)


def test_the_average_of_one_member_is_that_member(tmp_path):
    one = saved(tmp_path, 3, 0)
    assert averaged([(one, 1.0)], None, None) == one


def test_members_that_are_alike_average_to_themselves(tmp_path):
    some = [(saved(tmp_path, i, 5), 0.5) for i in range(2)]
    mean, _ = mean_weights(some)
    same, _ = read_weights(some[0][0].path)
    assert all((mean[key].float() - same[key].float()).abs().max() < 1e-7 for key in same)
