"""Images that are there more than once: within the training part, and in both parts, which is a leak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kagglekit.data import duplicates
from kagglekit.eda.summaries import ImageSummary

DISTANCE, SIMILARITY = 10, 0.9  # as near as photos of a burst are; few others are


def copies(train: Sequence[ImageSummary], test: Sequence[ImageSummary]) -> dict[str, Any]:
    """Groups of images that are nearly the same: {"train": [...], "leaks": [...], ...}, the largest first.

    A group of `train` has ids; one of `leaks` {"train": ids, "test": ids}. `across_groups` counts groups of copies in
    the training part whose images belong to several groups of samples: folds by group would not keep those apart.
    """
    summaries = [*train, *test]
    if not summaries:
        return {"train": [], "leaks": [], "pictures": 0, "across_groups": 0}
    hashes = np.array([summary.hash for summary in summaries], np.uint64)
    agree = duplicates.alike(np.stack([summary.thumb for summary in summaries]), SIMILARITY)
    labels = duplicates.group(hashes, DISTANCE, agree)
    inside, leaks, across = [], [], 0
    for label in np.flatnonzero(np.bincount(labels) > 1):
        members = np.flatnonzero(labels == label)
        ours = [summaries[i].sample for i in members if i < len(train)]
        theirs = [summaries[i].sample for i in members if i >= len(train)]
        if len(ours) > 1:
            inside.append(sorted(s.id for s in ours))
            across += len({s.group or s.id for s in ours}) > 1
        if ours and theirs:
            leaks.append({"train": sorted(s.id for s in ours), "test": sorted(s.id for s in theirs)})
    return {
        "train": sorted(inside, key=lambda ids: (-len(ids), ids)),
        "leaks": sorted(leaks, key=lambda one: (-len(one["test"]), one["test"])),
        "pictures": sum(len(ids) for ids in inside),
        "across_groups": across,
    }
