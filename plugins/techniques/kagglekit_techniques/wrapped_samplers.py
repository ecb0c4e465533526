"""Samplers around samplers; what they draw depends on (seed, epoch) alone."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kagglekit import DataError, Draw, RecipeError, Sample
from kagglekit.api import Sampler, Store, did_you_mean, track
from kagglekit_techniques.shown import foreground_share


@dataclass(frozen=True)
class Limited:
    """Of what `inner` draws, the images whose turn it is; `turns`: sample id -> (its turn, size of its group)."""

    inner: Sampler
    turns: Mapping[str, tuple[int, int]] = field(repr=False)
    most: int

    @classmethod
    def turns_of(cls, samples: Sequence[Sample], seed: int) -> dict[str, tuple[int, int]]:
        """Turns drawn by lot within each group; a sample without a group is its own."""
        groups: dict[str, list[str]] = defaultdict(list)
        for sample in sorted(samples, key=lambda s: s.id):
            groups[sample.group or f"\0{sample.id}"].append(sample.id)
        rng = np.random.default_rng((seed, len(groups)))
        turns = {}
        for name in sorted(groups):
            members = groups[name]
            for member, turn in zip(members, rng.permutation(len(members)), strict=True):
                turns[member] = int(turn), len(members)
        return turns

    def __call__(self, epoch: int) -> Iterator[Draw]:
        """The draws of one epoch."""
        return (draw for draw in self.inner(epoch) if self._is_on(draw.sample.id, epoch))

    def _is_on(self, sample: str, epoch: int) -> bool:
        turn, size = self.turns[sample]
        return (turn - epoch * self.most) % size < self.most


@dataclass(frozen=True)
class Weighted:
    """As many draws as `inner` makes, of the same ones, in proportion to the weight of their samples."""

    inner: Sampler
    weights: Mapping[str, float] = field(repr=False)
    seed: int

    def __call__(self, epoch: int) -> Iterator[Draw]:
        """The draws of one epoch; raises RecipeError if all weights are 0."""
        draws = list(self.inner(epoch))
        weights = np.array([self.weights[draw.sample.id] for draw in draws], float)
        if not weights.sum() > 0:
            raise RecipeError("techniques: every image that could be drawn has a weight of 0")
        rng = np.random.default_rng((self.seed, epoch, len(draws)))
        return (draws[i] for i in rng.permutation(in_proportion(weights, len(draws), rng)))


def in_proportion(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` indices; each as often as its share of `weights` says, rounded down or up (systematic sampling).

    Drawing one by one would leave out a third of the images of equal weights.
    """
    if not count:
        return np.array([], int)
    order = rng.permutation(len(weights))
    ends = np.cumsum(weights[order])
    points = (np.arange(count) + rng.random()) * (ends[-1] / count)
    return order[np.minimum(np.searchsorted(ends, points, side="right"), np.flatnonzero(weights[order])[-1])]


def repeat_factors(shown: Sequence[Sequence[int]], threshold: float, limit: float) -> list[float]:
    """The factor of each image from the classes that it shows."""
    counts = Counter(k for classes in shown for k in classes)
    of = {k: min(limit, max(1.0, math.sqrt(threshold * len(shown) / n))) for k, n in counts.items()}
    return [max((of[k] for k in classes), default=1.0) for classes in shown]


@dataclass(frozen=True)
class Binned:
    """As many draws as `inner` makes, of the same ones: half of them empty, the others equally from each bin."""

    inner: Sampler
    store: Store
    cap: int
    seed: int
    _shares: dict[Draw, float] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, epoch: int) -> Iterator[Draw]:
        """The draws of one epoch; those with foreground alone where there are no others, and the reverse."""
        draws = list(self.inner(epoch))
        bins: dict[int, list[int]] = defaultdict(list)
        for i, draw in enumerate(track(draws, len(draws), "measuring masks")):
            bins[self._bin(draw)].append(i)
        rng = np.random.default_rng((self.seed, epoch, len(draws)))
        full = sum(number >= 0 for number in bins)
        weights = np.array([max(1, full) if number < 0 else 1 for number in bins], float)
        counts = np.bincount(in_proportion(weights, len(draws), rng), minlength=len(bins))
        chosen = [i for members, count in zip(bins.values(), counts, strict=True) for i in _dealt(members, count, rng)]
        return (draws[i] for i in rng.permutation(chosen))

    def _bin(self, draw: Draw) -> int:
        """-1 without foreground, else the rounded twentieths of it."""
        share = self._shares.get(draw)
        if share is None:
            share = foreground_share(self.store, draw)
            if draw.box is None:  # windows drawn at random never come back
                self._shares[draw] = share
        return min(self.cap, math.floor(20 * share + 0.5)) if share else -1


def _dealt(members: Sequence[int], count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the members, none twice before all were there once."""
    rounds = [rng.permutation(members) for _ in range(-(-count // len(members)))]
    return np.concatenate([*rounds, np.array([], int)])[:count].astype(int)


def read_weights(file: str, known: Sequence[Sample], wanted: Sequence[Sample]) -> dict[str, float]:
    """Weights by sample id; raises RecipeError for a missing file, DataError for what is wrong with its lines.

    Ids must be of `known` samples, and all of the `wanted` ones must be there.
    """
    path = Path(file)
    if not path.is_file():
        raise RecipeError(f"techniques.weighted-draws.file: {file} does not exist or is no file")
    ids, weights = {sample.id for sample in known}, {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: is no CSV in UTF-8: {error}") from None
    if not rows or rows[0] != ["sample", "weight"]:
        raise DataError(
            f"{file}: must begin with the line sample,weight; it begins with {','.join(rows[0]) if rows else 'nothing'}"
        )
    for number, row in enumerate(rows[1:], 2):
        where = f"{file}: line {number}"
        if len(row) != 2:
            raise DataError(f"{where}: has {len(row)} values; expected a sample and its weight")
        if row[0] not in ids:
            raise DataError(f"{where}: {row[0]!r} is no training image{did_you_mean(row[0], list(ids)[:20_000])}")
        if row[0] in weights:
            raise DataError(f"{where}: {row[0]} is listed twice")
        weights[row[0]] = _weight(row[1], where)
    missing = [sample.id for sample in wanted if sample.id not in weights]
    if missing:
        raise DataError(f"{file}: {len(missing)} training image(s) have no weight, the first is {missing[0]}")
    if not any(weights[sample.id] for sample in wanted):
        raise DataError(f"{file}: every training image has a weight of 0")
    return weights


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise DataError(f"{where}: {text!r} is no weight; expected a number of 0 or more")
    return weight
