"""What facts about data (`eda.json`) mean to techniques that say when they may help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RARE, UNEVEN = 0.1, 5.0  # a class in fewer images than this, and this many times fewer than the most frequent
ENOUGH = 20  # labels below which nothing is said about what they have in common


def shown(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The classes that at least one label shows."""
    return [one for one in facts["balance"] if one["count"]]


def usual(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The classes of which enough labels were looked at to say what is usual; none of slides."""
    if facts["pictures"]["tiled"]:
        return []
    return [one for one in facts["balance"] if sum(one["histogram"]) >= ENOUGH]


def rare(facts: Mapping[str, Any]) -> list[str]:
    """The names of classes that far fewer images show than the most frequent one."""
    most = max((one["pictures"] for one in facts["balance"]), default=0.0)
    return [one["name"] for one in shown(facts) if one["pictures"] < min(RARE, most / UNEVEN)]


def absent(facts: Mapping[str, Any]) -> float:
    """The part of images that shows a class not, averaged over the classes that are shown at all."""
    parts = [1 - one["pictures"] for one in shown(facts)]
    return sum(parts) / len(parts) if parts else 0.0


def differing(facts: Mapping[str, Any]) -> set[str]:
    """The features in which test images differ from training images."""
    return {one["name"] for one in facts["drift"]["features"] if one["differs"]}


def named(names: Sequence[str], most: int = 3) -> str:
    """Names as people list them, at most `most`, then how many more."""
    names = list(names) if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def percent(share: float) -> str:
    """A share as people say it."""
    return f"{100 * share:.2g}%"
