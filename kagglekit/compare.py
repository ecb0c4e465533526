"""Two finished runs side by side: what differs in recipe, data and code, and what that is worth, picture by picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kagglekit.errors import UsageError
from kagglekit.reproduce import Claim, claim_of, flat
from kagglekit.runs import folder as folders
from kagglekit.search.stats import paired

SHOWN = 8  # pictures that are named


def compare(a: Path, b: Path) -> dict[str, Any]:
    """JSON-like: differences of the recipes, and of the scores on the pictures that both held out; B minus A.

    Raises RunError for unfinished runs, UsageError for runs of different competitions.
    """
    ours, theirs = claim_of(a), claim_of(b)
    ids = [claim.manifest["competition"] for claim in (ours, theirs)]
    if ids[0] != ids[1]:
        raise UsageError(f"{a.name} is a run of {ids[0]}, {b.name} of {ids[1]}; compare runs of one competition")
    recipes = [flat(claim.manifest["recipe"]) for claim in (ours, theirs)]
    keys = sorted(recipes[0].keys() | recipes[1].keys())
    pictures = [dict(zip(c.validated["pictures"], c.validated["scores"], strict=True)) for c in (ours, theirs)]
    common = [name for name in pictures[0] if name in pictures[1]]
    gaps = {name: pictures[1][name] - pictures[0][name] for name in common}
    return {
        "runs": [a.name, b.name],
        "competition": ids[0],
        "metric": ours.result["metric"],
        "greater_is_better": ours.result["greater_is_better"],
        "recipe": {k: [r.get(k) for r in recipes] for k in keys if recipes[0].get(k) != recipes[1].get(k)},
        "same_data": ours.manifest["data_fingerprint"] == theirs.manifest["data_fingerprint"],
        "same_code": ours.manifest["code"] == theirs.manifest["code"],
        "scores": {part: [_value(claim, part) for claim in (ours, theirs)] for part in ("validation", "test")},
        "seconds": [claim.result["seconds"]["total"] for claim in (ours, theirs)],
        "common": len(common),
        "difference": _difference(pictures, common),
        "most": [
            {"picture": name, "scores": [pictures[0][name], pictures[1][name]]}
            for name in sorted(gaps, key=lambda name: -abs(gaps[name]))[:SHOWN]
            if gaps[name]
        ],
    }


def _value(claim: Claim, part: str) -> float | None:
    return claim.result[part]["value"] if claim.result[part] else None


def _difference(pictures: list[dict[str, float]], common: list[str]) -> dict[str, float] | None:
    """The mean difference over the common pictures with its 95% interval; None for fewer than two."""
    if len(common) < 2:
        return None
    a, b = ([part[name] for name in common] for part in pictures)
    return vars(paired([b], [a]))


def runs_of(names: tuple[str, ...]) -> list[Path]:
    """The folders of two runs by their names; raises UsageError."""
    if len(names) != 2 or names[0] == names[1]:
        raise UsageError("kk compare takes two different runs (`kk runs` lists them)")
    return [folders.find(name) for name in names]
