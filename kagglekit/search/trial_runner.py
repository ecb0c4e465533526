"""One trial: an experiment up to its validation score, with everything that may go wrong turned into an outcome."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import KagglekitError
from kagglekit.pipeline.experiment import validate
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import taken_over
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import Recipe
from kagglekit.runs import folder as folders
from kagglekit.runs.record import WHOLE_VALIDATED, Validated, read_validated
from kagglekit.runs.record_parts import known
from kagglekit.search.ladder import Task
from kagglekit.search.post_training import with_settings_scores
from kagglekit.search.readback import Watched, check
from kagglekit.search.trial_store import Outcome, Status
from kagglekit.search.variants import evaluate_variants, lost_weights
from kagglekit.train.trained import Epoch


@dataclass(frozen=True)
class TrialContext:
    """Where the data of a search lie, and what typed it."""

    data: Path
    command: str = ""


class Stopped(Exception):
    """Raised inside a trial that is not worth going on with."""


Report = Callable[[Epoch], None]


@dataclass
class Course:
    """How far a trial has come: the name of its run, and whether this process trained anything of it."""

    run: str = ""
    trained: bool = False

    def begun(self, run: str) -> None:
        """The run has a folder now."""
        self.run = run


def run_trial(task: Task, context: TrialContext, report: Report) -> Outcome:
    """Train and validate what `task` says; `report` gets each epoch's row.

    Never raises for what a trial can suffer: settings that do not arrive, a loss that is no number, too little memory
    (the batch is halved, the step keeps its size by accumulating), a fault of a plugin.
    """
    started, recipe = time.perf_counter(), dict(task.recipe)
    notes: list[str] = []
    curve: list[float | None] = []
    course = Course()
    if task.warm and Path(task.warm).exists():
        recipe["encoder_weights"] = task.warm
    elif task.warm:
        notes.append("the weights of the rung below are gone: began without them")

    def ended(status: Status, error: str = "") -> Outcome:
        seconds = round(time.perf_counter() - started, 3)
        kept = tuple(score for score in curve if score is not None)
        return Outcome(status, None, seconds, kept, course.run, error=error, notes=tuple(notes), wall=seconds)

    def row(epoch: Epoch) -> None:
        curve.append(epoch.valid_score)
        course.trained = True
        report(epoch)
        if below(task, curve):
            raise Stopped

    while True:
        try:
            folder, record, new = _attempt(task, recipe, context, row, course)
            break
        except Stopped:
            return ended("pruned")
        except Exception as error:
            if not is_out_of_memory(error):
                said = str(error) if isinstance(error, KagglekitError) else f"{type(error).__name__}: {error}"
                return replace(ended("failed", said), full=is_full_disk(error))
            if recipe["batch_size"] < 2:
                return ended("failed", "out of memory even with one image at a time")
            recipe |= {"batch_size": recipe["batch_size"] // 2, "accumulate": recipe["accumulate"] * 2}
            notes.append(f"out of memory: went on with batch_size={recipe['batch_size']}, "
                         f"accumulate={recipe['accumulate']}")  # fmt: skip
            progress.say(f"{task.name}: {notes[-1]}")
            curve.clear()
            _free_memory()
    changes = {name: recipe[name] for name in ("batch_size", "accumulate") if recipe[name] != task.recipe[name]}
    outcome = _outcome(task, folder, record, new, notes, changes, time.perf_counter() - started)
    return with_variants(task, recipe, context, folder, outcome) if task.variants else outcome


def with_variants(task: Task, tree: dict[str, Any], context: TrialContext, folder: Path, outcome: Outcome) -> Outcome:
    """The outcome, and what the trial's network scores with the task's other recipes."""
    started = time.perf_counter()
    solution = resolve(Recipe.model_validate(tree), discover())
    try:
        record = read_validated(folder, WHOLE_VALIDATED)
        variants = {name: variant | outcome.changes for name, variant in task.variants.items()}
        found = evaluate_variants(solution, context.data, folder, record, variants)
    except Exception as error:
        said = str(error) if isinstance(error, KagglekitError) else f"{type(error).__name__}: {error}"
        if task.settings_tried:  # a network that took hours is not lost for a look at it
            return replace(
                outcome, notes=(*outcome.notes, f"scored with the recipe's post-training settings alone: {said}")
            )
        return replace(outcome, status="failed", error=said)
    after = time.perf_counter() - started
    outcome = replace(outcome, variants=found, after=round(after, 3), wall=round(outcome.wall + after, 3))
    if not task.settings_tried:
        return outcome
    outcome = with_settings_scores(outcome, task.settings_tried, solution.competition.metric)
    return replace(outcome, seconds=round(outcome.seconds + after, 3))


def below(task: Task, curve: list[float | None]) -> bool:
    """Has the trial not reached the bar of its last epoch?"""
    reached = [task.sign * score for score in curve if score is not None]
    return len(curve) <= len(task.bars) and bool(reached) and max(reached) < task.bars[len(curve) - 1]


def _attempt(
    task: Task, tree: dict[str, Any], context: TrialContext, row: Report, course: Course
) -> tuple[Path, Validated, bool]:
    recipe = Watched.model_validate(tree)
    solution = resolve(recipe, discover())
    asked: set[str] = set()
    held = {technique.name for technique in solution.techniques}

    def before(hook_name, methods, arguments):
        asked.update(method.plugin_name for method in methods if method.plugin_name in held)

    solution.manager.add_hookcall_monitoring(before, lambda outcome, hook_name, methods, arguments: None)
    watched: Any = solution.recipe  # resolving copies the recipe; copies share the memory
    watched.forget()
    params = _arrived(task, tree)

    def approve(observed: Mapping[str, float]) -> None:
        # Whoever goes on after the last epoch, or takes over a training, reads no setting of training any more.
        fields_read, called = (recipe.fields_read(), asked) if course.trained else (None, None)
        check(solution, params, observed, fields_read, called)

    request = Request(solution, context.data, command=context.command, begun=course.begun, report=row, approve=approve)
    folder, record, new = validate(request)
    if task.variants and not new and lost_weights(folder, record):
        (folder / folders.VALIDATED).unlink()  # nothing is lost: the same training gives the same weights
        folder, record, new = validate(request)
    if not new:  # perhaps by `kk run`, which samples nothing and so checks nothing
        check(solution, params, record.observed)
    return folder, record, new


def _arrived(task: Task, tree: dict[str, Any]) -> dict[str, Any]:
    """The sampled settings, those aside that the trial itself changed."""
    changed = {key for key in tree if tree[key] != task.recipe[key]}
    return {key: value for key, value in task.params.items() if key not in changed}


def _outcome(
    task: Task, folder: Path, record: Validated, new: bool, notes: list[str], changes: dict[str, Any], seconds: float
) -> Outcome:
    from kagglekit.train.checkpoint import epoch_path

    seconds_of, history = record.seconds, record.history
    # Where a training is taken over, another run has paid for it.
    cost = known(seconds_of.predict) + (0.0 if taken_over(folder) else known(seconds_of.train))
    last = epoch_path(folder / "checkpoints", history[-1].epoch) if history[-1].fold is None else Path()
    return Outcome(
        status="done",
        score=record.validation.value,
        seconds=round(cost, 3),
        curve=tuple(row.valid_score for row in history if row.valid_score is not None),
        run=folder.name,
        weights=record.members,
        checkpoint=str(last.absolute()) if last.is_file() else "",
        images=record.scores if task.last else (),
        notes=tuple(notes),
        changes=changes,
        shared=not new,
        train=round(known(seconds_of.train), 3),
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
