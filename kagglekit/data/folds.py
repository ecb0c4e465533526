"""Splits and subsets that depend on nothing but seed, groups and strata.

Both are made by ranking keyed hashes, so they do not change with the order of the samples.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

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

    Groups are dealt from the largest down, those with the rarest class first, equal ones in seeded order; each goes to
    the fold that has least of its strata and classes, each weighed by its rarity, then least samples (the greedy rule
    of scikit-learn's StratifiedGroupKFold and of iterative stratification, Sechidis et al. 2011, made order-free).
    """
    wants: dict[str, Counter] = defaultdict(Counter)
    sizes: Counter = Counter()
    for sample in samples:
        wants[sample.group or sample.id].update(_labels(sample))
        sizes[sample.group or sample.id] += 1
    if len(wants) < folds:
        raise DataError(_too_few(list(wants), len(samples), folds))
    total = sum(wants.values(), Counter())
    rarest = {group: min(total[label] for label in wanted) for group, wanted in wants.items()}
    have: list[Counter[Any]] = [Counter() for _ in range(folds)]
    filled = [0] * folds
    of = {}
    for group in sorted(wants, key=lambda g: (-sizes[g], rarest[g], keyed(seed, "fold", g))):
        wanted = wants[group]
        of[group] = best = min(
            range(folds), key=lambda f: (sum(have[f][s] * n / total[s] for s, n in wanted.items()), filled[f], f)
        )
        have[best].update(wanted)
        filled[best] += sizes[group]
    return of


def _too_few(groups: Sequence[str], count: int, folds: int) -> str:
    """Why samples cannot be split, and what can be done: of one group nothing can be held out, in however few folds."""
    if len(groups) > 1:
        return (
            f"{len(groups)} group(s) of samples cannot be split into {folds} folds; use -o folds={len(groups)} or "
            "fewer, or bring more data"
        )
    what = f"all {count} samples are of one group, {groups[0]!r}" if count > 1 else f"{count} sample(s) cannot be split"
    return (
        f"{what}, so that none can be held out: no number of folds helps. Bring samples of another group, or change "
        "what counts as a group (`kk info ID` lists the competition's settings)"
    )


def _labels(sample: Sample) -> list[tuple[str, int]]:
    """What folds keep in proportion of a sample: its stratum, and each class it shows."""
    return [("stratum", sample.stratum), *(("class", c) for c in sample.classes)]


def subset(samples: Sequence[Sample], fraction: float, seed: int) -> list[Sample]:
    """The part of `samples` that a fidelity trains on: at least one, in their order, strata in proportion.

    A sample with classes counts to the rarest of them within its stratum. Nested: with the same seed a smaller fraction
    is inside every larger one.
    """
    if fraction >= 1:
        return list(samples)
    frequency = Counter(c for sample in samples for c in sample.classes)
    by_stratum = defaultdict(list)
    for sample in samples:
        rarest = min(sample.classes, key=lambda c: (frequency[c], c), default=None)
        by_stratum[sample.stratum if rarest is None else (sample.stratum, rarest)].append(sample)
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
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
