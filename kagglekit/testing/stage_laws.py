"""Laws of stages before and while training, judged alike for competitions and techniques; each gets a `Host`."""

from __future__ import annotations

import itertools
import random

import numpy as np

from kagglekit.data.codecs.mask_png import from_text
from kagglekit.data.folds import subset
from kagglekit.data.loader import distort, to_target
from kagglekit.data.store import DEPTHS
from kagglekit.testing.laws import law, require
from kagglekit.types import ModelOutput

DISTORTED = 24  # distortions that alignment is judged by
SEEDS = 6
MOST_DRAWS = 64  # of an epoch that are looked at
SIDES = (64, 96), (96, 64)  # network inputs are multiples of 32, seldom square
APART = 0.5  # separation of object and ground by colour, 0..1, below which a mask lies elsewhere
ALLOWED = 0.3  # part of the distortions that may do so: a colour may hide an object, a crop may cut it off
MORE = 1e-6


def prepared(host):
    """(augment, some images and masks as stored)."""
    if "augment" not in host.made:
        augment = host.solution.augment(host.dataset, list(host.dataset.train), host.store)
        pairs = [host.store.read(draw.sample, draw.box) for draw in drawn(host)[:4]]
        host.made["augment"] = augment, [(np.array(image), np.array(mask)) for image, mask in pairs]
    return host.made["augment"]


def drawn(host, epoch: int = 0, sampler=None) -> list:
    """What an epoch draws of all samples, up to some length."""
    if "sampler" not in host.made:
        host.made["sampler"] = host.solution.sampler(host.dataset, list(host.dataset.train), host.store)
    return list(itertools.islice((sampler or host.made["sampler"])(epoch), MOST_DRAWS))


@law("stage", "kk_sampler")
def draws_are_reproducible(host):
    """An epoch draws the same when it is asked for again, also by a sampler that was made anew."""
    anew = host.solution.sampler(host.dataset, list(host.dataset.train), host.store)
    for epoch in (0, 3):
        require(
            drawn(host, epoch) == drawn(host, epoch) == drawn(host, epoch, anew),
            f"epoch {epoch} draws something else the second time; make its generator of (recipe.seed, epoch)",
        )


@law("stage", "kk_sampler")
def draws_are_of_the_samples_given(host):
    """An epoch draws something, and only of the samples given: a smaller fidelity's are among a larger one's."""
    samples = subset(list(host.dataset.train), 0.5, 0)
    given = {s.id for s in samples}
    found = drawn(host, 0, host.solution.sampler(host.dataset, samples, host.store))
    strange = [d.sample.id for d in found if d.sample.id not in given]
    require(found, "an epoch draws nothing")
    require(not strange, f"it draws {next(iter(strange), '')}, which is not among `samples`; validation images leak so")


@law("stage", "kk_sampler")
def boxes_of_an_epoch_have_one_size(host):
    """Boxes of an epoch have one size; they are stacked to batches."""
    sizes = {(d.box.height, d.box.width) if d.box else None for d in drawn(host)}
    require(len(sizes) == 1, f"boxes of one epoch have the sizes {sorted(map(str, sizes))}")


@law("stage", "kk_augment")
def distorting_leaves_its_inputs_alone(host):
    """Images and masks that go into a distortion are not changed in place: they are the store's."""
    augment, pairs = prepared(host)
    for (image, mask), seed in itertools.product(pairs, range(SEEDS)):
        before = image.copy(), mask.copy()
        distort(augment, image, mask, (seed,))
        same = np.array_equal(image, before[0]) and np.array_equal(mask, before[1])
        require(same, "it changes the image or mask that it is given; copy before writing")


@law("stage", "kk_augment")
def distorting_keeps_shape_and_depth(host):
    """A distorted image and mask have the shape and type that they had."""
    augment, pairs = prepared(host)
    for (image, mask), seed in itertools.product(pairs, range(SEEDS)):
        out, truth = distort(augment, image.copy(), mask.copy(), (seed,))
        found = (out.shape, str(out.dtype), truth.shape, str(truth.dtype))
        wanted = (image.shape, str(image.dtype), mask.shape, str(mask.dtype))
        require(found == wanted, f"it gave {found}; expected {wanted}")


@law("stage", "kk_augment")
def distorted_labels_stay_in_the_set(host):
    """A distorted mask holds values of the task alone: classes are not interpolated."""
    augment, pairs = prepared(host)
    competition = host.solution.competition
    known = len(competition.classes) if competition.task == "multiclass" else 2
    for (image, mask), seed in itertools.product(pairs, range(SEEDS)):
        _, truth = distort(augment, image.copy(), mask.copy(), (seed,))
        top = int(np.max(truth, initial=0))
        require(top < known, f"a distorted mask holds the value {top}, the task knows 0..{known - 1}")


@law("stage", "kk_augment")
def distorting_is_reproducible(host):
    """The same seed distorts alike, by an augment that was made anew too."""
    augment, pairs = prepared(host)
    anew = host.solution.augment(host.dataset, list(host.dataset.train), host.store)
    image, mask = pairs[0]
    for seed in range(SEEDS):
        results = [distort(one, image.copy(), mask.copy(), (seed,)) for one in (augment, augment, anew)]
        same = all(np.array_equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
        require(same, "the same seed distorts differently; draw from the generators that are seeded, not from others")


@law("stage", "kk_augment")
def distorted_masks_stay_aligned(host):
    """Where the image goes its mask goes: an object is still told from the ground by its colour."""
    augment, pairs = prepared(host)
    image, mask = corner(pairs[0][0], pairs[0][1], host.solution.competition.task)
    apart = checked = 0
    for seed in range(DISTORTED):
        out, truth = distort(augment, image.copy(), mask.copy(), (seed,))
        inside = (truth[..., 0] if truth.ndim == 3 else truth) > 0
        if out.shape == image.shape and 0.01 < inside.mean() < 0.99:
            checked += 1
            apart += separation(out, inside) < APART
    require(
        apart <= ALLOWED * checked,
        f"in {apart} of {checked} distortions the mask does not lie where its object does; move both alike",
    )


def corner(image: np.ndarray, mask: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """A bright square off the centre on a dark noisy ground, in the form of an image and its mask."""
    h, w, _ = image.shape
    where = np.zeros((h, w), bool)
    where[h // 8 : h // 2, w // 8 : int(w * 0.4)] = True
    top = 255 if DEPTHS[str(image.dtype)] == 1 else 8000
    noise = np.random.default_rng(0).uniform(0.1, 0.3, image.shape)
    scene = (np.where(where[..., None], noise + 0.5, noise) * top).astype(image.dtype)
    out = np.zeros_like(mask)
    out[where] = 1
    if task == "multilabel" and mask.ndim == 3:
        out[..., 1:] = 0
    return scene, out


def separation(image: np.ndarray, inside: np.ndarray) -> float:
    """0 if the pixels inside have the colours of those outside, 1 if one channel tells them apart without fault."""
    best = 0.0
    for channel in np.moveaxis(image.astype(np.float64), -1, 0):
        ranks = np.argsort(np.argsort(channel.ravel(), kind="stable"), kind="stable").reshape(channel.shape)
        n, m = int(inside.sum()), int((~inside).sum())
        area = (ranks[inside].sum() - n * (n - 1) / 2) / (n * m)
        best = max(best, abs(2 * area - 1))
    return best


@law("stage", "kk_intake")
def the_network_sees_values_of_0_to_1(host):
    """What the network sees is float32 in 0..1, with the channels that the input transform states, training or not."""
    import torch

    dataset = host.dataset
    input_transform = host.solution.input_transform(dataset.channels, dataset.depth)
    image = np.array(host.store.read(*_draw(host))[0])
    batch = torch.from_numpy(np.stack([image, image])).permute(0, 3, 1, 2)
    for training in (False, True):
        transformed = input_transform(batch, training)
        wanted = (2, input_transform.channels, *batch.shape[2:])
        require(
            tuple(transformed.shape) == wanted,
            f"the input transform gave {tuple(transformed.shape)}; expected {wanted}",
        )
        require(transformed.dtype == torch.float32, f"the input transform gave {transformed.dtype}; expected float32")
        low, high = float(transformed.min()), float(transformed.max())
        require(
            low >= -MORE and high <= 1 + MORE,
            f"the input transform gave values of {low:.3g}..{high:.3g}; expected 0..1",
        )


def _draw(host):
    draw = drawn(host)[0]
    return draw.sample, draw.box


@law("stage", "kk_model")
def logits_have_the_size_of_the_image(host):
    """Logits have a channel for each class and the size of the image, whichever multiples of 32 its sides are."""
    import torch

    model = _network(host)
    for h, w in SIDES:
        with torch.inference_mode():
            found = model.eval()(torch.zeros(2, _channels(host), h, w))
        masks = found.masks if isinstance(found, ModelOutput) else found
        wanted = (2, len(host.solution.competition.classes), h, w)
        require(tuple(masks.shape) == wanted, f"logits of a {h}x{w} image have shape {tuple(masks.shape)}")
        require(bool(torch.isfinite(masks).all()), f"logits of a black {h}x{w} image are not finite")


@law("stage", "kk_loss")
def the_loss_is_finite_and_teaches(host):
    """The loss is a finite number for any logits, also of empty masks, and changing weights changes it."""
    import torch

    loss = host.solution.loss()
    torch.manual_seed(0)
    model = _network(host)
    image, mask = (np.array(a) for a in host.store.read(*_draw(host)))
    h, w = (max(32, side // 32 * 32) for side in image.shape[:2])
    for truth in (mask, np.zeros_like(mask)):
        masks = torch.from_numpy(np.stack([truth[:h, :w]] * 2))
        masks = masks.permute(0, 3, 1, 2) if masks.ndim == 4 else masks
        model.train()
        model.zero_grad()
        value = loss(model(torch.rand(2, _channels(host), *truth[:h, :w].shape[:2])), to_target(masks,
                     host.solution.competition.task))  # fmt: skip
        require(value.ndim == 0, f"the loss has shape {tuple(value.shape)}; expected a scalar")
        require(bool(torch.isfinite(value)), f"the loss is {value.item()}; expected a finite number")
        require(
            value.requires_grad, "the loss has no gradient; compute it from the logits with torch, without detach()"
        )
        value.backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        require(grads and all(bool(torch.isfinite(g).all()) for g in grads), "a gradient of the loss is not finite")


@law("stage", "kk_optimizer")
def learning_rates_are_peaks(host):
    """The optimizer holds parameters of the network, and its highest learning rate is the recipe's."""
    model = _network(host)
    optimizer = host.solution.optimizer(model)
    known = {id(p) for p in model.parameters()}
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    require(held and set(held) <= known, "the optimizer holds parameters that are not the network's, or none")
    require(len(held) == len(set(held)), "the optimizer holds a parameter twice")
    peak = max(group["lr"] for group in optimizer.param_groups)
    wanted = host.solution.recipe.lr
    require(abs(peak - wanted) <= 1e-9 * wanted, f"its highest learning rate is {peak}, the recipe's lr is {wanted}")


@law("stage", "kk_clean", once=True)
def findings_are_reproducible_and_name_samples(host):
    """The same data give the same findings, of training samples, to drop, keep or relabel; none is removed."""
    before = [s.id for s in host.dataset.train]
    random.seed(0)
    one, other = host.solution.clean(host.dataset), host.solution.clean(host.dataset)
    require(list(one) == list(other), "asked again it finds something else; draw from recipe.seed alone")
    strange = [f.sample for f in one if f.sample not in before]
    require(not strange, f"it names {next(iter(strange), '')}, which is no training sample")
    require(all(f.action in ("drop", "keep", "relabel") for f in one), "an action is neither drop, keep nor relabel")
    known = {sample.id: sample for sample in host.dataset.train}
    for f in one:
        require(bool(f.mask) == (f.action == "relabel"), f"{f.sample}: those who relabel, and they alone, give a mask")
        if f.mask:
            competition = host.solution.competition
            from_text(f.mask, f.sample, known[f.sample].size, competition.task, len(competition.classes))
    require([s.id for s in host.dataset.train] == before, "cleaning changed the data set; findings drop, nothing else")


def _channels(host) -> int:
    return host.solution.input_transform(host.dataset.channels, host.dataset.depth).channels


def _network(host):
    return host.solution.model(_channels(host), pretrained=False)
