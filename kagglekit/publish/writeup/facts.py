"""Everything that a write-up says, gathered from the files of a run and its neighbours, by id; nothing is typed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from kagglekit.plugin.registry import Registry
from kagglekit.publish.reproduce import SEEDS, Evidence, band_of, read_evidence, seed_scores
from kagglekit.runs import folder as folders
from kagglekit.runs.reading import sound
from kagglekit.runs.record import WRITTEN, Manifest, read_result
from kagglekit.runs.record_parts import LeftOut
from kagglekit.runs.search_record import AblationResult, read_ablation, read_ablation_plan, read_search

ABLATIONS, SEARCHES = "ablations", "searches"
SHOWN = ("cpu", "cores", "memory_gib", "device", "gpus", "platform")


def gather(registry: Registry, folder: Path) -> dict[str, Any]:
    """JSON-like facts of a finished run; each number beside the id of the record that it is from. Raises RunError."""
    evidence = read_evidence(folder)
    manifest, result = evidence.manifest, read_result(folder, WRITTEN)
    _, competition = registry.competition(manifest.competition)
    return {
        "run": folder.name,
        "competition": {
            "id": competition.id, "title": competition.title, "summary": competition.summary,
            "task": competition.task, "classes": list(competition.classes), "references": list(competition.references),
        },
        "metric": {"name": result.metric, "greater_is_better": evidence.greater_is_better},
        "scores": to_builtins({"validation": result.validation, "test": result.test}),
        "also": to_builtins(result.also),
        "seeds": _seeds(evidence),
        "data": {
            "fingerprint": manifest.data_fingerprint, "counts": to_builtins(result.counts),
            "skipped": to_builtins(result.skipped), "rules": _rules(result.skipped),
            "replaced": _rules(result.relabelled),
        },
        "recipe": {"values": _flat(manifest), "identity": manifest.recipe_identity},
        "postprocess": to_builtins(result.postprocess),
        "fitted": to_builtins(result.fitted),
        "members": [{"fold": m.fold, "epoch": m.epoch, "weight": m.weight} for m in result.members],
        "views": to_builtins(result.views),
        "warnings": list(result.warnings),
        "ablation": _ablation(evidence),
        "search": _search(evidence),
        "cost": {"seconds": to_builtins(result.seconds), "workers": result.workers},
        "commands": _commands(evidence),
        "environment": {
            "versions": manifest.versions, "git": manifest.git, "code": manifest.code,
            "plugins": manifest.plugins, "weights": result.weights,
            "hardware": {k: manifest.hardware[k] for k in SHOWN if k in manifest.hardware},
        },
        "weights": list(evidence.validated.members),
    }  # fmt: skip


def _seeds(evidence: Evidence) -> dict[str, Any] | None:
    """What other seeds of the same recipe scored, and the band that one more should lie in; None for too few."""
    scores = seed_scores(evidence)
    if len(scores) < SEEDS:
        return None
    band = band_of(list(scores.values()))
    return {"scores": {str(seed): score for seed, score in scores.items()}, "band": list(band)}


def _rules(skipped: Sequence[LeftOut]) -> dict[str, int]:
    """Why samples were left out or relabelled, and how many for each reason, the most first."""
    counts: dict[str, int] = {}
    for one in skipped:
        rule = one.reason.partition(":")[0]
        counts[rule] = counts.get(rule, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _flat(manifest: Manifest) -> dict[str, Any]:
    """The recipe as lines: fields, then a line for each technique."""
    groups = ("fidelity", "loss", "settings")
    lines = {k: v for k, v in manifest.recipe.items() if k not in (*groups, "techniques")}
    for group in groups:
        lines |= {f"{group}.{key}": value for key, value in manifest.recipe.get(group, {}).items()}
    for one in manifest.techniques:
        lines[f"techniques.{one.name}"] = ", ".join(f"{k}={v}" for k, v in one.settings.items()) or "on"
    return lines


def _ablation(evidence: Evidence) -> dict[str, Any] | None:
    """The ablation with most seeds on the same data and competition; None if there is none."""
    found: list[AblationResult] = []
    plans = sorted((folders.home() / ABLATIONS).glob("*/ablation.json"))
    ended = (path for path in plans if (path.parent / folders.RESULT).exists())
    for path, asked in sound(ended, read_ablation_plan):
        if asked.data != evidence.manifest.data_fingerprint:
            continue
        for _, result in sound([path.with_name(folders.RESULT)], read_ablation):
            found += [result] if result.effects else []
    if not found:
        return None
    best = max(found, key=lambda one: one.seeds)
    at = best.fidelity
    return {
        "id": best.name,
        "fidelity": f"{at.image_size} px, {100 * (at.fraction or 1):g}%, {at.epochs} epochs",
        "same_recipe": best.recipe == evidence.manifest.recipe,
        "seeds": best.seeds,
        "command": best.command,
        "effects": [
            {"axis": e.axis, "left_out": to_builtins(e.left_out)} | ({"alone": to_builtins(e.alone)} if e.alone else {})
            for e in best.effects
        ],
    }


def _search(evidence: Evidence) -> dict[str, Any] | None:
    """The search that this run won; None if it won none."""
    ended = sorted((folders.home() / SEARCHES).glob(f"*/{folders.RESULT}"))
    for _, result in sound(ended, read_search):
        winner = result.winner
        if winner and winner.run.split("-")[0] == evidence.folder.name.split("-")[0]:
            return {
                "id": result.name, "command": result.command, "cost": to_builtins(result.cost),
                "changes": to_builtins(winner.changes), "runner_up": to_builtins(result.runner_up),
                "trials": len(result.trials), "warnings": list(result.warnings),
            }  # fmt: skip
    return None


def _commands(evidence: Evidence) -> list[str]:
    """What a reader types: the run itself, and the check."""
    command = evidence.result.command or f"kk run {evidence.manifest.competition}"
    return [command, f"kk reproduce {evidence.folder.name} --data {shlex.quote('DIR')}"]


def stale(saved: Any, now: Any, path: str = "") -> list[str]:
    """Dotted places in which the facts of a write-up are no longer what the record says."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        keys = [*saved, *(key for key in now if key not in saved)]
        return [one for key in keys for one in stale(saved.get(key), now.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        pairs = zip(saved, now, strict=True)
        return [one for i, (a, b) in enumerate(pairs) for one in stale(a, b, f"{path}.{i}")]
    return [] if saved == now else [f"{path}: the write-up says {saved!r}, the record {now!r}"]
