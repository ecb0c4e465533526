"""Who climbs: the best of each kind by merit; some drawn at random, which keeps the ladder honest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Why = Literal["merit", "recipe", "control"]


@dataclass(frozen=True)
class Candidate:
    """A trial of a finished rung: its merit, higher is better, and its kind (what it shares with its likes)."""

    number: int
    merit: float
    kind: str = ""


def promote(candidates: Sequence[Candidate], count: int, controls: int, seed: Sequence[int]) -> dict[int, Why]:
    """Numbers of the trials that climb, the best first, and why.

    `count` climb by merit: the best of each kind, then the second of each, and so on, the better kinds first. A cheap
    rung shows who learns fast; among trials of a kind that says who is better, between kinds it says little. `controls`
    more are drawn at random from what is left, by `seed` alone.
    """
    import numpy as np

    ordered = sorted(candidates, key=lambda c: (-c.merit, c.number))
    rank_in_kind: dict[int, int] = {}  # within the kind
    kinds: Counter[str] = Counter()
    for candidate in ordered:
        rank_in_kind[candidate.number] = kinds[candidate.kind]
        kinds[candidate.kind] += 1
    chosen = [c.number for c in sorted(ordered, key=lambda c: rank_in_kind[c.number])][:count]
    rank = {candidate.number: i for i, candidate in enumerate(ordered)}
    climbing: dict[int, Why] = dict.fromkeys(sorted(chosen, key=rank.__getitem__), "merit")
    left = sorted(rank.keys() - climbing.keys())
    drawn = np.random.default_rng(list(seed)).permutation(left)[:controls]
    return climbing | {int(number): "control" for number in sorted(drawn)}


def kind_of(params: Mapping[str, Any]) -> str:
    """What trials of a kind share: encoder and decoder, which decide more than any number does."""
    return " ".join(str(params[key]) for key in ("encoder", "decoder") if key in params)
