"""What to try next: techniques say themselves why they may help on data with these facts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import RecipeError
from kagglekit.plugin.solution import Solution, make_technique
from kagglekit.protocols import Dataset


def suggestions(
    solution: Solution, dataset: Dataset, facts: Mapping[str, Any], data: Path, words: Sequence[str] = ()
) -> list[dict[str, str]]:
    """{"technique", "why", "command"} of every installed technique that is not in the recipe and has a reason.

    A technique says so by a class method `suggest(facts) -> str | None`. One whose `check` refuses the data set with
    its usual settings has no reason. One that fails is named on the console and left out: its fault is no reason to
    withhold the facts. `words` are what the recipe was asked for with.
    """
    present = {spec.name for spec in solution.recipe.techniques}
    # As JSON: what a technique sees is what stands in the file, and nobody changes it for others.
    text = json.dumps(facts)
    found = []
    for name, (plugin, kind) in sorted(solution.registry.techniques.items()):
        if name in present or not hasattr(kind, "suggest"):
            continue
        try:
            why = kind.suggest(json.loads(text))
            if why is not None and not fits(kind, dataset, solution):
                why = None
        except Exception as error:  # whatever a stranger's code raises
            progress.say(f"left out: {plugin}: suggest() of {name}: {type(error).__name__}: {error}")
            continue
        if why is not None and not (isinstance(why, str) and why.strip()):
            progress.say(f"left out: {plugin}: suggest() of {name} returned {why!r}; expected a sentence or None")
            continue
        if why is not None:
            found.append({"technique": name, "why": why, "command": command(solution, name, data, words)})
    return found


def fits(kind: type, dataset: Dataset, solution: Solution) -> bool:
    """Does a technique with its usual settings accept the data?"""
    technique = make_technique(kind, {})
    try:
        if hasattr(technique, "check"):
            technique.check(dataset, solution.competition)
    except RecipeError:
        return False
    return True


def command(solution: Solution, name: str, data: Path, words: Sequence[str] = ()) -> str:
    """The command that measures what a technique adds to the recipe; `words` name it, the id alone if there are none.

    The data come behind the id, before the options of the recipe.
    """
    target, *options = words or [solution.competition.id]
    return shlex.join(["kk", "ablate", target, "--data", str(data), *options, "--with", name, "--technique", name])
