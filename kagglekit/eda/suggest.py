"""What to try next: techniques say themselves why they may help on data with these facts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import PluginError
from kagglekit.plugins import blaming
from kagglekit.solution import Solution


def suggestions(solution: Solution, facts: Mapping[str, Any], data: Path) -> list[dict[str, str]]:
    """{"technique", "why", "command"} of every installed technique that is not in the recipe and has a reason.

    A technique says so by a class method `suggest(facts) -> str | None`. One that fails is named on the console and
    left out: its fault is no reason to withhold the facts.
    """
    present = {spec.name for spec in solution.recipe.techniques}
    # As JSON: what a technique sees is what stands in the file, and nobody changes it for others.
    text = json.dumps(facts)
    found = []
    for name, (plugin, kind) in sorted(solution.registry.techniques.items()):
        if name in present or not hasattr(kind, "suggest"):
            continue
        try:
            with blaming([plugin], f"suggest() of {name}: "):
                why = kind.suggest(json.loads(text))
            if why is not None and not (isinstance(why, str) and why.strip()):
                raise PluginError(f"{plugin}: suggest() of {name} returned {why!r}; expected a sentence or None")
        except PluginError as error:
            progress.say(f"left out: {error}")
            continue
        if why is not None:
            found.append({"technique": name, "why": why, "command": command(solution, name, data)})
    return found


def command(solution: Solution, name: str, data: Path) -> str:
    """The command that measures what a technique adds to the recipe."""
    words = ["kk", "ablate", solution.competition.id, "--data", str(data), "--with", name, "--technique", name]
    return shlex.join(words)
