"""What surrounds a network on any device: uint8 in, normalisation on the device, precision, memory format."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import nn

from kagglekit.train.model import IMAGENET

if TYPE_CHECKING:
    from kagglekit.recipe import Recipe


class Network(nn.Module):
    """Wraps a plugin's network: uint8 `[B, C, H, W]` -> logits; `body` holds all the weights."""

    def __init__(self, body: nn.Module, channels: int):
        super().__init__()
        self.body = body
        self.normalise_by(normalisation_of(body, channels))

    def normalise_by(self, normalisation: tuple) -> None:
        """Set the (mean, std) of pictures in 0..1."""
        self.normalisation = normalisation
        mean, std = normalisation
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float32))
        shift = -torch.tensor(mean, dtype=torch.float32) / torch.tensor(std, dtype=torch.float32)
        device = next((p.device for p in self.body.parameters()), None)
        self.register_buffer("scale", scale.view(1, -1, 1, 1).to(device), persistent=False)
        self.register_buffer("shift", shift.view(1, -1, 1, 1).to(device), persistent=False)

    def forward(self, images: torch.Tensor):
        """Logits of uint8 pictures."""
        return self.body(
            torch.addcmul(self.shift, images.float(), self.scale).contiguous(memory_format=torch.channels_last)
        )


def normalisation_of(body: nn.Module, channels: int) -> tuple:
    """(mean, std) that a network expects, each a number per channel: its own, or ImageNet's, repeated."""
    default = tuple(tuple(values[i % 3] for i in range(channels)) for values in IMAGENET)
    return tuple(tuple(values) for values in getattr(body, "normalisation", default))


def pick_device() -> str:
    """The best device there is: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(recipe: Recipe, device: str) -> torch.dtype:
    """The dtype of autocast, float32 for none. `auto`: bf16 where the hardware has it, fp16 on other GPUs."""
    named = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    if recipe.precision != "auto":
        return named[recipe.precision]
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32


def autocast(device: str, dtype: torch.dtype):
    """The context in which the network runs."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device, dtype)


def prepare(body: nn.Module, channels: int, device: str) -> Network:
    """The network on its device, convolutions laid out channels-last."""
    torch.backends.cudnn.benchmark = device == "cuda"  # sizes of batches hardly change, so tuning pays at once
    return Network(body, channels).to(device, memory_format=torch.channels_last)
