"""A network without its weights: what is kept of it, so that checkpoints can be loaded without building it again."""

from __future__ import annotations

import copy

import torch
from torch import nn


def frame_of(model: nn.Module) -> nn.Module:
    """A copy of a network whose weights take no memory; what no checkpoint holds is copied as it is."""
    return _copy(model, "meta")


def filled(frame: nn.Module) -> nn.Module:
    """A copy of a frame on the CPU, with whatever is in memory for weights."""
    return _copy(frame, "cpu")


def _copy(model: nn.Module, device: str) -> nn.Module:
    held = {id(t): t for t in model.state_dict(keep_vars=True).values() if isinstance(t, torch.Tensor)}
    return copy.deepcopy(model, {key: _like(tensor, device) for key, tensor in held.items()})


def _like(tensor: torch.Tensor, device: str) -> torch.Tensor:
    empty = torch.empty_like(tensor, device=device)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
