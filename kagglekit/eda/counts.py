"""Facts that need no pixel: how many samples, of which groups, and what is wrong with files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from kagglekit.protocols import Dataset
from kagglekit.types import Box, Draw, Problem, Sample, Tiling

SHOWN = 5  # examples of a problem


def counts(dataset: Dataset) -> dict[str, Any]:
    """Samples of each part, those with a label, groups, files that are skipped."""
    skipped = {p.sample for p in dataset.problems if p.skip}
    return {
        "train": len(dataset.train),
        "test": len(dataset.test),
        "labelled": sum(s.label is not None for s in dataset.train),
        "groups": len({s.group for s in dataset.train if s.group}),
        "skipped": len(skipped),
    }


def problems(found: Sequence[Problem]) -> list[dict[str, Any]]:
    """By rule, the most frequent first: how many, whether skipped or damaged, some examples."""
    rules = Counter(p.rule for p in found)
    table = []
    for rule, count in rules.most_common():
        ours = [p for p in found if p.rule == rule]
        table.append(
            {
                "rule": rule,
                "count": count,
                "skipped": sum(p.skip for p in ours),
                "damaged": sum(p.damaged for p in ours),
                "examples": [{"sample": p.sample, "detail": p.detail} for p in ours[:SHOWN]],
            }
        )
    return table


def groups(samples: Sequence[Sample]) -> dict[str, Any]:
    """Groups of training samples (people, patients): how many, how large, how many without any label.

    `sizes` counts groups by their number of samples ("1", "2" ... "10+"); `alone` are samples that belong to none.
    """
    sizes = Counter(s.group for s in samples if s.group)
    labelled = {s.group for s in samples if s.group and s.label is not None}
    held = np.array(sorted(sizes.values()))
    table = Counter(str(n) if n < 10 else "10+" for n in held.tolist())
    return {
        "count": len(sizes),
        "alone": sum(not s.group for s in samples),
        "unlabelled": len(sizes.keys() - labelled),
        "largest": int(held.max()) if len(held) else 0,
        "median": float(np.median(held)) if len(held) else 0.0,
        "mean": float(held.mean()) if len(held) else 0.0,
        "sizes": {key: table[key] for key in (*map(str, range(1, 10)), "10+") if table[key]},
    }


def sampled(samples: Sequence[Sample], most: int, seed: int = 0) -> list[Sample]:
    """At most `most` samples in their order, the same for the same samples and seed."""
    if len(samples) <= most:
        return list(samples)
    chosen = np.random.default_rng((seed, len(samples))).permutation(len(samples))[:most]
    return [samples[i] for i in sorted(chosen.tolist())]


def windows(samples: Sequence[Sample], tiling: Tiling, side: int, most: int, each: int, seed: int = 0) -> list[Draw]:
    """At most `most` windows of slides, at most `each` of one, at random places; `side` is their size when shrunk."""
    draws = []
    for number, sample in enumerate(sampled(samples, most, seed)):
        rng = np.random.default_rng((seed, number, most))
        height, width = (min(full, side * tiling.reduce) for full in sample.size)
        for _ in range(min(each, max(1, most // max(1, len(samples))))):
            top = int(rng.integers(sample.size[0] - height + 1))
            left = int(rng.integers(sample.size[1] - width + 1))
            draws.append(Draw(sample, Box(top, left, height, width)))
    return draws
