"""What a network sees of images as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.errors import RecipeError
from kagglekit.protocols import InputTransform
from kagglekit.types import Depth

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Plain:
    """All channels of an 8-bit image, as parts of 255."""

    channels: int

    @classmethod
    def of(cls, channels: int, depth: Depth) -> Plain:
        """Raises RecipeError for deeper images: which part of their range matters cannot be guessed."""
        if depth != "uint8":
            raise RecipeError(
                f"the images have {depth} pixels and the recipe does not say which range of values to show; "
                "add a technique that does (`kk list` shows what is installed)"
            )
        return cls(channels)

    def __call__(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        """uint8 `[B, C, H, W]` -> float32 in 0..1."""
        return images.float() / 255


def as_rgb(image: np.ndarray, input_transform: InputTransform) -> np.ndarray:
    """uint8 `[H, W, 3]` to show an image `[H, W, C]` as stored: the first three channels of what the network sees."""
    import numpy as np
    import torch

    if image.dtype == np.uint8 and image.shape[2] == 3:
        return image
    transformed = input_transform(torch.from_numpy(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2), False)[0, :3]
    channels = [*transformed, *[transformed.mean(0)] * (3 - len(transformed))]
    return (torch.stack(channels, -1) * 255).round().to(torch.uint8).numpy()
