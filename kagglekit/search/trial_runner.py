"""One trial: an experiment up to its validation score, with everything that may go wrong turned into an outcome."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import KagglekitError
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import taken_over
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import Recipe
from kagglekit.runs import folder as folders
from kagglekit.search.ladder import Task
from kagglekit.search.post_training import with_looks
from kagglekit.search.readback import Watched, check
from kagglekit.search.trial_store import Outcome
from kagglekit.search.variants import judge_variants, lost_weights


@dataclass(frozen=True)
class Place:
    """Where the data of a search lie, and what typed it."""

    data: Path
    command: str = ""


class Stopped(Exception):
    """Raised inside a trial that is not worth going on with."""


Report = Callable[[dict[str, Any]], None]


def run_trial(task: Task, place: Place, report: Report) -> Outcome:
    """Train and validate what `task` says; `report` gets each epoch's row.

    Never raises for what a trial can suffer: settings that do not arrive, a loss that is no number, too little memory
    (the batch is halved, the step keeps its size by accumulating), a fault of a plugin.
    """
    started, notes, curve, recipe = time.perf_counter(), [], [], dict(task.recipe)
    seen: dict[str, Any] = {}
    if task.warm and Path(task.warm).exists():
        recipe["encoder_weights"] = task.warm
    elif task.warm:
        notes.append("the weights of the rung below are gone: began without them")

    def ended(status: str, error: str = "") -> Outcome:
        seconds = round(time.perf_counter() - started, 3)
        kept = tuple(score for score in curve if score is not None)
        return Outcome(status, None, seconds, kept, seen.get("run", ""), error=error, notes=tuple(notes), wall=seconds)

    def row(history: dict[str, Any]) -> None:
        curve.append(history["valid_score"])
        seen["trained"] = True
        report(history)
        if below(task, curve):
            raise Stopped

    while True:
        try:
            folder, record, new = _attempt(task, recipe, place, row, seen)
            break
        except Stopped:
            return ended("pruned")
        except Exception as error:
            if not is_out_of_memory(error):
                said = str(error) if isinstance(error, KagglekitError) else f"{type(error).__name__}: {error}"
                return replace(ended("failed", said), full=is_full_disk(error))
            if recipe["batch_size"] < 2:
                return ended("failed", "out of memory even with one picture at a time")
            recipe |= {"batch_size": recipe["batch_size"] // 2, "accumulate": recipe["accumulate"] * 2}
            notes.append(f"out of memory: went on with batch_size={recipe['batch_size']}, "
                         f"accumulate={recipe['accumulate']}")  # fmt: skip
            progress.say(f"{task.name}: {notes[-1]}")
            curve.clear()
            _free_memory()
    changes = {name: recipe[name] for name in ("batch_size", "accumulate") if recipe[name] != task.recipe[name]}
    outcome = _outcome(task, folder, record, new, notes, changes, time.perf_counter() - started)
    return with_variants(task, recipe, place, folder, outcome) if task.variants else outcome


def with_variants(task: Task, tree: dict[str, Any], place: Place, folder: Path, outcome: Outcome) -> Outcome:
    """The outcome, and what the trial's network scores with the task's other recipes."""
    started = time.perf_counter()
    solution = resolve(Recipe.model_validate(tree), discover())
    try:
        record = folders.read_json(folder / folders.VALIDATED)
        variants = {name: variant | outcome.changes for name, variant in task.variants.items()}
        found = judge_variants(solution, place.data, folder, record, variants)
    except Exception as error:
        said = str(error) if isinstance(error, KagglekitError) else f"{type(error).__name__}: {error}"
        if task.looks:  # a network that took hours is not lost for a look at it
            return replace(
                outcome, notes=(*outcome.notes, f"scored with the recipe's post-training settings alone: {said}")
            )
        return replace(outcome, status="failed", error=said)
    after = time.perf_counter() - started
    outcome = replace(outcome, variants=found, after=round(after, 3), wall=round(outcome.wall + after, 3))
    if not task.looks:
        return outcome
    outcome = with_looks(outcome, task.looks, solution.competition.metric)
    return replace(outcome, seconds=round(outcome.seconds + after, 3))


def below(task: Task, curve: list[float | None]) -> bool:
    """Has the trial not reached the bar of its last epoch?"""
    reached = [task.sign * score for score in curve if score is not None]
    return len(curve) <= len(task.bars) and bool(reached) and max(reached) < task.bars[len(curve) - 1]


def _attempt(task: Task, tree: dict[str, Any], place: Place, row: Callable[[dict], None], seen: dict[str, Any]):
    recipe = Watched.model_validate(tree)
    solution = resolve(recipe, discover())
    asked: set[str] = set()
    held = {technique.name for technique in solution.techniques}

    def before(hook_name, methods, arguments):
        asked.update(method.plugin_name for method in methods if method.plugin_name in held)

    solution.manager.add_hookcall_monitoring(before, lambda outcome, hook_name, methods, arguments: None)
    solution.recipe.forget()
    params = _arrived(task, tree)

    def approve() -> None:
        # Whoever goes on after the last epoch, or takes over a training, reads no setting of training any more.
        trained = seen.get("trained")
        check(solution, params, seen, solution.recipe.looked() if trained else None, asked if trained else None)

    request = Request(
        solution, place.data, command=place.command, only_validation=True, report=row, approve=approve, seen=seen
    )
    folder, record, new = run(request)
    if task.variants and not new and lost_weights(folder, record):
        (folder / folders.VALIDATED).unlink()  # nothing is lost: the same training gives the same weights
        folder, record, new = run(request)
    if not new:  # perhaps by `kk run`, which samples nothing and so checks nothing
        check(solution, params, record["seen"])
    return folder, record, new


def _arrived(task: Task, tree: dict[str, Any]) -> dict[str, Any]:
    """The sampled settings, those aside that the trial itself changed."""
    changed = {key for key in tree if tree[key] != task.recipe[key]}
    return {key: value for key, value in task.params.items() if key not in changed}


def _outcome(
    task: Task, folder: Path, record: dict, new: bool, notes: list[str], changes: dict[str, Any], seconds: float
) -> Outcome:
    from kagglekit.train.checkpoint import epoch_path

    paid = ("predict",) if taken_over(folder) else ("train", "predict")  # another run has paid for its training
    cost = sum(record["seconds"].get(part, 0.0) for part in paid)
    history = record["history"]
    last = epoch_path(folder / "checkpoints", history[-1]["epoch"]) if "fold" not in history[-1] else Path()
    return Outcome(
        status="done",
        score=record["validation"]["value"],
        seconds=round(cost, 3),
        curve=tuple(row["valid_score"] for row in history if row["valid_score"] is not None),
        run=folder.name,
        weights=tuple(record["members"]),
        checkpoint=str(last.absolute()) if last.is_file() else "",
        pictures=tuple(record["scores"]) if task.last else (),
        notes=tuple(notes),
        changes=changes,
        shared=not new,
        train=round(record["seconds"].get("train", 0.0), 3),
        wall=round(seconds, 3),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Does the error, or what caused it, say that memory did not suffice, on whatever device?"""
    if isinstance(error, KagglekitError):  # a plugin is blamed for what its network raises
        return error.__cause__ is not None and is_out_of_memory(error.__cause__)
    text = str(error).lower()
    named = type(error).__name__ in ("OutOfMemoryError", "MemoryError")
    return named or ("memory" in text and ("alloc" in text or "out of" in text))


def is_full_disk(error: BaseException) -> bool:
    """Does the error, or what caused it, say that a disk is full?"""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if any(words in str(error) for words in (os.strerror(errno.ENOSPC), "disk is full")):  # as other kinds say it
        return True
    return error.__cause__ is not None and is_full_disk(error.__cause__)


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
