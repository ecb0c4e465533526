"""Checkpoints as safetensors: weights of each epoch, and the state to go on from. Nothing here can run code.

`epoch-NN.safetensors` holds what predicts (averaged weights where the recipe averages). `state.safetensors` holds the
raw weights, the optimizer and, as JSON in its header, the history; it is written last, so it is what a resume trusts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.errors import RecipeError, RunError
from kagglekit.files import write_with
from kagglekit.types import Member

if TYPE_CHECKING:
    import torch
    from torch import nn

STATE = "state.safetensors"


def epoch_path(folder: Path, epoch: int) -> Path:
    """Where the weights after `epoch` (counted from 0) lie."""
    return Path(folder) / f"epoch-{epoch:03d}.safetensors"


def save_weights(path: Path, weights: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON-like metadata, whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copies, because safetensors refuses tensors that share memory, as layers with tied weights do.
    tensors = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in weights.items()}
    try:
        write_with(path, lambda temporary: save_file(tensors, temporary, {"kagglekit": json.dumps(metadata)}))
    except SafetensorError as error:  # what the library makes of a full disk
        raise RunError(
            f"checkpoint {path}: cannot be written: {error}; free some space and repeat the command"
        ) from error


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(tensors, metadata) of a file written by `save_weights`; raises RunError for a damaged file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("kagglekit", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118 - not a dict
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(
            f"checkpoint {path}: cannot be read: {error}; remove the run's folder and repeat the command"
        ) from error


def read_member(member: Member) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """`read_weights` of a member; raises RunError where they are not those of the record, or no numbers."""
    weights, metadata = read_weights(member.path)
    if member.hash and hash_of(weights) != member.hash:
        raise RunError(
            f"checkpoint {member.path}: its weights are not those that the run wrote; the file was changed, "
            "fetch the run or bundle again, or repeat its command with --again"
        )
    odd = next((k for k, v in weights.items() if v.is_floating_point() and not v.isfinite().all()), None)
    if odd is not None:
        raise RunError(
            f"checkpoint {member.path}: {odd} holds values that are no numbers; a network of it sees nothing"
        )
    return weights, metadata


def hash_weights(path: Path) -> str:
    """16 hex digits of the tensors of a checkpoint alone: times in its header differ from one training to the next."""
    return hash_of(read_weights(path)[0])


def hash_of(weights: Mapping[str, torch.Tensor]) -> str:
    """16 hex digits of names, kinds, shapes and values of tensors."""
    import hashlib

    import torch

    state = hashlib.blake2b(digest_size=8)
    for key in sorted(weights):
        tensor = weights[key].contiguous()
        state.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def is_checkpoint(name: str) -> bool:
    """Is this a file that `save_weights` wrote of a whole network?"""
    from safetensors import SafetensorError, safe_open

    path = Path(name)
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return "kagglekit" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False  # whoever wants encoder weights of it will say what is wrong


def load_network(model: nn.Module, path: Path) -> None:
    """Load the checkpoint of a run into `model` in place, with the normalisation it was trained with.

    Raises RecipeError where it is of another network.
    """
    weights, metadata = read_weights(path)
    wanted = model.state_dict()
    odd = [k for k in wanted if k not in weights or weights[k].shape != wanted[k].shape] or sorted(
        weights.keys() - wanted.keys()
    )
    if odd:
        raise RecipeError(
            f"encoder_weights {path.name}: a checkpoint of another network: {odd[0]} does not fit; "
            "encoder, decoder and classes must be those of its run"
        )
    model.load_state_dict(weights)
    network: Any = model  # any module may carry it
    if "normalisation" in metadata:
        network.normalisation = tuple(tuple(values) for values in metadata["normalisation"])
    network.loaded_weights = f"warm start: {path.parent.parent.name}/{path.name}"


def save_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, extra: dict[str, torch.Tensor], metadata: dict
) -> None:
    """Write everything that the next epoch depends on; `extra` are further tensors (averaged weights)."""
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    scalars: dict[str, dict] = {}
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if hasattr(value, "shape"):
                tensors[f"optimizer.{index}.{name}"] = value
            elif value is not None:
                scalars.setdefault(str(index), {})[name] = value
    tensors |= {f"extra.{key}": value for key, value in extra.items()}
    save_weights(folder / STATE, tensors, {**metadata, "optimizer": scalars})


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Restore model and optimizer in place; returns (extra tensors, metadata), or None where there is no state."""
    import torch

    path = folder / STATE
    if not path.exists():
        return None
    tensors, metadata = read_weights(path)
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}, "extra": {}}
    for key, value in tensors.items():
        part, _, rest = key.partition(".")
        parts[part][rest] = value
    model.load_state_dict(parts["model"])
    slots: dict[int, dict] = {int(index): dict(values) for index, values in metadata.pop("optimizer").items()}
    for key, value in parts["optimizer"].items():
        number, _, name = key.partition(".")
        slots.setdefault(int(number), {})[name] = value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, slot in slots.items():
        for name, value in slot.items():
            if getattr(value, "shape", None) == parameters[index].shape:
                # Fused optimizers walk raw memory: a slot must lie in memory as its parameter does (channels-last).
                slot[name] = torch.empty_like(parameters[index]).copy_(value)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return parts["extra"], metadata
