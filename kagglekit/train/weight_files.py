"""Files of encoder weights as people have them: wrapped, prefixed, of whole networks, under timm's own names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.errors import RecipeError, first_line

if TYPE_CHECKING:
    import torch
    from torch import nn

State = Mapping[str, "torch.Tensor"]

# Where training scripts keep weights, the averaged ones first, as timm looks for them.
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "net", "weights")
DEEPEST = 3  # names in front of an encoder's own, as in module.model.encoder.


def read(path: Path) -> tuple[State, str]:
    """(name -> tensor, which part of the file that was) of a safetensors or torch file; raises RecipeError.

    Nothing in a file is executed: torch's restricted loader takes tensors, texts and numbers alone.
    """
    import torch

    try:
        if _is_safetensors(path):
            from safetensors.torch import load_file

            return load_file(path), ""
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = first_line(error)
        if type(error).__name__ == "UnpicklingError":  # whose own text is advice to run what the file holds
            reason = "it is damaged, or holds whole Python objects; save the state_dict of the network"
        raise RecipeError(f"encoder weights {path}: not a file of plain weights: {reason}") from error
    where: list[str] = []
    while isinstance(found, Mapping):
        inner = next((key for key in WRAPPERS if isinstance(found.get(key), Mapping) and found[key]), None)
        if inner is None:
            tensors = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
            if tensors:
                return tensors, ".".join(where)
            raise RecipeError(f"encoder weights {path}: holds no tensors; its entries are {_some(found)}")
        where.append(inner)
        found = found[inner]
    raise RecipeError(f"encoder weights {path}: holds a {type(found).__name__}; expected names and tensors")


def fit(encoder: nn.Module, state: State, channels: int, who: str) -> str:
    """Load `state` into `encoder` in place; returns what was matched, as in "120 entries behind encoder.".

    Entries are found by name, whatever stands in front of all of them, and under the names that timm gives the parts
    of a whole network (`stem.0`), which its encoders flatten (`stem_0`). The first layer is adapted to the number of
    channels. Entries of decoders and classifiers are left out; raises RecipeError for anything that is missing.
    """
    wanted = encoder.state_dict()
    prefix, names = _matched(wanted, state)
    needed = set(wanted) - _computed(encoder)
    missing = sorted(needed - set(names))
    if missing:
        raise RecipeError(
            f"encoder weights {who}: {missing[0]} is missing, and {len(missing) - 1} more of {len(needed)}; the file "
            f"does not belong to this encoder, it holds {_some(state)}"
        )
    fitted = dict(wanted)
    for key, name in names.items():
        source, target = state[name], wanted[key]
        _refuse_odd(source, target, name, who)
        if source.ndim == 4 and source.shape[1] == 3 and target.shape[1] == channels != 3:
            source = _to_channels(source, channels)
        if source.shape == target.shape:
            fitted[key] = source
        elif key in needed:
            raise RecipeError(
                f"encoder weights {who}: {key} has shape {tuple(source.shape)}, the encoder asks for "
                f"{tuple(target.shape)}"
            )
    encoder.load_state_dict(fitted)
    return f"{len(names)} entries behind {prefix}" if prefix else f"{len(names)} entries"


def _is_safetensors(path: Path) -> bool:
    """Does a file begin as safetensors does: the length of a header, and the header, which is JSON?"""
    with path.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def _refuse_odd(source: torch.Tensor, target: torch.Tensor, name: str, who: str) -> None:
    """Raise RecipeError for a tensor that holds no plain numbers of the kind that the encoder learns."""
    import torch

    if source.layout != torch.strided or source.is_meta or source.is_quantized:
        raise RecipeError(f"encoder weights {who}: {name} is no plain tensor but sparse, quantised or empty")
    if target.is_floating_point() and not source.is_floating_point():
        raise RecipeError(f"encoder weights {who}: {name} holds {source.dtype}; expected floating numbers")
    if source.is_floating_point() and not source.isfinite().all():
        raise RecipeError(f"encoder weights {who}: {name} holds values that are no numbers; take another file")


def _matched(wanted: State, state: State) -> tuple[str, dict[str, str]]:
    """What stands in front of the encoder's names in a file, and encoder's name -> file's name."""
    # timm's encoders wrap the network once or twice more than the file does.
    fronts = [front for front in ("", "model.", "model.model.") if all(key.startswith(front) for key in wanted)]
    best: tuple[str, dict[str, str]] = ("", {})
    for prefix in sorted(_prefixes(state), key=len):
        theirs = {_flat(name.removeprefix(prefix)): name for name in state if name.startswith(prefix)}
        if len(theirs) <= len(best[1]):
            continue
        for front in fronts:
            names = {key: theirs.get(_flat(key.removeprefix(front))) for key in wanted}
            found = {key: name for key, name in names.items() if name is not None}
            if len(found) > len(best[1]):
                best = prefix, found
    return best


def _prefixes(state: State) -> set[str]:
    """Whatever may stand in front of an encoder's own names."""
    found = {""}
    for name in state:
        parts = name.split(".")
        found |= {".".join(parts[:depth]) + "." for depth in range(1, min(DEEPEST, len(parts) - 1) + 1)}
    return found


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _computed(encoder: nn.Module) -> set[str]:
    """Entries that a network makes by itself: counters of batch norm, index tables of windows."""
    made = ("attn_mask", "relative_coords_table")
    return {n for n, value in encoder.named_buffers() if not value.dtype.is_floating_point or n.endswith(made)}


def _to_channels(kernel: torch.Tensor, channels: int) -> torch.Tensor:
    """A first convolution for RGB as one for any channel count: cycled, and scaled to keep activations."""
    import torch

    if channels == 1:
        return kernel.sum(1, keepdim=True)
    return torch.cat([kernel] * math.ceil(channels / 3), 1)[:, :channels] * (3 / channels)


def _some(names: Mapping) -> str:
    shown = [
        "".join(c if c.isprintable() else "?" for c in str(name))[:60] for name, _ in zip(names, range(3), strict=False)
    ]
    return (", ".join(shown) + ("" if len(names) <= len(shown) else ", ...")) or "nothing"
