"""Running members over images: logits become probabilities here, once, before views are undone and blended."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from kagglekit.data.loader import without_gradients
from kagglekit.errors import RunError
from kagglekit.predict.ensemble import weighted_mean
from kagglekit.protocols import Ensemble, InputTransform
from kagglekit.train.checkpoint import read_member
from kagglekit.train.network import Network, autocast, mask_logits, pick_device, pick_dtype, prepare
from kagglekit.types import Member, Prediction, Size, Task, View

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.recipe import Recipe


class Predictor:
    """Members of an ensemble on one device; call it with images as stored, `[B, C, H, W]`.

    `chosen` are the members with their weights, `ensemble` says how their probabilities become one. With `apart` the
    views are not blended: each pair of member and view, members first, stands for itself where a member stood.
    """

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        chosen: Sequence[tuple[Member, float]],
        ensemble: Ensemble,
        views: Sequence[View],
        make_model: Callable[[], torch.nn.Module],
        input_transform: InputTransform,
        apart: bool = False,
    ):
        import numpy as np

        self.device = pick_device()
        self.dtype = pick_dtype(recipe, self.device)
        self.task, self.views, self.ensemble, self.apart = task, views, ensemble, apart
        self.weights = np.array([weight for _, weight in chosen])
        self.networks: list[Network] = []
        # It may have random weights: the checkpoints hold them all.
        fresh = make_model() if chosen else torch.nn.Identity()
        for member, _ in chosen:
            body = copy.deepcopy(fresh)  # several times as fast as building another
            weights, metadata = read_member(member)
            try:
                body.load_state_dict(weights)
            except RuntimeError as error:  # torch lists every tensor
                first = str(error).strip().splitlines()[1:2] or [str(error)]
                raise RunError(
                    f"checkpoint {member.path}: is of another network than the recipe describes ({first[0].strip()}); "
                    "take recipe and checkpoints of one run"
                ) from error
            # Which normalisation fits depends on the weights that training began with, not on the network's name.
            setattr(body, "normalisation", metadata["normalisation"])  # noqa: B010  (any module may carry it)
            self.networks.append(prepare(body, input_transform, self.device).eval())

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities of every member, blended over the views: float32 `[M, B, K, H, W]` of masks.

        And `[M, B, K]` of classes, where the networks have a head for them. With `apart` M counts pairs.
        """
        images = images.to(self.device, non_blocking=True)
        masks: list[torch.Tensor] = []
        classes: list[torch.Tensor | None] = []
        for network in self.networks:
            taken = network.take_in(images)
            outputs = [self._ask(network.body, taken, view) for view in self.views]
            if self.apart:
                masks += [probs for probs, _ in outputs]
                classes += [heads_of_view for _, heads_of_view in outputs]
                continue
            masks.append(self._blended([probs for probs, _ in outputs]))
            heads = _all([heads_of_view for _, heads_of_view in outputs])
            classes.append(None if heads is None else self._blended(heads))
        heads_of_members = _all(classes)
        return torch.stack(masks).cpu().numpy(), None if heads_of_members is None else torch.stack(
            heads_of_members
        ).cpu().numpy()

    def _ask(self, body: torch.nn.Module, taken: torch.Tensor, view: View) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Probabilities of masks and classes that one member gives one view.

        Where a view shows parts of the images, a class is there if any part shows it.
        """
        shown = view.do(taken)
        with autocast(self.device, self.dtype):
            outputs = [body(part) for part in shown.split(len(taken))]  # no more in memory than without views
        logits = torch.cat([mask_logits(output) for output in outputs])
        probs = view.undo(to_probs(logits, self.task))
        if probs.shape[-2:] != taken.shape[-2:]:
            probs = torch.nn.functional.interpolate(probs, taken.shape[-2:], mode="bilinear")
        heads = _all([getattr(output, "classes", None) for output in outputs])
        return probs, None if heads is None else torch.stack(heads).float().sigmoid().amax(0)

    def _blended(self, outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The mean over the views, by their weights."""
        blended = self.views[0].weight * outputs[0]
        for view, one in zip(self.views[1:], outputs[1:], strict=True):
            blended = blended.add_(one, alpha=view.weight) if view.weight else blended
        return blended

    def combine(self, probs: np.ndarray) -> np.ndarray:
        """`[M, ..., K, H, W]` of all members -> `[..., K, H, W]`."""
        return self.ensemble.combine(probs, self.weights)


def _all(heads: Sequence[torch.Tensor | None]) -> list[torch.Tensor] | None:
    """The heads, where the network has one."""
    found = [head for head in heads if head is not None]
    return found or None


def to_probs(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """float32 probabilities: softmax over the classes of a label map, else a sigmoid per class."""
    return logits.float().softmax(1) if task == "multiclass" else logits.float().sigmoid()


class Answer(NamedTuple):
    """What the members say of one image: `probs` `[M, K, h, w]`, `classes` `[M, K]`; None if it cannot be read."""

    item: Any
    image: np.ndarray | None
    probs: np.ndarray | None
    classes: np.ndarray | None = None

    def combined(self, predictor: Predictor, size: Size, sample: str) -> Prediction:
        """One prediction out of those of the members."""
        classes = None if self.classes is None else weighted_mean(self.classes, predictor.weights)
        if self.probs is None:
            raise ValueError(f"{sample}: could not be read")
        return Prediction(predictor.combine(self.probs), size, sample, classes, self.image)


def predict_all(
    predictor: Predictor, items: Iterable[Any], read: Callable[[Any], np.ndarray | None], batch_size: int
) -> Iterator[Answer]:
    """A `Look` at every item in order; `read` gives an image `[h, w, C]` at network size, or None.

    Images are read ahead in threads while the network works; neighbours of one size share a batch, of at least
    `batch_size` where there are as many.
    """
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        ahead = _ahead(pool, read, items, 4 * batch_size)
        for shape, group in groupby(ahead, key=lambda pair: None if pair[1] is None else pair[1].shape):
            most = batch_size if shape is None else without_gradients(batch_size, shape[0] * shape[1])
            while batch := list(islice(group, most)):
                if shape is None:
                    yield from (Answer(item, None, None) for item, _ in batch)
                    continue
                probs, classes = predictor(to_batch([image for _, image in batch]))
                for i, (item, image) in enumerate(batch):
                    yield Answer(item, image, probs[:, i], None if classes is None else classes[:, i])


def to_batch(images: Sequence[np.ndarray]) -> torch.Tensor:
    """Images `[h, w, C]` of one size as `[B, C, h, w]`, channels-last in memory."""
    import numpy as np

    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _ahead(pool: ThreadPoolExecutor, read: Callable, items: Iterable[Any], depth: int) -> Iterator[tuple[Any, Any]]:
    """`(item, read(item))` in order with at most `depth` images in memory (a plain pool.map would read them all)."""
    from collections import deque

    waiting: deque = deque()
    for item in items:
        waiting.append((item, pool.submit(read, item)))
        if len(waiting) >= depth:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()
