"""Laws of stages after training, judged alike for competitions and techniques; each gets a `Host`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from kagglekit.predict.postprocess import describe, restore
from kagglekit.predict.postprocess import prepared as seen_whole
from kagglekit.testing.laws import law, require
from kagglekit.testing.subjects import require_mask
from kagglekit.types import Member, Prediction, Sample

EPOCHS = 5
CLOSE = 1e-5
BLURRED = 0.1  # a view that resamples may change an image by this part of its range
SHAPES = (2, 3, 64, 96), (1, 2, 96, 64)
FITTED_ON = 6


@law("stage", "kk_tta")
def views_begin_with_identity_and_weigh_1(host):
    """The first view is the image as it is, weights are 0 or more and sum to 1, names differ."""
    import torch

    views = host.solution.views()  # raises for weights
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    require(torch.equal(views[0].do(x), x), f"the first view, {views[0].name}, changes the image; identity comes first")
    names = [view.name for view in views]
    require(len(set(names)) == len(names), f"two views are named alike: {names}; merge them")


@law("stage", "kk_tta")
def undoing_a_view_brings_the_image_back(host):
    """undo(do(x)) == x, also for images that are not square; a view that resamples keeps everything in its place."""
    import torch
    from torch.nn.functional import interpolate

    for view in host.solution.views():
        for shape in SHAPES:
            exact = torch.rand(shape, generator=torch.Generator().manual_seed(0))
            smooth = _ramps(shape)
            done = view.do(exact)
            moved = done.shape[0] == shape[0] and sorted(done.shape[2:]) == sorted(shape[2:])
            x = exact if moved else smooth
            back = view.undo(view.do(x))
            require(back.shape[:2] == x.shape[:2], f"view {view.name}: {shape} comes back as {tuple(back.shape)}")
            if not moved:
                back = interpolate(back, shape[2:], mode="bilinear", antialias=back.shape[2] > shape[2])
            require(back.shape == x.shape, f"view {view.name}: {shape} comes back as {tuple(back.shape)}")
            apart = float((back - x).abs().max())
            require(
                apart <= (CLOSE if moved else BLURRED), f"view {view.name}: undo(do(x)) differs from x by {apart:.2g}"
            )


def _ramps(shape):
    """Images that rise from left to right in even channels and from top to bottom in odd ones."""
    import torch

    b, c, h, w = shape
    across, down = torch.linspace(0, 1, w).expand(h, w), torch.linspace(0, 1, h)[:, None].expand(h, w)
    return torch.stack([across if k % 2 == 0 else down for k in range(c)]).expand(b, c, h, w).contiguous()


@law("stage", "kk_ensemble")
def members_are_chosen_with_weights_that_sum_to_1(host):
    """Members are chosen among those there are, each once, with weights of 0 or more that sum to 1."""
    members = _members(host)
    chosen = list(host.solution.ensemble().choose(members, True))
    require(chosen, "no member is chosen")
    require(all(m in members for m, _ in chosen), "a member is chosen that is not among the checkpoints")
    require(len({m.path for m, _ in chosen}) == len(chosen), "a member is chosen twice; give it more weight instead")
    weights = [float(weight) for _, weight in chosen]
    require(
        min(weights) >= 0 and abs(sum(weights) - 1) <= 1e-6, f"weights of members are {weights}; expected a sum of 1"
    )


@law("stage", "kk_ensemble")
def one_member_is_itself(host):
    """An ensemble of one member gives that member's probabilities."""
    probs = _probs(host, 1)
    found = host.solution.ensemble().combine(probs, np.ones(1))
    require(
        found.shape == probs.shape[1:] and np.allclose(found, probs[0], atol=CLOSE),
        "one member alone does not come back as it is; weights must be shares",
    )


@law("stage", "kk_ensemble")
def combined_probabilities_stay_in_0_to_1(host):
    """Probabilities of several members, combined, have the form of one and lie in 0..1, extremes included."""
    for probs in (_probs(host, 3), np.ones_like(_probs(host, 3)), np.zeros_like(_probs(host, 3))):
        found = host.solution.ensemble().combine(probs, np.array([0.5, 0.3, 0.2]))
        require(found.shape == probs.shape[1:], f"three members of {probs.shape[1:]} combine to {found.shape}")
        low, high = float(found.min()), float(found.max())
        require(
            low >= -CLOSE and high <= 1 + 1e-3, f"combined probabilities lie in {low:.3g}..{high:.3g}; expected 0..1"
        )


@law("stage", "kk_postprocess")
def masks_have_the_form_of_the_task(host):
    """A mask has the size that is asked for, is uint8 and holds the classes alone; probabilities are not changed."""
    process = host.solution.postprocess()
    for prediction in predictions(host):
        before = prediction.probs.copy()
        mask = process(seen_whole(process, prediction))
        sample = Sample(prediction.sample, Path(prediction.sample), prediction.size)
        require_mask(host.solution.competition, sample, mask, prediction.size, "kk_postprocess()")
        require(np.array_equal(before, prediction.probs), "it changes the probabilities in place; copy before writing")


@law("stage", "kk_postprocess")
def its_settings_can_be_written_down(host):
    """What a run writes down of the post-processing, read back from JSON, makes the same masks."""
    process = host.solution.postprocess()
    written = json.loads(json.dumps(describe(process)))
    again = restore(host.solution.postprocess(), written)
    for prediction in predictions(host):
        same = np.array_equal(process(seen_whole(process, prediction)), again(seen_whole(again, prediction)))
        require(same, "restored from its settings it makes other masks; keep all of them in fields of a dataclass")


@law("stage", "kk_postprocess")
def what_is_fitted_is_of_the_same_kind(host):
    """Fitting gives the same kind of object, which also makes masks of the task, and changes nothing in the old one."""
    process = host.solution.postprocess()
    if not hasattr(process, "fit"):
        return "nothing is fitted"
    before = json.dumps(describe(process), default=str)
    metric = host.solution.competition.metric
    found = [seen_whole(process, p) for p in predictions(host, FITTED_ON)]
    truths = [process(p) for p in found]
    fitted = process.fit(found, truths, metric)
    require(type(fitted) is type(process), f"fit() gave a {type(fitted).__name__}, not a {type(process).__name__}")
    require(json.dumps(describe(process), default=str) == before, "fit() changes the object it is called on")
    sample = Sample("fitted", Path("fitted"), found[0].size)
    require_mask(host.solution.competition, sample, fitted(found[0]), found[0].size, "what fit() gave")


def predictions(host, count: int = 3) -> list[Prediction]:
    """Smooth probabilities of images of several sizes, class scores and the image included; the last is empty."""
    classes = len(host.solution.competition.classes)
    asked = host.dataset.test[0].truth_size if host.dataset.test else (48, 64)
    asked = asked if asked[0] * asked[1] <= 2**21 else (256, 192)
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        h, w = SHAPES[number % 2][2:]
        probs = np.kron(rng.random((classes, h // 16, w // 16)), np.ones((1, 16, 16))).astype(np.float32)
        probs = probs * 0 if number == count - 1 else probs
        if host.solution.competition.task == "multiclass":
            probs = (probs + 1e-3) / (probs + 1e-3).sum(0, keepdims=True)
        image = rng.integers(0, 200, (h, w, host.dataset.channels)).astype(host.dataset.depth)
        found.append(Prediction(probs, tuple(asked), f"p{number}", probs.max((1, 2)), image))
    return found


def _members(host) -> list[Member]:
    return [Member(host.store.folder / f"epoch-{n:02d}.safetensors", n, 0, 0.5 + n / 100) for n in range(EPOCHS)]


def _probs(host, members: int) -> np.ndarray:
    classes = len(host.solution.competition.classes)
    probs = np.random.default_rng(0).random((members, classes, 16, 24)).astype(np.float32)
    return probs / probs.sum(1, keepdims=True) if classes > 1 else probs
