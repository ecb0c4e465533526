"""One training on several processes that computes what one process would: who takes which images, what they tell.

A batch is drawn as for one process and split. Whatever couples the images of a batch is exchanged: batch statistics
inside the network, logits before the loss, gradients before the step. Every process computes the loss of the whole
batch, so that a loss over a batch (Dice, Lovász, one that leaves images out) is the same as on one process. torch's
DistributedDataParallel averages over processes instead of images, and knows nothing of such losses.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.overrides import TorchFunctionMode

from kagglekit.errors import RunError
from kagglekit.train.network import pick_device
from kagglekit.types import ModelOutput

if TYPE_CHECKING:
    from kagglekit.train.network import Network

APART = 0x9E3779B1  # between the seeds of two processes; torch keeps 32 bits of a seed, and epochs count up by one


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one training, in torch's default process group; alone unless told otherwise."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Does this process validate, write and speak for all?"""
        return self.rank == 0

    def device(self) -> str:
        """Where this process computes: "cuda", "mps" or "cpu"; Apple's GPUs have no collectives."""
        device = pick_device()
        return "cpu" if device == "mps" and self.size > 1 else device

    def seed(self, seed: int) -> int:
        """The seed of what this process draws by itself, such as dropout; the leader's is that of one process."""
        return seed + self.rank * APART

    def splits(self, total: int) -> bool:
        """Is a batch of `total` images split? One with fewer images than processes is computed whole by each."""
        return 1 < self.size <= total

    def share(self, group: Sequence[int]) -> list[int]:
        """The part of a batch that this process computes."""
        if not self.splits(len(group)):
            return list(group)
        start, end = self._bounds(len(group))[self.rank]
        return list(group[start:end])

    def _bounds(self, total: int) -> list[tuple[int, int]]:
        return [(total * rank // self.size, total * (rank + 1) // self.size) for rank in range(self.size)]

    def batch_statistics(self, total: int) -> AbstractContextManager[object]:
        """The context in which the network sees a batch of `total` images."""
        return BatchStatistics(self.size) if self.splits(total) else contextlib.nullcontext()

    def gathered(self, output: Any, masks: torch.Tensor, total: int) -> tuple[Any, torch.Tensor]:
        """Logits and masks of all `total` images in their order; gradients reach those of this process only."""
        if not self.splits(total):
            return output, masks
        if isinstance(output, ModelOutput):
            classes = None if output.classes is None else self._gather(output.classes, total)
            deep = tuple(self._gather(part, total) for part in output.deep)
            return ModelOutput(self._gather(output.masks, total), classes, deep), self._gather(masks, total)
        return self._gather(output, total), self._gather(masks, total)

    def _gather(self, own: torch.Tensor, total: int) -> torch.Tensor:
        counts = [end - start for start, end in self._bounds(total)]
        padded = own.new_zeros(max(counts), *own.shape[1:])  # collectives want equal sizes
        padded[: len(own)] = own.detach()
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        parts = [part[:count] for part, count in zip(found, counts, strict=True)]
        return torch.cat([*parts[: self.rank], own, *parts[self.rank + 1 :]])

    def weight(self, total: int) -> float:
        """What the loss of a batch counts on this process, so that gradients add up over all."""
        return 1.0 if self.size == 1 or self.splits(total) else 1 / self.size

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace gradients by their sum over all processes; a weight that none has a gradient for stays without."""
        if self.size == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained]
        present = torch.tensor([float(p.grad is not None) for p in trained], device=trained[0].device)
        flat = torch.cat([*parts, present])
        dist.all_reduce(flat)
        *parts, present = flat.split([p.numel() for p in trained] + [len(trained)])
        for parameter, part, count in zip(trained, parts, present.tolist(), strict=True):
            if count:
                # As the parameter lies in memory (channels-last), which fused optimizers rely on.
                parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))

    def begin(self, network: Network, folder: Path, epochs: int, loaded: str) -> str:
        """Give all processes the leader's weights; returns what the leader says they are.

        Raises RunError where another process saw another number of finished epochs in `folder`.
        """
        if self.size == 1:
            return loaded
        heard: list = [epochs, loaded, network.normalisation]
        dist.broadcast_object_list(heard, 0)
        if heard[0] != epochs:
            raise RunError(
                f"{folder}: worker {self.rank} sees {epochs} finished epochs there, worker 0 sees {heard[0]}; "
                "runs must lie in a folder that all machines share (KAGGLEKIT_RUNS)"
            )
        network.normalise_by(heard[2])  # the hub may have answered one machine and not the other
        for tensor in network.body.state_dict().values():
            whole = tensor.detach().contiguous()
            dist.broadcast(whole, 0)
            tensor.copy_(whole)
        return str(heard[1])


class BatchStatistics(TorchFunctionMode):
    """Inside, batch norm that trains takes mean and variance over the images of all processes.

    Stands in for `batch_norm` itself: layers that derive from torch's, as timm's with an activation, keep all they do.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of each of its functions."""
        if function is torch.nn.functional.batch_norm:
            given = SIGNATURE.bind(*args, **(kwargs or {}))
            given.apply_defaults()
            if given.arguments["training"]:
                return _batch_norm(self.size, **given.arguments)
        return function(*args, **(kwargs or {}))


SIGNATURE = inspect.signature(torch.nn.functional.batch_norm)


def _batch_norm(
    size: int,
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    if input.is_cuda:
        from torch.nn.modules._functions import SyncBatchNorm  # the kernels of torch.nn.SyncBatchNorm

        group = dist.group.WORLD
        return SyncBatchNorm.apply(input, weight, bias, running_mean, running_var, eps, momentum, group, size)
    kind = torch.promote_types(input.dtype, torch.float32)
    with torch.no_grad():
        mean, var, count = _statistics(input.to(kind))
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((var * (count / max(1, count - 1))).to(running_var), momentum)
    return _Normalise.apply(input, weight, bias, mean.to(kind), var.to(kind), count, eps)


def _statistics(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mean and biased variance per channel over all processes, float64, and how many values went into each."""
    var, mean = torch.var_mean(values, _but_channels(values), correction=0)
    count = torch.full_like(mean, values.numel() // values.shape[1], dtype=torch.float64)
    mean, var = mean.double(), var.double()
    sums = torch.stack([count, count * mean, count * (var + mean.square())])
    dist.all_reduce(sums)
    count, mean = sums[0], sums[1] / sums[0]
    return mean, (sums[2] / count - mean.square()).clamp_min(0), float(count[0])


def _but_channels(values: torch.Tensor) -> list[int]:
    return [d for d in range(values.dim()) if d != 1]


class _Normalise(torch.autograd.Function):
    """Batch norm by statistics that were made from the input on all processes; torch's own does not know that."""

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor,
        var: torch.Tensor,
        count: float,
        eps: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(values, weight, mean, (var + eps).rsqrt())
        ctx.count, ctx.biased = count, bias is not None
        return torch.nn.functional.batch_norm(values, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight, mean, scale = ctx.saved_tensors
        shape = [1, -1] + [1] * (values.dim() - 2)
        slope, centred = gradient.to(mean.dtype), values.to(mean.dtype) - mean.view(shape)
        own = torch.stack([slope.sum(_but_channels(values)), (slope * centred).sum(_but_channels(values))])
        whole = own.clone()
        dist.all_reduce(whole)
        whole /= ctx.count
        towards = slope - whole[0].view(shape) - centred * (scale.square() * whole[1]).view(shape)
        towards *= (scale if weight is None else scale * weight).view(shape)
        to_weight = None if weight is None else own[1] * scale
        return towards.to(values.dtype), to_weight, own[0] if ctx.biased else None, None, None, None, None
