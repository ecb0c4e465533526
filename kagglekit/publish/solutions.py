"""Which solutions are at hand, what is claimed of each, and what was measured of it on this machine.

A published score is the host's, on a test part whose truth is not public. A local one is measured on images whose
truth is at hand: another set, whatever its size. So every local score carries what it was measured on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kagglekit.competition import Competition, Published
from kagglekit.errors import KagglekitError, UsageError, did_you_mean
from kagglekit.pipeline.sample_data import was_drawn
from kagglekit.plugin.registry import Plugin, Registry
from kagglekit.runs import folder as folders
from kagglekit.runs.ledger import Ledger
from kagglekit.runs.record import INTERVALS, Manifest, Result, finished, plain

Tree = Mapping[str, Any]


def offers(registry: Registry, id: str | None = None) -> list[dict[str, Any]]:
    """JSON-like: for each competition (or the one named) what is published, and the recipes and bundles at hand.

    Each recipe has the finished runs of it that the ledger knows. Raises UsageError for an unknown competition.
    """
    ids = [registry.competition(id)[1].id] if id else sorted(registry.competitions)
    runs = list(finished(Ledger(folders.home()).paths("done"), INTERVALS))
    unpacked = sorted((folders.home() / folders.BUNDLES).glob(f"*/{folders.RESULT}"))
    bundles = list(finished((path.parent for path in unpacked), INTERVALS))
    return [_offer(registry, *registry.competitions[one], runs, bundles) for one in ids]


def _offer(registry: Registry, plugin: Plugin, competition: Competition, runs: list, bundles: list) -> dict[str, Any]:
    def here(key: str) -> list[dict[str, Any]]:
        return [measured(competition, *run) for run in runs if key and run_key(run[1].recipe) == key]

    ours = [one for one in bundles if one[1].competition == competition.id]
    return {
        "competition": competition.id,
        "title": competition.title,
        "metric": competition.metric.name,
        "plugin": plugin.source,
        "published": [dataclasses.asdict(one) for one in competition.published],
        "recipes": [_recipe(registry, competition, preset, here) for preset in competition.presets],
        "bundles": [
            {
                "bundle": folder.name,
                "recipe": manifest.fidelity,
                "claims": measured(competition, folder, manifest, result),
                "runs": here(run_key(manifest.recipe)),
            }
            for folder, manifest, result in ours
        ],
    }


def _recipe(registry: Registry, competition: Competition, preset: str, here: Any) -> dict[str, Any]:
    """A preset, the published solutions that it stands for, and its runs; `error` where it cannot be resolved."""
    row = {"preset": preset, "stands_for": [one.name for one in competition.published if one.preset == preset]}
    try:
        key = run_key(recipe_of(registry, competition, preset))
    except KagglekitError as error:  # a technique of another plugin is missing: the rest is listed all the same
        return row | {"error": str(error), "runs": []}
    return row | {"error": "", "runs": here(key)}


def recipe_of(registry: Registry, competition: Competition, preset: str) -> dict[str, Any]:
    """The resolved recipe of a preset, JSON-like; raises KagglekitError."""
    from kagglekit.plugin.solution import resolve
    from kagglekit.recipe import compose, layers_of

    return resolve(compose(layers_of(competition, preset))[0], registry).recipe.model_dump(mode="json")


def run_key(recipe: Tree) -> str:
    """What runs of one recipe have in common, whatever their seed; "" for a run too old to tell."""
    from kagglekit.recipe import digest

    return digest({**recipe, "seed": None}) if recipe else ""


def measured(competition: Competition, folder: Path, manifest: Manifest, result: Result) -> dict[str, Any]:
    """A run's scores and, beside them, what they were measured on."""
    counts = result.counts
    return {
        "run": f"{competition.id}/{folder.name}",
        "seed": manifest.recipe_seed if manifest.recipe else None,
        "validation": plain(result.validation) if result.validation else None,
        "test": plain(result.test) if result.test else None,
        "data": {
            "fingerprint": manifest.data_fingerprint or None,
            "folder": manifest.data or None,
            "drawn": was_drawn(manifest),
            "used": counts.train + counts.validation if counts else None,
            "labelled_by_host": competition.labelled or None,
        },
    }


def named(registry: Registry, name: str) -> tuple[Competition, Published] | None:
    """The published solution COMPETITION/NAME; None where `name` means something else.

    Raises UsageError for a competition that has others, but not this one.
    """
    id, slash, word = name.partition("/")
    if not slash or id not in registry.competitions:
        return None
    competition = registry.competitions[id][1]
    for one in competition.published:
        if one.name == word:
            return competition, one
    known = [f"{id}/{one.name}" for one in competition.published]
    try:
        folders.find(name)
    except UsageError as error:
        if "several" in str(error) or not known:
            raise
        raise UsageError(
            f"no run and no published solution is named {name}{did_you_mean(name, known)} (`kk solutions {id}` and "
            "`kk runs` list them)"
        ) from None
    return None


def score_words(scores: Mapping[str, float]) -> str:
    """Published scores with all their digits, which tell places apart: 0.66385 private, 0.67574 public."""
    return ", ".join(f"{value:.10g} {part}" for part, value in scores.items()) or "no score in its sources"


def data_words(one: Tree, part: str) -> str:
    """What a local score was measured on, in a few words that nobody takes for the host's test part."""
    data, count = one["data"], (one[part] or {}).get("count")
    kind = "drawn " if data["drawn"] else ""
    if part == "test":
        return f"{count} {kind}test images with answers at hand"
    total = f" of {data['used']}" if data["used"] else ""
    host = data["labelled_by_host"]
    whole = f"; the host labelled {host:,}" if host and not data["drawn"] else ""
    return f"{count}{total} {kind}images, held out{whole}"
