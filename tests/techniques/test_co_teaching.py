"""Networks that teach each other: who learns from whom, who never stands on both sides, what they disagree with."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Finding, RecipeError
from kagglekit.data.store import open_store
from kagglekit.plugin.solution import make_technique
from kagglekit.runs.folder import cache
from kagglekit.types import Tiling, untracked
from kagglekit_techniques import CoTeaching, network_pair
from kagglekit_techniques.disagreement import agreement, belief, completed, likeness, missed_region, planes
from kagglekit_techniques.network_pair import NetworkPair, distorted, image_losses
from tests.helpers import bringing, competition, solution, techniques_of
from tests.helpers import build as build_registry
from tests.techniques import flawed
from tests.techniques.flawed import CLASSES, Flawed, blob, scene
from tests.toy_data import tiny_network

SMALL = {"image_size": 64, "epochs": 6, "batch_size": 8, "encoder_weights": "none"}


def size_of(*arguments) -> float:
    """How large the largest region is that a label leaves out."""
    return missed_region(*arguments)[0]


@pytest.fixture
def tiny(monkeypatch):
    """Networks of two convolutions instead of the real ones."""
    monkeypatch.setattr(network_pair, "build_model", lambda recipe, channels, classes: tiny_network(channels, classes))


def clean(dataset: Flawed, **changes) -> list[Finding]:
    """What co-teaching alone finds."""
    toy = bringing("toy", competition=competition(task=dataset.task, classes=CLASSES[dataset.task]))
    specs = [{"name": "co-teaching", "settings": SMALL | changes}]
    return list(solution(build_registry(toy=toy, extra=techniques_of(CoTeaching)), techniques=specs).clean(dataset))


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_a_label_that_leaves_out_half_or_lies_elsewhere_is_distrusted(tiny, task):
    wrong = {4: flawed.half, 9: flawed.turned, 17: flawed.half}
    found = clean(Flawed(28, wrong, task=task), epochs=60 if task == "multiclass" else 30, threshold=0.4)
    assert {one.sample for one in found} >= {"s004", "s009", "s017"}
    assert len({one.sample for one in found}) <= 5
    assert {one.rule for one in found} <= {"co-teaching/disagreement", "co-teaching/missed region"}
    assert all(one.score > 0 and one.detail for one in found)
    missed = [one for one in found if one.rule.endswith("missed region")]
    assert missed and all(one.mask and one.action == "relabel" for one in missed)
    assert not any(one.mask for one in found if one not in missed)


def test_the_same_data_and_seed_give_the_same_findings_and_nothing_is_left_in_the_cache(tiny):
    dataset = Flawed(20, {4: flawed.half})
    assert clean(dataset, threshold=0.9, epochs=2) == clean(dataset, threshold=0.9, epochs=2) != []
    assert list(cache().glob("co-teaching-*")) == []


def test_networks_that_have_hardly_learned_propose_no_masks_and_that_is_said(tiny, monkeypatch, capsys):
    unsure = clean(Flawed(28, {4: flawed.half, 17: flawed.half}), epochs=1, threshold=0, missed=1e-6)
    assert unsure and {one.action for one in unsure} == {"keep"} and not any(one.mask for one in unsure)
    assert "only shown (more images or -o techniques.co-teaching.epochs=N help)" in capsys.readouterr().err


def test_plans_know_how_many_pixels_the_networks_learn_from(tiny, monkeypatch):
    seen, made = [], NetworkPair._batches

    def counted(self, *rest):
        for images, masks in made(self, *rest):
            seen.append(images[:, 0].numel())
            yield images, masks

    monkeypatch.setattr(NetworkPair, "_batches", counted)
    clean(Flawed(36), folds=3, epochs=2)
    assert 2 * sum(seen) == CoTeaching(**SMALL | {"folds": 3, "epochs": 2}).learned_pixels(36)
    assert CoTeaching(draws=10).learned_pixels(10**6) == CoTeaching(draws=10).learned_pixels(10**3)


def test_no_network_predicts_a_sample_whose_group_it_was_trained_on(tiny, monkeypatch):
    seen, asked = [], []
    train, predict = NetworkPair.train, NetworkPair.predict

    def spy_train(self, samples, *rest):
        seen.append({s.group for s in samples})
        return train(self, samples, *rest)

    def spy_predict(self, networks, samples):
        asked.append({s.group for s in samples})
        return predict(self, networks, samples)

    monkeypatch.setattr(NetworkPair, "train", spy_train)
    monkeypatch.setattr(NetworkPair, "predict", spy_predict)
    clean(Flawed(24, group_size=3), folds=4, epochs=1)
    assert len(seen) == len(asked) == 4 and all(not a & b for a, b in zip(seen, asked, strict=True))
    assert set().union(*asked) == {f"g{i}" for i in range(8)}


def test_each_network_learns_from_what_the_other_finds_easiest(tiny, monkeypatch, tmp_path):
    dataset = Flawed(8)
    store = open_store(tmp_path, "x", dataset, 32, "binary", 1)
    store.fill(dataset, dataset.train)
    ranks = [torch.tensor([0.0, 9, 1, 8, 2, 7, 3, 6]), torch.tensor([9.0, 0, 8, 1, 7, 2, 6, 3])]
    kept, calls = {0: set(), 1: set()}, []

    def losses(logits, target, task):
        at = len(calls) % 2
        calls.append(at)
        out = logits.flatten(1).mean(1) * 0 + ranks[at]
        out.register_hook(lambda grad: kept[at].update(torch.nonzero(grad).flatten().tolist()))
        return out

    monkeypatch.setattr(network_pair, "image_losses", losses)
    recipe = CoTeaching(image_size=32, epochs=3, encoder_weights="none").recipe_of_networks("toy", 0)
    NetworkPair(recipe, "binary", 1, store, forget=0.5, draws=8).train(dataset.train, 0, untracked, "")
    last = {at: {int(i) for i in ranks[1 - at].argsort()[:4]} for at in range(2)}
    assert all(last[at] <= kept[at] for at in range(2)) and last[0].isdisjoint(last[1])


def test_without_forgetting_every_image_of_a_batch_counts_for_both(tiny, monkeypatch, tmp_path):
    dataset, counts = Flawed(8), []
    store = open_store(tmp_path, "x", dataset, 32, "binary", 1)
    store.fill(dataset, dataset.train)

    def losses(logits, target, task):
        out = logits.flatten(1).mean(1) * 1.0
        out.register_hook(lambda grad: counts.append(int((grad != 0).sum())))
        return out

    monkeypatch.setattr(network_pair, "image_losses", losses)
    NetworkPair(
        CoTeaching(image_size=32, epochs=2, encoder_weights="none").recipe_of_networks("toy", 0),
        "binary",
        1,
        store,
        0.0,
        8,
    ).train(dataset.train, 0, untracked, "")
    assert counts == [8] * 4


def test_damaged_images_are_passed_over_and_large_ones_refused(tiny):
    found = clean(Flawed(20, {4: flawed.half}, damaged=("s003", "s004")), threshold=1.0, epochs=1)
    assert {"s003", "s004"}.isdisjoint(one.sample for one in found) and len(found) == 18
    with pytest.raises(RecipeError, match=r"techniques\.co-teaching: .*through windows; use --without co-teaching"):
        clean(Flawed(20, tiling=Tiling()))
    with pytest.raises(RecipeError, match=r"4 readable samples cannot be split by group into 3 folds; bring more data"):
        clean(Flawed(4, group_size=4))
    assert CoTeaching.by_default(Flawed(1)) and not CoTeaching.by_default(Flawed(1, tiling=Tiling()))


def test_or_adds_to_what_was_found_before_and_and_keeps_what_both_distrust(monkeypatch):
    before = [Finding("a", "r", 1.0), Finding("b", "r", 1.0), Finding("c", "r", 1.0, "keep")]
    ours = [Finding("b", "co", 1.0), Finding("d", "co", 1.0)]
    monkeypatch.setattr(CoTeaching, "disagreements", lambda *_: ours)

    def joined(combine):
        wrapper = CoTeaching(combine=combine).kk_clean(Flawed(1), None, None)
        next(wrapper)
        with pytest.raises(StopIteration) as done:
            wrapper.send(before)
        return [(one.sample, one.rule) for one in done.value.value]

    assert joined("or") == [("a", "r"), ("b", "r"), ("c", "r"), ("b", "co"), ("d", "co")]
    assert joined("and") == [("b", "r"), ("c", "r"), ("b", "co")]


@pytest.mark.parametrize(("channels", "depth"), [(1, "uint8"), (3, "uint16")])
def test_images_of_any_depth_and_number_of_channels_are_learned(tiny, channels, depth):
    assert len(clean(Flawed(16, channels=channels, depth=depth), threshold=1.0, epochs=1)) == 16


masks = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 2, (12, 15)).astype(np.uint8)
)


@given(masks, masks)
def test_agreement_is_the_iou_of_two_masks_the_same_both_ways_and_one_with_itself(one, other):
    expected = (one & other).sum() / max(1, (one | other).sum())
    assert agreement(other[None].astype(np.float32), one, "binary") == pytest.approx(expected)
    assert agreement(one[None].astype(np.float32), other, "binary") == pytest.approx(expected)
    assert agreement(one[None].astype(np.float32), one, "binary") == 1.0


@given(masks, masks, masks, masks)
def test_agreement_of_several_classes_is_the_mean_over_those_that_either_shows(a, b, c, d):
    probs, mask = np.stack([a, b, a * 0]).astype(np.float32), np.stack([c, d, a * 0], -1)
    dice = [2 * (x & y).sum() / (x.sum() + y.sum()) for x, y in ((a, c), (b, d)) if (x | y).any()]
    assert agreement(probs, mask, "multilabel") == pytest.approx(np.mean(dice) if dice else 1)


def test_the_background_of_a_label_map_is_no_class_and_nothing_agrees_with_nothing():
    label_map = np.array([[0, 1], [2, 2]], np.uint8)
    probs = np.eye(3, dtype=np.float32)[label_map].transpose(2, 0, 1)
    assert agreement(probs, label_map, "multiclass") == 1
    assert agreement(probs, label_map * 0, "multiclass") == 0
    assert planes(probs, label_map, "multiclass")[0].shape == (2, 2, 2)
    assert agreement(np.zeros((1, 4, 4)), np.zeros((4, 4), np.uint8), "binary") == 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 200))
def test_what_a_label_leaves_out_is_found_by_colours_and_networks_together_and_by_neither_alone(seed):
    truth = blob(seed, (96, 96))
    image, probs = scene(seed, truth), truth[None].astype(np.float32)
    left = flawed.half(truth)
    assert size_of(image, probs, truth, "binary") == 0
    assert size_of(image, probs, left, "binary") > 0.05
    assert size_of(image, probs * 0, left, "binary") == 0
    assert size_of(np.full_like(image, 90), probs, left, "binary") < 1e-9
    planes_of = np.stack([left, left * 0], -1)
    both = np.concatenate([probs, probs * 0])
    assert size_of(image, both, planes_of, "multilabel") == pytest.approx(size_of(image, probs, left, "binary"))


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("scale", [1, 4])
def test_a_label_is_completed_by_what_it_leaves_out_and_nothing_labelled_is_lost(task, scale):
    truth = blob(2, (96, 96))
    left = flawed.half(truth)
    others = np.zeros_like(truth)
    others[80:90, 80:90] = 1  # of another class
    probs, mask, whole = truth[None].astype(np.float32), left, truth
    if task == "multilabel":
        probs, mask, whole = (np.stack([one, others], axis) for one, axis in ((truth, 0), (left, -1), (truth, -1)))
    elif task == "multiclass":
        probs = np.stack([(truth + others) == 0, truth, others])
        mask, whole = left + 2 * others, truth + 2 * others
    _, missed = missed_region(scene(2, truth), probs.astype(np.float32), mask, task)
    large = [np.repeat(np.repeat(one, scale, 0), scale, 1) for one in (mask, whole)]
    found = completed(large[0], missed, task)
    assert found.dtype == np.uint8 and found.shape == large[0].shape
    assert (found[large[0] > 0] == large[0][large[0] > 0]).all(), "what was labelled stays"
    assert (found != large[1]).mean() < 0.2 * (large[0] != large[1]).mean()
    assert np.array_equal(completed(mask, missed & False, task), mask)


def test_colours_settle_what_networks_doubt_and_tell_nothing_where_networks_see_nothing():
    truth = blob(3, (96, 96))
    image, left = scene(3, truth), flawed.half(truth)
    doubted, unseen = (np.where(truth > 0, p, 0.001).astype(np.float32)[None] for p in (0.3, 0.01))
    assert size_of(image, doubted, left, "binary") > 0.05
    assert size_of(image, unseen, left, "binary") == 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_belief_is_a_probability_that_rises_with_both_and_is_the_networks_own_where_colours_say_nothing(alike, p):
    def at(alike: float, p: float) -> float:
        return float(belief(np.array([alike]), np.array([p]))[0])

    assert 0 <= at(alike, p) <= 1
    assert at(0.5, p) == pytest.approx(min(max(p, 1e-4), 1 - 1e-4))
    assert at(alike, p) <= at(min(1, alike + 0.1), p) + 1e-9
    assert at(alike, p) <= at(alike, min(1, p + 0.1)) + 1e-9


def test_a_label_of_nothing_or_of_everything_misses_no_region():
    image = scene(0, blob(0, (64, 64)))
    ones = np.ones((1, 64, 64), np.float32)
    assert size_of(image, ones, np.zeros((64, 64), np.uint8), "binary") == 0
    assert size_of(image, ones, np.ones((64, 64), np.uint8), "binary") == 0


def test_colours_inside_a_label_are_likely_and_those_outside_are_not_however_small_it_is():
    label = np.zeros((96, 96), bool)
    label[40:44, 40:44] = True
    image = scene(1, label.astype(np.uint8))
    inside = likeness(image, label)
    assert inside[label].mean() > 0.9 and inside[~label].mean() < 0.2


@pytest.mark.parametrize(("task", "classes"), [("binary", 1), ("multilabel", 3), ("multiclass", 3)])
def test_the_loss_of_each_image_is_small_where_it_is_right_and_does_not_know_the_others(task, classes):
    target = (
        torch.randint(0, 2, (4, classes, 16, 16)).float() if task != "multiclass" else torch.randint(0, 3, (4, 16, 16))
    )
    right = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float() if task == "multiclass" else target
    losses = image_losses(20 * right - 10, target, task)
    assert losses.shape == (4,) and losses.max() < 0.01
    wrong = 20 * right - 10
    wrong[2] *= -1
    changed = image_losses(wrong, target, task)
    assert changed[2] > 5 and torch.equal(changed[[0, 1, 3]], losses[[0, 1, 3]])


@given(st.integers(0, 1000))
def test_a_distorted_image_and_its_mask_stay_together_and_the_originals_as_they_are(seed):
    mask = blob(seed, (64, 64))
    image = scene(seed, mask)
    kept = image.copy(), mask.copy()
    moved, moved_mask = distorted(image, mask, np.random.default_rng(seed))
    assert np.array_equal(image, kept[0]) and np.array_equal(mask, kept[1])
    assert moved.shape == image.shape and moved.dtype == np.uint8 and set(np.unique(moved_mask)) <= {0, 1}
    red = moved[..., 0].astype(int) - moved[..., 1] > 90
    assert (red == (moved_mask > 0)).mean() > 0.96  # 0.9694 is the least over all seeds; the unmoved mask has 0.95


@pytest.mark.parametrize(
    "wrong",
    [{"image_size": 50}, {"epochs": 0}, {"folds": 1}, {"forget": 1.0}, {"threshold": 1.2}, {"missed": -1.0},
     {"batch_size": 1}, {"combine": "xor"}, {"draws": 0}, {"lr": 0.0}],
)  # fmt: skip
def test_settings_that_no_training_could_have_are_refused(wrong):
    with pytest.raises(RecipeError, match=r"techniques\.co-teaching: "):
        make_technique(CoTeaching, wrong)
