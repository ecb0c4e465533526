"""Losses: values by hand formulas, finite gradients, errors for what does not fit."""

import math

import pytest
import torch

from kagglekit.errors import RecipeError
from kagglekit.train.losses import KNOWN, build
from tests.toy_data import recipe


def logits_and_target(classes: int = 1):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(3, classes, 6, 8, generator=generator, dtype=torch.float64)
    target = (torch.rand(3, classes, 6, 8, generator=generator) < 0.4).double()
    return logits, target


def labels(classes: int = 4):
    return torch.randint(0, classes, (3, 6, 8), generator=torch.Generator().manual_seed(5))


def value(loss: dict, task: str, logits, target) -> float:
    return float(build(recipe(loss=loss), task)(logits, target))


def test_bce_is_the_mean_of_minus_log_of_the_right_answer():
    logits, target = logits_and_target()
    total = 0.0
    for z, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        total -= math.log(p if t else 1 - p)
    assert value({"bce": 1}, "binary", logits, target) == pytest.approx(total / logits.numel())


def test_ce_is_the_mean_of_minus_log_softmax_of_the_right_class():
    logits, _ = logits_and_target(4)
    target = labels()
    total = 0.0
    for b in range(3):
        for y in range(6):
            for x in range(8):
                z = logits[b, :, y, x].exp()
                total -= math.log(z[target[b, y, x]] / z.sum())
    assert value({"ce": 1}, "multiclass", logits, target) == pytest.approx(total / target.numel())


def overlap(probs, target) -> tuple[float, float]:
    return float((probs * target).sum()), float(probs.sum() + target.sum())


def test_dice_is_over_the_whole_batch_with_smoothing_one():
    logits, target = logits_and_target()
    inter, sizes = overlap(logits.sigmoid(), target)
    assert value({"dice": 1}, "binary", logits, target) == pytest.approx(1 - (inter + 1) / (sizes / 2 + 1))


def test_dice_of_many_classes_is_the_mean_over_classes():
    logits, target = logits_and_target(3)
    each = []
    for k in range(3):
        inter, sizes = overlap(logits[:, k].sigmoid(), target[:, k])
        each.append(1 - (inter + 1) / (sizes / 2 + 1))
    assert value({"dice": 1}, "multilabel", logits, target) == pytest.approx(sum(each) / 3)


def test_dice_of_a_label_map_is_over_softmax_and_one_hot_classes():
    logits, _ = logits_and_target(4)
    target = labels()
    each = []
    for k in range(4):
        inter, sizes = overlap(logits.softmax(1)[:, k], (target == k).double())
        each.append(1 - (inter + 1) / (sizes / 2 + 1))
    assert value({"dice": 1}, "multiclass", logits, target) == pytest.approx(sum(each) / 4, rel=1e-5)


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_batch_dice_is_of_means_with_smoothing_one(task):
    classes = 1 if task == "binary" else 4
    logits, target = logits_and_target(classes)
    probs = logits.softmax(1) if task == "multiclass" else logits.sigmoid()
    given = labels() if task == "multiclass" else target
    each = []
    for k in range(classes):
        p, t = probs[:, k], (given == k).double() if task == "multiclass" else target[:, k]
        each.append(1 - (2 * float((p * t).mean()) + 1) / (float(p.mean()) + float(t.mean()) + 1))
    assert value({"batch_dice": 1}, task, logits, given) == pytest.approx(sum(each) / classes)


@pytest.mark.parametrize(("name", "teaches"), [("dice", False), ("jaccard", False), ("batch_dice", True)])
def test_of_a_class_that_the_batch_does_not_show_batch_dice_alone_teaches_that_it_is_absent(name, teaches):
    logits = torch.full((2, 2, 8, 8), 3.0, requires_grad=True)  # sure of both classes
    target = torch.zeros(2, 2, 8, 8)
    target[:, 0] = 1
    build(recipe(loss={name: 1}), "multilabel")(logits, target).backward()
    assert bool((logits.grad[:, 1] > 0).all()) == teaches
    assert teaches or not logits.grad[:, 1].any(), "the library masks it; see the docstring of losses.build"


def test_jaccard_is_intersection_over_union_with_smoothing_one():
    logits, target = logits_and_target()
    inter, sizes = overlap(logits.sigmoid(), target)
    assert value({"jaccard": 1}, "binary", logits, target) == pytest.approx(1 - (inter + 1) / (sizes - inter + 1))


def test_focal_weighs_bce_by_the_squared_miss():
    logits, target = logits_and_target()
    p = logits.sigmoid()
    right = torch.where(target > 0, p, 1 - p)
    expected = float(((1 - right) ** 2 * -right.log()).mean())
    assert value({"focal": 1}, "binary", logits, target) == pytest.approx(expected, rel=1e-5)


def test_lovasz_hinge_equals_its_definition_on_one_image():
    logits = torch.tensor([[[[2.0, -1.0], [0.5, -3.0]]]])
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    errors = [
        (1 - z * (2 * t - 1), t) for z, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True)
    ]
    errors.sort(key=lambda pair: -pair[0])
    loss, before, missed, wrong = 0.0, 0.0, 0, 0
    for error, t in errors:  # the Jaccard loss when the worst pixels, one after the other, are wrong
        missed, wrong = missed + t, wrong + 1 - t
        jaccard = 1 - (2 - missed) / (2 + wrong)
        loss += max(0.0, error) * (jaccard - before)
        before = jaccard
    assert value({"lovasz": 1}, "binary", logits, target) == pytest.approx(loss)


def test_a_sum_is_the_weighted_sum_of_its_parts():
    logits, target = (tensor.float() for tensor in logits_and_target())
    parts = {name: value({name: 1}, "binary", logits, target) for name in ("bce", "dice", "lovasz")}
    mixed = value({"bce": 0.9, "dice": 0.1, "lovasz": 2.0, "focal": 0.0}, "binary", logits, target)
    assert mixed == pytest.approx(0.9 * parts["bce"] + 0.1 * parts["dice"] + 2 * parts["lovasz"])


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_every_loss_is_finite_with_finite_gradients_even_far_out(task):
    swept = 0
    for name in KNOWN:
        if name == ("bce" if task == "multiclass" else "ce"):
            continue
        for scale in (0.0, 1.0, 60.0):
            for kind in ("mixed", "empty", "full"):
                logits, target = logits_and_target(1 if task == "binary" else 4)
                target = labels() if task == "multiclass" else target
                target = {"mixed": target, "empty": target * 0, "full": target * 0 + 1}[kind]
                logits = (logits.float() * scale).requires_grad_()
                loss = build(recipe(loss={name: 1}), task)(logits, target if task == "multiclass" else target.float())
                loss.backward()
                assert loss.ndim == 0
                assert torch.isfinite(loss), (name, scale, kind)
                assert torch.isfinite(logits.grad).all(), (name, scale, kind)
                swept += 1
    assert swept == 6 * 9


@pytest.mark.parametrize("name", ["bce", "dice", "batch_dice", "jaccard", "lovasz", "focal"])
def test_a_perfect_answer_costs_less_than_a_wrong_one(name):
    _, target = logits_and_target()
    target = target.float()
    perfect, wrong = (target * 2 - 1) * 20, (1 - target * 2) * 20
    assert value({name: 1}, "binary", perfect, target) < 0.01
    assert value({name: 1}, "binary", wrong, target) > 0.3


def test_losses_of_another_task_are_errors_that_say_which_to_use():
    with pytest.raises(RecipeError, match=r"loss\.bce does not fit a label map; use loss\.ce"):
        build(recipe(loss={"bce": 1}), "multiclass")
    for task in ("binary", "multilabel"):
        with pytest.raises(RecipeError, match=rf"loss\.ce does not fit a {task} task; use loss\.bce"):
            build(recipe(loss={"ce": 1}), task)


def test_an_unknown_loss_is_an_error_with_a_suggestion():
    with pytest.raises(RecipeError, match=r"loss\.dyce is not a loss; did you mean dice\?"):
        build(recipe(loss={"dyce": 1}), "binary")


def test_no_loss_at_all_is_an_error():
    for nothing in ({}, {"bce": 0.0}):
        with pytest.raises(RecipeError, match=r"every weight is 0; give one loss a positive weight"):
            build(recipe(loss=nothing), "binary")
