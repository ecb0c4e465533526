"""Which labels a solution distrusts: asked once for the same data, rules and code, and kept in the cache."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from kagglekit.files import locked, write_text
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset
from kagglekit.recipe import digest
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import cleaner_version
from kagglekit.types import Finding


def findings_of(solution: Solution, dataset: Dataset, data_fingerprint: str) -> Sequence[Finding]:
    """The findings of the recipe's rules on a data set with the fingerprint `mark`."""
    if len(solution.who_answers("kk_clean")) == 1:  # the engine alone, which distrusts nothing
        return solution.clean(dataset)
    path = _cache_path(solution, data_fingerprint)
    with locked(path.with_suffix(".lock")):  # trials that begin together would each train what cleans
        if (kept := _read(path)) is not None:
            return kept
        found = list(solution.clean(dataset))
        write_text(path, json.dumps([dataclasses.asdict(one) for one in found]))
    return found


def known(solution: Solution, data_fingerprint: str) -> bool:
    """Is there an answer of `findings_of` that costs nothing?"""
    return _read(_cache_path(solution, data_fingerprint)) is not None


def _cache_path(solution: Solution, data_fingerprint: str) -> Path:
    rules = [
        [t.name, dataclasses.asdict(t)]
        for t in solution.techniques
        if hasattr(t, "kk_clean") or hasattr(t, "kk_dataset")  # who changes the data changes what is found
    ]
    recipe = solution.recipe
    key = digest([data_fingerprint, cleaner_version(solution), recipe.competition, recipe.settings, rules])
    return folders.cache() / "findings" / f"{key}.json"


def _read(path: Path) -> list[Finding] | None:
    """What was kept; None where there is nothing of use: it is found anew."""
    import msgspec

    try:
        return msgspec.convert(json.loads(path.read_bytes()), list[Finding], strict=True)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError):
        return None
