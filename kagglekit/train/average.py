"""One network out of several: weights averaged, the statistics of its batch normalisation made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kagglekit.train.checkpoint import hash_weights, read_weights, save_weights
from kagglekit.types import Member

if TYPE_CHECKING:
    import torch

    from kagglekit.train.network import Network

MOST = 64  # batches that the statistics are made of


def averaged(
    chosen: Sequence[tuple[Member, float]],
    make_network: Callable[[], Network],
    batches: Callable[[], Iterable[torch.Tensor]],
) -> Member:
    """A checkpoint beside the others with their weighted mean (stochastic weight averaging, Izmailov et al. 2018).

    `make_network` gives the network with its input transform on its device; `batches` images as stored, as in
    training: what the averaged network sees decides the statistics of its batch normalisation.
    A known average is not made again.
    """
    last = chosen[-1][0]
    if len(chosen) == 1:
        return last
    parts = "".join(f"{hash_weights(member.path)}{weight:.6f}" for member, weight in chosen)
    name = f"average-{hashlib.blake2b(parts.encode(), digest_size=6).hexdigest()}.safetensors"
    path = last.path.with_name(name)
    if not path.exists():
        weights, metadata = mean_weights(chosen)
        network = make_network()
        network.body.load_state_dict(weights)
        network.normalise_by(metadata["normalisation"])
        renew_statistics(network, batches())
        save_weights(path, network.body.state_dict(), metadata)
    return Member(path, last.epoch, last.fold)


def mean_weights(chosen: Sequence[tuple[Member, float]]) -> tuple[dict[str, torch.Tensor], dict]:
    """The weighted mean of floating tensors, others as in the last member; and the last member's metadata."""
    total: dict[str, torch.Tensor] = {}
    for member, weight in chosen:
        tensors, metadata = read_weights(member.path)
        for key, tensor in tensors.items():
            if not tensor.is_floating_point():
                total[key] = tensor
                continue
            part = tensor.double() * weight
            total[key] = total[key] + part if key in total else part
    return {key: total[key].to(tensor.dtype) for key, tensor in tensors.items()}, metadata


def renew_statistics(network: torch.nn.Module, images: Iterable[torch.Tensor]) -> None:
    """Mean and variance of every batch normalisation over at most `MOST` batches of images."""
    from itertools import islice

    import torch
    from torch.optim.swa_utils import update_bn

    device = next(network.parameters()).device
    with torch.no_grad():
        update_bn(islice(images, MOST), network, device=device)
    network.eval()
