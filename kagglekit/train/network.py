"""What surrounds a network on any device: images as stored in, normalisation on the device, precision."""

from __future__ import annotations

import contextlib
import functools
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from kagglekit.data.input_transform import Plain
from kagglekit.protocols import InputTransform
from kagglekit.train.model import IMAGENET
from kagglekit.types import ModelOutput

if TYPE_CHECKING:
    from kagglekit.recipe import Recipe


Output = torch.Tensor | ModelOutput
"""What a network returns: logits `[B, K, H, W]`, alone or with heads beside them."""


class Network(nn.Module):
    """Wraps a plugin's network: images as stored `[B, C, H, W]` -> logits; `body` holds all the weights."""

    def __init__(self, body: nn.Module, input_transform: InputTransform):
        super().__init__()
        self.body, self.input_transform = body, input_transform
        self.normalise_by(normalisation_of(body, input_transform.channels))

    body: nn.Module
    scale: torch.Tensor
    shift: torch.Tensor

    def normalise_by(self, normalisation: tuple) -> None:
        """Set the (mean, std) of images in 0..1."""
        self.normalisation = normalisation
        mean, std = normalisation
        scale = 1 / torch.tensor(std, dtype=torch.float32)
        shift = -torch.tensor(mean, dtype=torch.float32) / torch.tensor(std, dtype=torch.float32)
        device = next((p.device for p in self.body.parameters()), None)
        self.register_buffer("scale", scale.view(1, -1, 1, 1).to(device), persistent=False)
        self.register_buffer("shift", shift.view(1, -1, 1, 1).to(device), persistent=False)

    def take_in(self, images: torch.Tensor) -> torch.Tensor:
        """Images as stored -> normalised float32, channels-last: what `body` is given."""
        if isinstance(self.input_transform, Plain):  # one pass over the pixels instead of two
            taken, scale = images.float(), self.scale / 255
        else:
            taken, scale = self.input_transform(images, self.training), self.scale
        return torch.addcmul(self.shift, taken, scale).contiguous(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> Output:
        """Logits of images as stored."""
        found: Output = self.body(self.take_in(images))
        return found


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


def mask_logits(output: Output) -> torch.Tensor:
    """The logits `[B, K, H, W]` of whatever a network returns."""
    return output.masks if isinstance(output, ModelOutput) else output


def full_precision(output: Output) -> Output:
    """Logits as float32: sums over a batch of pixels, as Dice takes them, lose their last digits in 16 bits."""
    if not isinstance(output, ModelOutput):
        return output.float()
    classes = None if output.classes is None else output.classes.float()
    return ModelOutput(output.masks.float(), classes, tuple(deep.float() for deep in output.deep))


def autocast(device: str, dtype: torch.dtype) -> AbstractContextManager[object]:
    """The context in which the network runs."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device, dtype)


class FullPrecision:
    """Mixed into a layer: where gradients are wanted it computes in 32 bits whatever the autocast, and answers in its
    input's dtype."""

    def forward(self, values: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        """What the layer answers."""
        if not torch.is_grad_enabled():
            found: torch.Tensor = self._layer().forward(values, *more, **named)
            return found
        with torch.autocast(values.device.type, enabled=False):
            found = self._layer().forward(values.float(), *more, **named)
            return found.to(values.dtype)

    def _layer(self) -> Any:
        """The layer that this is mixed into."""
        return super()


@functools.cache
def in_full_precision(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of layers with `FullPrecision` mixed in; a class, because copies of a network copy their layers'."""
    return type(kind.__name__, (FullPrecision, kind), {})


def prepare(body: nn.Module, input_transform: InputTransform, device: str) -> Network:
    """The network on its device, convolutions laid out channels-last."""
    torch.backends.cudnn.benchmark = device == "cuda"  # sizes of batches hardly change, so tuning pays at once
    if device == "cpu":  # which has fast 16-bit kernels for depthwise convolutions, but not for their gradients
        for layer in body.modules():
            depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
            if depthwise and not isinstance(layer, FullPrecision):
                layer.__class__ = in_full_precision(cast(Any, type(layer)))
    network: Any = Network(body, input_transform)  # torch's types know `to` without a format alone
    placed: Network = network.to(device, memory_format=torch.channels_last)
    return placed
