"""Running members over pictures: logits become probabilities here, once, before views are undone and blended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import torch

from kagglekit.train.checkpoint import read_weights
from kagglekit.train.network import autocast, pick_device, pick_dtype, prepare
from kagglekit.types import Member, Task, View

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.recipe import Recipe


class Predictor:
    """Members of an ensemble on one device; call it with uint8 `[B, C, H, W]` for float32 `[M, B, K, H, W]`."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        members: Sequence[Member],
        views: Sequence[View],
        make_model: Callable[[], torch.nn.Module],
        channels: int,
    ):
        self.device = pick_device()
        self.dtype = pick_dtype(recipe, self.device)
        self.task, self.views = task, views
        self.networks = []  # `make_model` may give random weights, the checkpoints hold them all
        for member in members:
            body = make_model()
            weights, metadata = read_weights(member.path)
            body.load_state_dict(weights)
            # Which normalisation fits depends on the weights that training began with, not on the network's name.
            body.normalisation = metadata["normalisation"]
            self.networks.append(prepare(body, channels, self.device).eval())

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> np.ndarray:
        """Probabilities of every member, blended over the views."""
        images = images.to(self.device, non_blocking=True)
        members = []
        for network in self.networks:
            blended = 0
            for view in self.views:
                with autocast(self.device, self.dtype):
                    logits = network(view.do(images))
                probs = to_probs(getattr(logits, "masks", logits), self.task)
                blended = blended + view.weight * view.undo(probs)
            members.append(blended)
        return torch.stack(members).cpu().numpy()


def to_probs(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """float32 probabilities: softmax over the classes of a label map, else a sigmoid per class."""
    return logits.float().softmax(1) if task == "multiclass" else logits.float().sigmoid()


def predict_all(
    predictor: Predictor, items: Iterable[Any], read: Callable[[Any], np.ndarray | None], batch_size: int
) -> Iterator[tuple[Any, np.ndarray | None]]:
    """(item, probabilities `[M, K, h, w]`) in order; `read` gives a network-sized uint8 picture, or None.

    Pictures are read ahead in threads while the network works; neighbours of one size share a batch.
    """
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        ahead = _ahead(pool, read, items, 4 * batch_size)
        for shape, group in groupby(ahead, key=lambda pair: None if pair[1] is None else pair[1].shape):
            while batch := list(islice(group, batch_size)):
                if shape is None:
                    yield from batch
                    continue
                yield from _predict_batch(predictor, batch)


def _predict_batch(predictor: Predictor, batch: Sequence[tuple[Any, np.ndarray]]) -> Iterator[tuple[Any, np.ndarray]]:
    import numpy as np

    images = torch.from_numpy(np.stack([image for _, image in batch])).permute(0, 3, 1, 2)
    probs = predictor(images)
    for index, (item, _) in enumerate(batch):
        yield item, probs[:, index]


def _ahead(pool: ThreadPoolExecutor, read: Callable, items: Iterable[Any], depth: int) -> Iterator[tuple[Any, Any]]:
    """`(item, read(item))` in order with at most `depth` pictures in memory (a plain pool.map would read them all)."""
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
