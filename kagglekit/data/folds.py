"""Splits and subsets that depend on nothing but seed, groups and strata.

Both are made by ranking keyed hashes, so they do not change with the order of the samples.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from kagglekit.errors import DataError
from kagglekit.types import Sample


def split(samples: Sequence[Sample], folds: int, fold: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(train, validation) with `fold` held out; no group on both sides, strata and sizes balanced over folds.

    Both keep the order of `samples`. Raises DataError when there are fewer groups than folds.
    """
    of = assign(samples, folds, seed)
    train = [s for s in samples if of[s.group or s.id] != fold]
    return train, [s for s in samples if of[s.group or s.id] == fold]


def assign(samples: Sequence[Sample], folds: int, seed: int) -> dict[str, int]:
    """The fold of every group (a sample without a group is its own).

    Groups are dealt from the largest down, equal sizes in seeded order; each goes to the fold that has least of its
    strata, then least samples (the greedy rule of scikit-learn's StratifiedGroupKFold, made order-free).
    """
    strata: dict[str, Counter] = defaultdict(Counter)
    for sample in samples:
        strata[sample.group or sample.id][sample.stratum] += 1
    if len(strata) < folds:
        raise DataError(
            f"{len(strata)} group(s) of samples cannot be split into {folds} folds; use -o "
            f"folds={max(2, len(strata))} or fewer, "
            "or bring more data"
        )
    have = [Counter() for _ in range(folds)]
    sizes = [0] * folds
    of = {}
    for group in sorted(strata, key=lambda g: (-strata[g].total(), keyed(seed, "fold", g))):
        wanted = strata[group]
        of[group] = best = min(
            range(folds), key=lambda f: (sum(have[f][s] * n for s, n in wanted.items()), sizes[f], f)
        )
        have[best].update(wanted)
        sizes[best] += wanted.total()
    return of


def subset(samples: Sequence[Sample], fraction: float, seed: int) -> list[Sample]:
    """The part of `samples` that a fidelity trains on: at least one, in their order, strata in proportion.

    Nested: with the same seed a smaller fraction is inside every larger one.
    """
    if fraction >= 1:
        return list(samples)
    by_stratum = defaultdict(list)
    for sample in samples:
        by_stratum[sample.stratum].append(sample)
    priority = {}
    for stratum, members in by_stratum.items():
        members.sort(key=lambda s: keyed(seed, "subset", s.id))
        offset = keyed(seed, "stratum", str(stratum))
        for rank, sample in enumerate(members):
            # Ranks of every stratum are spread evenly over 0..1, so any prefix holds the strata in proportion.
            priority[sample.id] = ((rank + offset) / len(members), keyed(seed, "subset", sample.id))
    count = max(1, math.ceil(fraction * len(samples) - 1e-9))
    chosen = set(sorted(priority, key=priority.__getitem__)[:count])
    return [s for s in samples if s.id in chosen]


def keyed(seed: int, purpose: str, name: str) -> float:
    """A number in [0, 1) that depends on its arguments alone."""
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
