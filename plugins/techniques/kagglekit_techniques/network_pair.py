"""Two networks that teach each other, on small images: what `co-teaching` trains and asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from kagglekit import Recipe, Sample
from kagglekit.api import (
    Network,
    PlainTransform,
    Store,
    Track,
    autocast,
    build_model,
    lr_at,
    mask_logits,
    pick_device,
    pick_dtype,
    place_network,
    resize_image,
    resize_mask,
    to_target,
    to_uint8,
)


@dataclass(frozen=True)
class NetworkPair:
    """How a pair is trained: `recipe` names network and schedule, `forget` is the part of a batch left out."""

    recipe: Recipe
    task: str
    classes: int
    store: Store
    forget: float
    draws: int  # images that an epoch shows

    def train(self, samples: Sequence[Sample], seed: int, track: Track, title: str) -> tuple[Network, Network]:
        """Both networks after training on `samples`; they differ in their decoder's first weights and in nothing else.

        Each is updated on the images of a batch that the other finds easiest (Han et al., 2018).
        """
        device = pick_device()
        dtype = pick_dtype(self.recipe, device)
        networks = [self._network(seed, member, device) for member in range(2)]
        optimizers = [
            torch.optim.AdamW(n.body.parameters(), lr=self.recipe.lr, weight_decay=self.recipe.weight_decay)
            for n in networks
        ]
        per_epoch = max(1, self.draws // self.recipe.batch_size)
        steps = per_epoch * self.recipe.fidelity.epochs
        batches = self._batches(samples, seed, steps)
        for step, (images, masks) in enumerate(track(batches, steps, title)):
            lr = lr_at(self.recipe, step / per_epoch)
            images, target = images.to(device), to_target(masks.to(device), self.task)
            losses = []
            for network in networks:
                network.train()
                with autocast(device, dtype):
                    logits = mask_logits(network(images))
                losses.append(image_losses(logits.float(), target, self.task))
            # Rising to the full rate over the first third: at the start all losses are noise.
            rate = self.forget * min(1.0, 3 * (step + 1) / steps)
            kept = max(1, round((1 - rate) * len(images)))
            for at in range(2):
                easiest = losses[1 - at].detach().argsort()[:kept]
                optimizers[at].zero_grad(set_to_none=True)
                losses[at][easiest].mean().backward()
                torch.nn.utils.clip_grad_norm_(networks[at].body.parameters(), self.recipe.clip)
                for group in optimizers[at].param_groups:
                    group["lr"] = lr
                optimizers[at].step()
        return networks[0], networks[1]

    @torch.inference_mode()
    def predict(
        self, networks: Sequence[Network], samples: Sequence[Sample]
    ) -> Iterator[tuple[Sample, np.ndarray, np.ndarray, np.ndarray]]:
        """(sample, image, mask, mean probabilities float32 `[K, S, S]`); networks see it as it is and mirrored."""
        device = pick_device()
        dtype = pick_dtype(self.recipe, device)
        for network in networks:
            network.eval()
        for start in range(0, len(samples), self.recipe.batch_size):
            chunk = samples[start : start + self.recipe.batch_size]
            pairs = [self._read(sample) for sample in chunk]
            images = _stacked([image for image, _ in pairs]).to(device)
            probs = 0
            for network in networks:
                for view in (lambda x: x, lambda x: x.flip(-1)):
                    with autocast(device, dtype):
                        logits = mask_logits(network(view(images))).float()
                    probs = probs + view(logits.softmax(1) if self.task == "multiclass" else logits.sigmoid()) / 4
            for sample, (image, mask), mean in zip(chunk, pairs, probs.cpu().numpy(), strict=True):
                yield sample, image, mask, mean

    def _network(self, seed: int, member: int, device: str) -> Network:
        torch.manual_seed(2 * seed + member)
        body = build_model(self.recipe, self.store.channels, self.classes)
        return place_network(body, PlainTransform(self.store.channels), device)

    def _batches(self, samples: Sequence[Sample], seed: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        rng = np.random.default_rng(seed)
        size, order = min(self.recipe.batch_size, len(samples)), np.zeros(0, int)
        for _ in range(steps):
            while len(order) < size:
                order = np.concatenate([order, rng.permutation(len(samples))])
            chosen, order = order[:size], order[size:]
            pairs = [distorted(*self._read(samples[i]), rng) for i in chosen]
            yield _stacked([image for image, _ in pairs]), _stacked([mask for _, mask in pairs])

    def _read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        side = self.recipe.fidelity.image_size
        image, mask = self.store.read(sample)
        return to_uint8(resize_image(image, (side, side))), resize_mask(mask, (side, side), self.task)


def distorted(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image moved, scaled, mirrored and lit otherwise, with its mask."""
    import cv2

    side = image.shape[0]
    scale, turn, (dx, dy) = rng.uniform(0.85, 1.15), rng.uniform(-10, 10), rng.uniform(-0.06, 0.06, 2) * side
    move = cv2.getRotationMatrix2D((side / 2, side / 2), turn, scale)
    move[:, 2] += dx, dy
    if rng.random() < 0.5:
        move = move @ np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1]], float)
    shape = image.shape
    image = cv2.warpAffine(image, move, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(mask, move, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    lit = image.reshape(shape) * rng.uniform(0.85, 1.15) + rng.uniform(-12, 12, shape[2])
    return np.clip(lit, 0, 255).astype(np.uint8), mask.reshape(side, side, *mask.shape[2:])


def image_losses(logits: torch.Tensor, target: torch.Tensor, task: str) -> torch.Tensor:
    """`[B]`: cross-entropy plus soft Dice loss of each image."""
    if task == "multiclass":
        entropy = functional.cross_entropy(logits, target, reduction="none").flatten(1).mean(1)
        probs = logits.softmax(1)[:, 1:]
        target = functional.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    else:
        entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).mean(1)
        probs = logits.sigmoid()
    overlap = 2 * (probs * target).flatten(2).sum(2)
    total = (probs + target).flatten(2).sum(2)
    pixels = probs[0, 0].numel()
    smooth = 0.01 * pixels  # a class that is absent must not cost as much as one that is missed
    return entropy + (1 - (overlap + smooth) / (total + smooth)).mean(1)


def _stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    stack = torch.from_numpy(np.stack(arrays))
    return stack.movedim(-1, 1) if stack.ndim == 4 else stack
