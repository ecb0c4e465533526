"""One straight line: folder -> samples -> folds -> store -> checkpoints -> submission -> scored run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.files import write_text
from kagglekit.pipeline import cluster
from kagglekit.pipeline.evaluate import Judged, judge, submit
from kagglekit.pipeline.job import job_of
from kagglekit.pipeline.prepare import EVERYTHING, Data, Split, prepare
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import CHECKPOINTS, members_of, name_of, taken_over
from kagglekit.protocols import Dataset
from kagglekit.runs import folder as folders
from kagglekit.types import Member

if TYPE_CHECKING:
    pass


def execute(request: Request, dataset: Dataset, mark: str, folder: Path, started: float) -> dict[str, Any]:
    """Everything between a data set and a finished run folder; returns the result, which is written last.

    With `only_validation` that is `validated.json`; the same experiment asked for in full later goes on from there.
    """
    from kagglekit.report.run_page import write_run_page
    from kagglekit.train.checkpoint import STATE

    solution = request.solution
    data = prepare(solution, dataset, mark, test=not request.only_validation)
    folders.write_json(folder / folders.FOLDS, folds_of(data))
    seconds = {"data": time.perf_counter() - started}
    members, history, weights = train(request, data, folder)
    write_history(folder, history)
    trained = time.perf_counter() - started - seconds["data"]
    # What an interrupted process had trained counts too; what it lost in a half epoch is not known.
    seconds["train"] = max(trained, sum(row["seconds"] for row in history))
    judged = judge(solution, data, members, folder)
    seconds["predict"] = time.perf_counter() - started - trained - seconds["data"]
    request.approve()
    record = validated(request, judged, history, seconds, weights)
    folders.write_json(folder / folders.VALIDATED, record)
    if request.only_validation:
        return record
    outcome, examples = submit(solution, data, judged, folder)
    seconds["predict"] = time.perf_counter() - started - trained - seconds["data"]
    seconds["total"] = sum(seconds.values())
    result = {
        "status": "done",
        "competition": solution.competition.id,
        "title": solution.competition.title,
        "classes": list(solution.competition.classes)[1 if solution.competition.task == "multiclass" else 0 :],
        "run": folder.name,
        "metric": solution.competition.metric.name,
        "greater_is_better": solution.competition.metric.greater_is_better,
        "fidelity": request.fidelity,
        **outcome,
        "skipped": [{"id": sample, "reason": reason} for sample, reason in data.skipped.items()],
        "relabelled": [{"id": sample, "reason": reason} for sample, reason in data.relabelled.items()],
        "counts": data.counts(),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "weights": weights,
        "workers": request.workers,
        "command": request.command,
    }
    write_run_page(folder, examples, result)
    folders.write_json(folder / folders.RESULT, result)  # last: this file marks the run as done
    for state in (folder / CHECKPOINTS).rglob(STATE):
        state.unlink()
    return result


def folds_of(data: Data) -> dict[str, dict[str, list[str]]]:
    """The ids that each network learned from, and those that were held out."""
    return {
        str(part.fold): {"train": [s.id for s in part.train], "validation": [s.id for s in part.validation]}
        for part in data.splits
    }


def validated(
    request: Request, judged: Judged, history: Sequence[dict], seconds: Mapping[str, float], weights: str
) -> dict[str, Any]:
    """What a search wants to know of an experiment: its score, picture by picture too, its curve and its cost."""
    from kagglekit.train.checkpoint import hash_weights

    metric = request.solution.competition.metric
    return {
        "validation": dataclasses.asdict(judged.validation),
        "metric": metric.name,
        "greater_is_better": metric.greater_is_better,
        "pictures": [s.id for s in judged.predictions.samples],
        "scores": [metric.reduce(one[None]) for one in judged.counts],
        "history": list(history),
        "members": [hash_weights(member.path) for part in judged.by_fold.values() for member, _ in part],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "weights": weights,
        "seen": request.seen,
    }


def train(request: Request, data: Data, folder: Path) -> tuple[list[Member], list[dict], str]:
    """Checkpoints of all epochs, the history, and the weights it began with; for each fold that is held out."""
    if known := taken_over(folder):
        request.seen.update(known.seen)
        weights = f"{known.weights}; trained by run {known.run}"
        return members_of(folder, known.history, data.splits[0].fold), known.history, weights
    members, history, weights = [], [], ""
    with cluster.connected(request.address) if request.workers > 1 else contextlib.nullcontext():
        for part in data.splits:
            alone = len(data.splits) == 1
            if not alone:
                everything = part.fold == EVERYTHING
                progress.say(
                    "refit on all folds; this model predicts the test set"
                    if everything
                    else f"fold {part.fold} held out"
                )
            place = folder / CHECKPOINTS if alone else folder / CHECKPOINTS / name_of(part.fold)
            checkpoints, rows, weights = train_part(request, data, part, place)
            members += checkpoints
            history += rows if alone else [{"fold": part.fold, **row} for row in rows]
    return members, history, weights


def train_part(request: Request, data: Data, part: Split, place: Path) -> tuple[list[Member], list[dict], str]:
    """What `fit` returns for one network whose checkpoints lie in `place`, trained here or by workers."""
    from kagglekit.train.fit import fit

    if request.workers > 1:
        from kagglekit.pipeline.workers import train_by_workers

        return train_by_workers(request, data, part, place)
    return fit(job_of(request.solution, data, part, place, report=request.report, seen=request.seen))


def write_history(folder: Path, history: Sequence[dict[str, Any]]) -> None:
    """`history.csv`, one line per epoch."""
    columns = list(history[0])
    lines = [",".join(columns)] + [",".join("" if row[c] is None else str(row[c]) for c in columns) for row in history]
    write_text(folder / "history.csv", "\n".join(lines) + "\n")
