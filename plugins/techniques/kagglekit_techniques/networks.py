"""The modules behind heads: they watch the parts of a network that another library built, and leave it as it is."""

from __future__ import annotations

import torch
from torch import nn

from kagglekit import ModelOutput, RecipeError


def presence(target: torch.Tensor, classes: int) -> torch.Tensor:
    """float32 `[B, K]`: which classes each mask shows; `target` is `[B, K, H, W]` or a label map `[B, H, W]`."""
    if target.ndim == 4:
        return target.flatten(2).amax(2).float()
    return torch.stack([(target == k).flatten(1).any(1) for k in range(classes)], 1).float()


class Watched(nn.Module):
    """A network whose inner parts are looked at while it runs; `encoder` and `decoder` are those of the network."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.features_of: dict[int, torch.Tensor] = {}
        for name in ("normalisation", "loaded_weights"):
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    @property
    def encoder(self) -> nn.Module:
        """The encoder of the network."""
        return self.inner.encoder

    @property
    def decoder(self) -> nn.Module:
        """The decoder of the network."""
        return self.inner.decoder

    def watch(self, part: nn.Module, key: int) -> None:
        """Keep what `part` returns under `key`."""

        def keep(module, inputs, output):
            self.features_of[key] = output

        part.register_forward_hook(keep)

    def run(self, images: torch.Tensor) -> ModelOutput:
        """What the network returns, as a ModelOutput."""
        output = self.inner(images)
        return output if isinstance(output, ModelOutput) else ModelOutput(output)


class ClassHeaded(Watched):
    """A network with a linear layer on the pooled features of its encoder."""

    def __init__(self, inner: nn.Module, classes: int, pooling: str, dropout: float):
        super().__init__(inner)
        self.pooling = pooling
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.encoder.out_channels[-1], classes))
        self.watch(self.encoder, 0)

    def forward(self, images):
        output = self.run(images)
        features = self.features_of.pop(0)[-1]
        if self.pooling == "max":
            pooled = features.amax((2, 3))
        elif self.pooling == "mean":
            pooled = features.mean((2, 3))
        else:
            shown = output.masks.detach().sigmoid().amax(1, keepdim=True)
            weights = nn.functional.interpolate(shown, features.shape[-2:], mode="area") + 1e-6
            pooled = (features * weights).sum((2, 3)) / weights.sum((2, 3))
        return ModelOutput(output.masks, self.head(pooled), output.deep)


class DeeplySupervised(Watched):
    """A network with a head on each stage of its decoder but the last, which has one; they speak while training."""

    def __init__(self, inner: nn.Module, classes: int):
        super().__init__(inner)
        stages = list(self.decoder.blocks)[:-1]
        for key, stage in enumerate(stages):
            self.watch(stage, key)
        was_training = inner.training
        inner.eval()
        channels = next(inner.parameters()).shape[1]  # of the first layer: those of the images
        with torch.inference_mode():
            inner(torch.zeros(1, channels, 64, 64))
        inner.train(was_training)
        widths = [self.features_of.pop(key).shape[1] for key in range(len(stages))]
        self.heads = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in widths)

    def forward(self, images):
        output = self.run(images)
        stages = [self.features_of.pop(key) for key in range(len(self.heads))]
        if not self.training:
            return output
        deep = tuple(head(stage) for head, stage in zip(self.heads, stages, strict=True))
        return ModelOutput(output.masks, output.classes, output.deep + deep)


def with_class_head(inner: nn.Module, classes: int, pooling: str, dropout: float) -> nn.Module:
    """`inner` with a head for classes; raises RecipeError for a network without the parts it needs."""
    if not hasattr(getattr(inner, "encoder", None), "out_channels"):
        raise RecipeError("techniques.class-head: the network has no encoder to put a head on; use another decoder")
    return ClassHeaded(inner, classes, pooling, dropout)


def with_deep_heads(inner: nn.Module, classes: int) -> nn.Module:
    """`inner` with heads on the stages of its decoder; raises RecipeError for a network without such stages."""
    if not isinstance(getattr(getattr(inner, "decoder", None), "blocks", None), nn.ModuleList):
        raise RecipeError(
            "techniques.deep-supervision: the decoder is not a list of stages; use decoder=unet or manet, or "
            "--without deep-supervision"
        )
    return DeeplySupervised(inner, classes)
