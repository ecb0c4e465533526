"""Losses of which pixels or images are left out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import ModelOutput, RecipeError
from kagglekit.plugin.registry import discover
from kagglekit_techniques import ClassHead, DeepSupervision, IgnoreClass, LabelSmoothing, ProspectiveFilter, SmallLoss
from kagglekit_techniques.left_out import chosen, contradicted, smallest, without_pixels
from tests.helpers import bringing, build, competition, solution, techniques_of

NAMES = ("Background", "Can", "Bag", "UNKNOWN")
KINDS = (ClassHead, DeepSupervision, IgnoreClass, LabelSmoothing, ProspectiveFilter, SmallLoss)
LOSSES = {
    "multiclass": ("ce", "dice", "jaccard", "lovasz", "focal"),
    "binary": ("bce", "dice", "jaccard", "lovasz", "focal"),
}
LOSSES["multilabel"] = LOSSES["binary"]


def solved(*techniques, task="multiclass", loss=None):
    names = {"multiclass": NAMES, "multilabel": NAMES[1:], "binary": ("thing",)}[task]
    registry = build(toy=bringing("toy", competition=competition(task=task, classes=names)), x=techniques_of(*KINDS))
    return solution(registry, techniques=list(techniques), loss=loss or {LOSSES[task][0]: 1.0})


def batch(task="multiclass", seed=0, size=(6, 8), count=3):
    """Logits and target of a batch of noise."""
    made = torch.Generator().manual_seed(seed)
    classes = {"multiclass": 4, "multilabel": 3, "binary": 1}[task]
    logits = 3 * torch.randn(count, classes, *size, generator=made)
    if task == "multiclass":
        return logits, torch.randint(0, 4, (count, *size), generator=made)
    return logits, (torch.rand(count, classes, *size, generator=made) > 0.5).float()


def test_with_cross_entropy_it_is_the_ignore_index_of_torch():
    logits, target = batch()
    expected = torch.nn.CrossEntropyLoss(ignore_index=3)(logits, target)
    assert torch.allclose(solved("ignore-class").loss()(logits, target), expected)


@pytest.mark.parametrize("name", LOSSES["multiclass"])
@pytest.mark.parametrize("output", [lambda x: x, ModelOutput], ids=["tensor", "heads"])
def test_pixels_of_the_class_count_nothing_whatever_the_network_says_of_them(name, output):
    loss = solved("label-smoothing", "ignore-class", loss={name: 1.0}).loss()
    logits, target = batch()
    said = logits.clone()
    said.movedim(1, -1)[target == 3] += 50 * torch.randn(int((target == 3).sum()), 4)
    assert torch.allclose(loss(output(logits), target), loss(output(said), target), atol=1e-6)
    logits.requires_grad_()
    loss(output(logits), target).backward()
    grads = logits.grad.movedim(1, -1)
    assert not grads[target == 3].any() and grads[target != 3].any()


@pytest.mark.parametrize("name", LOSSES["multiclass"])
def test_the_other_pixels_count_as_if_images_had_no_others(name):
    logits, target = batch(size=(4, 8))
    target[:, :2], target[:, 2:] = target[:, :2].clamp(max=2), 3
    loss, plain = (solved(*techniques, loss={name: 1.0}).loss() for techniques in (["ignore-class"], []))
    assert torch.allclose(loss(logits, target), plain(logits[:, :, :2], target[:, :2]), atol=1e-6)


def test_a_batch_of_nothing_but_the_class_costs_nothing_and_can_be_learnt_from():
    logits, _ = batch()
    logits.requires_grad_()
    loss = solved("ignore-class").loss()(logits, torch.full((3, 6, 8), 3))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_a_batch_without_the_class_is_what_it_was():
    logits, target = batch()
    target = target.clamp(max=2)
    assert torch.equal(solved("ignore-class").loss()(logits, target), solved().loss()(logits, target))


def test_a_class_that_is_not_there_and_tasks_without_label_maps_are_refused():
    with pytest.raises(RecipeError, match=r"techniques\.ignore-class\.label: 'Unknown' is no class of toy"):
        solved({"name": "ignore-class", "settings": {"label": "Unknown"}}).loss()
    for task in ("binary", "multilabel"):
        with pytest.raises(RecipeError, match=rf"techniques\.ignore-class: .* is {task}; use --without ignore-class"):
            solved("ignore-class", task=task).loss()


@pytest.mark.parametrize("name", ["ignore-class", "prospective-filter"])
@pytest.mark.parametrize("earlier", ["class-head", "deep-supervision", "small-loss"])
def test_single_pixels_are_left_out_before_whole_images_are_looked_at(name, earlier):
    solved(name, earlier).loss()
    with pytest.raises(RecipeError, match=rf"techniques\.{name}: .* before {earlier}.* or use --without {earlier}"):
        solved(earlier, name).loss()


def test_it_works_under_a_head_and_deeper_stages():
    logits, target = batch(size=(32, 32))
    target[:] = target.clamp(max=2)
    target[:, :16] = 3
    output = ModelOutput(logits, torch.randn(3, 4), (torch.randn(3, 4, 8, 8),))
    other = ModelOutput(logits.clone(), output.classes, output.deep)
    other.masks[:, :, :16] += 9
    loss = solved("ignore-class", "class-head").loss()
    assert torch.allclose(loss(output, target), loss(other, target))


def test_recycling_leaves_its_unknown_class_out_of_all_of_its_losses():
    changes = {"techniques": ["ignore-class", "label-smoothing"], "loss": {"ce": 0.75, "dice": 0.25}}
    made = solution(discover(), "recycling", encoder_weights="none", **changes)
    logits, target = torch.randn(2, 12, 8, 8, requires_grad=True), torch.randint(0, 12, (2, 8, 8))
    unknown = made.competition.classes.index("UNKNOWN")
    target[0, 0, :3] = unknown
    plain = solution(discover(), "recycling", encoder_weights="none", **(changes | {"techniques": ["ignore-class"]}))
    plain.loss()(logits, target).backward()
    grads = logits.grad.movedim(1, -1)
    assert not grads[target == unknown].any() and grads[target != unknown].any(-1).all()
    assert made.loss()(logits, target) > 0


def by_image(logits, target):
    return torch.nn.functional.cross_entropy(logits, target)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(0.01, 0.95))
def test_the_images_with_the_largest_loss_are_left_out(seed, count, drop):
    logits, target = batch(seed=seed, count=count)
    losses = np.array([by_image(logits[[i]], target[[i]]).item() for i in range(count)])
    dropped = int(drop * count + 1e-9)
    kept = sorted(np.argsort(losses, kind="stable")[: count - dropped])
    expected = by_image(logits[kept], target[kept])
    assert torch.allclose(smallest(by_image, logits, target, drop), expected)
    assert kept and smallest(by_image, logits, target, drop) <= by_image(logits, target) + 1e-6


@pytest.mark.parametrize("task", LOSSES)
def test_an_image_that_is_left_out_teaches_nothing(task):
    for name in LOSSES[task]:
        logits, target = batch(task, count=4)
        logits = logits * 0.1
        worst = torch.where(target > 0.5, -9.0, 9.0) if task != "multiclass" else None
        logits[2] = (
            worst[2] if worst is not None else 9.0 * torch.nn.functional.one_hot((target[2] + 1) % 4, 4).movedim(-1, 0)
        )
        logits.requires_grad_()
        loss = solved({"name": "small-loss", "settings": {"drop": 0.25}}, task=task, loss={name: 1.0}).loss()
        loss(logits, target).backward()
        moved = logits.grad.flatten(1).abs().sum(1) > 0
        assert moved.tolist() == [True, True, False, True], name


def test_validation_counts_every_image_and_small_batches_lose_none():
    loss, plain = solved("small-loss").loss(), solved().loss()
    logits, target = batch(count=40)
    assert loss(logits, target) < plain(logits, target)
    with torch.inference_mode():
        assert torch.equal(loss(logits, target), plain(logits, target))
    few = batch(count=15)
    assert torch.equal(loss(*few), plain(*few)), "a sixteenth of 15 is less than one"


def test_what_heads_say_of_the_images_that_are_left_out_is_left_out_too():
    output = ModelOutput(torch.arange(4.0).view(4, 1, 1, 1), torch.arange(8.0).view(4, 2), (torch.arange(4.0),))
    some = chosen(output, [1, 3])
    assert some.masks.flatten().tolist() == [1, 3] and some.classes.tolist() == [[2, 3], [6, 7]]
    assert some.deep[0].tolist() == [1, 3] and chosen(ModelOutput(output.masks), [0]).classes is None
    loss = solved("class-head", "small-loss").loss()
    logits, target = batch(count=20)
    assert loss(ModelOutput(logits, torch.zeros(20, 4)), target).isfinite()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(LOSSES)), st.floats(0.5, 0.99), st.floats(0.01, 0.9))
def test_left_out_are_the_labels_most_surely_contradicted(seed, task, confidence, most):
    logits, target = batch(task, seed)
    out = contradicted(ModelOutput(logits), target, task, confidence, most)
    assert out.shape == (3, 6, 8) and out.dtype == torch.bool and int(out.sum()) <= most * out.numel()
    if task == "multiclass":
        probs = logits.softmax(1)
        against = torch.where(probs.argmax(1) != target, probs.max(1).values, 0.0)
    else:
        probs = logits.sigmoid()
        against = (probs - target).abs().amax(1)
    assert (against[out] > confidence - 1e-6).all()
    if (~out).any() and out.any() and int(out.sum()) < int(most * out.numel()):
        assert (against[~out] <= confidence + 1e-6).all(), "below the limit all that contradict are out"
    if out.any() and (~out).any():
        assert against[out].min() >= against[~out].max() - 1e-5


@pytest.mark.parametrize("task", LOSSES)
def test_a_contradicted_pixel_teaches_nothing_and_the_others_teach_as_before(task):
    logits, target = batch(task)
    logits = logits * 0.1
    label = target[0, 2, 3] if task == "multiclass" else target[0, :, 2, 3]
    surely = torch.nn.functional.one_hot((label + 1) % 4, 4) * 30.0 if task == "multiclass" else 30.0 * (1 - 2 * label)
    logits[0, :, 2, 3] = surely
    for name in LOSSES[task]:
        said = logits.clone().requires_grad_()
        solved("prospective-filter", task=task, loss={name: 1.0}).loss()(said, target).backward()
        still = said.grad.abs().sum(1) == 0
        assert still[0, 2, 3] and (still.sum() == 1 or name == "lovasz"), name
    loss, plain = (solved(*t, task=task).loss() for t in (["prospective-filter"], []))
    with torch.no_grad():
        assert torch.equal(loss(logits, target), plain(logits, target)), "validation counts every pixel"
    kept = torch.ones(3, 6, 8, dtype=torch.bool)
    kept[0, 2, 3] = False
    assert torch.allclose(loss(logits, target), without_pixels(plain, logits, target, ~kept))


def test_a_network_that_takes_all_for_background_is_still_asked_for_the_foreground():
    logits, target = torch.full((2, 1, 10, 10), -9.0), torch.zeros(2, 1, 10, 10)
    target[:, :, :4] = 1
    out = contradicted(logits, target, "binary", 0.95, 0.05)
    assert int(out.sum()) == 10 and int((target[:, 0] > 0).sum()) == 80


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("small-loss", {"drop": 0}),
        ("small-loss", {"drop": 1.0}),
        ("prospective-filter", {"confidence": 0.4}),
        ("prospective-filter", {"confidence": 1.0}),
        ("prospective-filter", {"most": 0}),
    ],
)
def test_settings_out_of_range_are_refused(name, bad):
    with pytest.raises(RecipeError, match=rf"techniques\.{name}"):
        solved({"name": name, "settings": bad})
