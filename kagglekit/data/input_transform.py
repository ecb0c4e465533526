"""What a network sees of pictures as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.errors import RecipeError
from kagglekit.protocols import Intake
from kagglekit.types import Depth

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Plain:
    """All channels of an 8-bit picture, as parts of 255."""

    channels: int

    @classmethod
    def of(cls, channels: int, depth: Depth) -> Plain:
        """Raises RecipeError for deeper pictures: which part of their range matters cannot be guessed."""
        if depth != "uint8":
            raise RecipeError(
                f"the pictures have {depth} pixels and the recipe does not say which range of values to show; "
                "add a technique that does (`kk list` shows what is installed)"
            )
        return cls(channels)

    def __call__(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        """uint8 `[B, C, H, W]` -> float32 in 0..1."""
        return images.float() / 255


def as_rgb(image: np.ndarray, intake: Intake) -> np.ndarray:
    """uint8 `[H, W, 3]` to show a picture `[H, W, C]` as stored: the first three channels of what the network sees."""
    import numpy as np
    import torch

    if image.dtype == np.uint8 and image.shape[2] == 3:
        return image
    seen = intake(torch.from_numpy(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2), False)[0, :3]
    channels = [*seen, *[seen.mean(0)] * (3 - len(seen))]
    return (torch.stack(channels, -1) * 255).round().to(torch.uint8).numpy()
