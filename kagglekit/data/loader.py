"""Batches for training: draws -> store -> augment -> tensors as stored, normalised later on the device.

Every draw is distorted with a seed of its own, made of (seed, epoch, position), so batches do not depend on the number
of workers, and an epoch can be repeated alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from kagglekit.data.store import Store
from kagglekit.errors import PluginError
from kagglekit.types import Augment, Draw

if TYPE_CHECKING:
    import numpy as np
    import torch


PIXELS_AT_ONCE = 2**18  # of a batch that is only predicted; see `without_gradients`


@dataclass
class EpochDraws:
    """Random-access view of one epoch's draws, as torch's DataLoader wants it."""

    store: Store
    draws: Sequence[Draw]
    augment: Augment | None
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray] | Exception:
        try:
            return self.read(position)
        except Exception as error:  # a worker process would turn it into text, traceback and all
            return error

    def read(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """(image, mask) of one draw, distorted."""
        draw = self.draws[position]
        image, mask = self.store.read(draw.sample, draw.box)
        if self.augment is None:
            return image, mask
        shape, depth = (image.shape, mask.shape), image.dtype
        image, mask = distort(self.augment, image, mask, (self.seed, self.epoch, position))
        if (image.shape, mask.shape) != shape:
            raise PluginError(
                f"kk_augment(): {draw.sample.id}: shapes {shape} became {(image.shape, mask.shape)}; "
                "a transform must keep the size of image and mask"
            )
        if (image.dtype, mask.dtype) != (depth, "uint8"):
            raise PluginError(
                f"kk_augment(): {draw.sample.id}: gave {image.dtype} and {mask.dtype}; expected {depth} and uint8, "
                "normalising comes later on the device"
            )
        return image, mask


def distort(
    augment: Augment, image: np.ndarray, mask: np.ndarray, seed: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Apply an albumentations transform or a plain `(image, mask)` callable, reproducibly for `seed`."""
    import numpy as np

    seed_all(augment, int(np.random.SeedSequence(seed).generate_state(1)[0]))
    return applied(augment, image, mask)


def seed_all(augment: Augment, seed: int) -> None:
    """Let everything random in a distortion depend on `seed` from here on."""
    import numpy as np

    if hasattr(augment, "set_random_state"):
        # albumentations keeps generators of its own. Its set_random_seed would give every transform of a Compose the
        # same numbers: all that have a chance of a half would act on the same half of the images, and none on others.
        augment.set_random_state(np.random.default_rng(seed), random.Random(seed))
    elif hasattr(augment, "set_random_seed"):
        augment.set_random_seed(seed)
    else:
        random.seed(seed)
        np.random.seed(seed)


def applied(augment: Augment, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A distortion called in the form that it has: with keywords where it keeps generators of its own."""
    if hasattr(augment, "set_random_seed"):
        out = augment(image=image, mask=mask)
        return out["image"], out["mask"]
    return augment(image, mask)


def without_gradients(batch_size: int, pixels: int) -> int:
    """How many images of `pixels` pixels to show a network that does not learn: more than `batch_size` of small ones.

    Nothing is kept for a backward pass, and a call costs more than a small image does.
    """
    return max(batch_size, min(4 * batch_size, PIXELS_AT_ONCE // pixels))


def batches(
    store: Store,
    draws: Sequence[Draw],
    batch_size: int,
    augment: Augment | None,
    seed: int,
    epoch: int,
    device: str,
    share: Callable[[Sequence[int]], Sequence[int]] = list,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images as stored `[B, C, H, W]` (channels-last in memory) and masks `[B, H, W]` or `[B, K, H, W]`.

    A last batch of a single image joins the one before it: batch statistics of one image are noise. `share` says
    which positions of a batch are wanted here, all unless told otherwise.
    """
    from torch.utils.data import DataLoader

    groups = [list(range(i, min(i + batch_size, len(draws)))) for i in range(0, len(draws), batch_size)]
    if augment is not None and batch_size > 1 and len(groups) > 1 and len(groups[-1]) == 1:
        alone = groups.pop()
        groups[-1] += alone
    groups = [list(share(group)) for group in groups]
    on_gpu = device.startswith("cuda")
    # On a CPU the network has the cores; decoded uint8 batches cost it less than worker processes would.
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4) if on_gpu else 0
    loader: Any = DataLoader(
        cast(Any, EpochDraws(store, draws, augment, seed, epoch)),  # has what a map-style data set needs
        batch_sampler=groups,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=on_gpu,
        prefetch_factor=4 if workers else None,
        worker_init_fn=single_threaded,
    )
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch


def single_threaded(worker: int) -> None:
    """Keep OpenCV of a worker process to one thread: there are as many workers as cores."""
    import cv2

    cv2.setNumThreads(0)


def collate(
    pairs: Sequence[tuple[np.ndarray, np.ndarray] | Exception],
) -> tuple[torch.Tensor, torch.Tensor] | Exception:
    """Stack images and masks, or hand on the first error.

    The channel axis moves to the front without copying, which is channels-last memory.
    """
    import numpy as np
    import torch

    read: list[tuple[np.ndarray, np.ndarray]] = []
    for pair in pairs:
        if isinstance(pair, Exception):
            return pair
        read.append(pair)
    images = torch.from_numpy(np.stack([image for image, _ in read])).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([mask for _, mask in read]))
    return images, masks.permute(0, 3, 1, 2) if masks.ndim == 4 else masks


def to_target(masks: torch.Tensor, task: str) -> torch.Tensor:
    """Masks as the losses want them: float `[B, K, H, W]`, or int64 `[B, H, W]` for label maps."""
    if task == "multiclass":
        return masks.long()
    return (masks if masks.ndim == 4 else masks.unsqueeze(1)).float()
