"""One straight line: folder -> samples -> folds -> store -> checkpoints -> submission -> scored run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kagglekit import progress
from kagglekit.pipeline import cluster
from kagglekit.pipeline.evaluate import Evaluated, evaluate, submit
from kagglekit.pipeline.job import job_of
from kagglekit.pipeline.prepare import EVERYTHING, Data, Split, prepare
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import CHECKPOINTS, members_of, name_of, taken_over
from kagglekit.protocols import Dataset
from kagglekit.runs.history import write_history
from kagglekit.runs.record import Result, Validated, write_folds, write_result, write_validated
from kagglekit.runs.record_parts import Counts, Fold, LeftOut, Score, Seconds
from kagglekit.train.trained import Trained


@dataclass(frozen=True)
class Line:
    """A run that is trained and validated, ready for the test part: seconds by part, and what is written of it."""

    data: Data
    trained: Trained
    evaluated: Evaluated
    seconds: Mapping[str, float]
    started: float
    record: Validated


def validate(
    request: Request, dataset: Dataset, data_fingerprint: str, folder: Path, started: float, test: bool = True
) -> Line:
    """From a data set to the score on validation; `validated.json` is written last. `test`: the test part follows."""
    solution = request.solution
    data = prepare(solution, dataset, data_fingerprint, test=test)
    write_folds(folder, folds_of(data))
    seconds = {"data": time.perf_counter() - started}
    trained = train(request, data, folder)
    write_history(folder, trained.history)
    passed = time.perf_counter() - started - seconds["data"]
    # What an interrupted process had trained counts too; what it lost in a half epoch is not known.
    seconds["train"] = max(passed, sum(row.seconds or 0.0 for row in trained.history))
    evaluated = evaluate(solution, data, trained.members, folder)
    seconds["predict"] = time.perf_counter() - started - passed - seconds["data"]
    request.approve(trained.observed)
    record = validated(request, evaluated, trained, seconds)
    record = write_validated(folder, record)
    return Line(data, trained, evaluated, seconds, started + passed + seconds["data"], record)


def finish(request: Request, line: Line, folder: Path) -> Result:
    """From there to a finished run folder: the submission, its score, the page; `result.json` is written last."""
    from kagglekit.report.run_page import write_run_page
    from kagglekit.train.checkpoint import STATE

    competition, data = request.solution.competition, line.data
    outcome = submit(request.solution, data, line.evaluated, folder)
    seconds = {**line.seconds, "predict": time.perf_counter() - line.started}
    seconds["total"] = sum(seconds.values())
    result = Result(
        competition=competition.id,
        title=competition.title,
        classes=competition.classes[1 if competition.task == "multiclass" else 0 :],
        run=folder.name,
        metric=competition.metric.name,
        greater_is_better=competition.metric.greater_is_better,
        fidelity=request.fidelity,
        validation=line.record.validation,
        test=outcome.test,
        also=outcome.also,
        fitted=line.evaluated.fitted,
        self_check=outcome.self_check,
        postprocess=outcome.postprocess,
        submission=outcome.submission,
        members=outcome.members,
        views=outcome.views,
        images=outcome.images,
        skipped=left_out(data.skipped),
        relabelled=left_out(data.relabelled),
        counts=Counts(**data.counts()),
        seconds=Seconds(**{name: round(value, 2) for name, value in seconds.items()}),
        weights=line.trained.weights,
        workers=request.workers,
        command=request.command,
    )
    write_run_page(folder, outcome.examples, result)
    result = write_result(folder, result)  # last: this file marks the run as done
    for state in (folder / CHECKPOINTS).rglob(STATE):
        state.unlink()
    return result


def left_out(reasons: Mapping[str, str]) -> tuple[LeftOut, ...]:
    """Samples, and why they were left out or relabelled."""
    return tuple(LeftOut(id=sample, reason=reason) for sample, reason in reasons.items())


def folds_of(data: Data) -> dict[str, Fold]:
    """The ids that each network learned from, and those that were held out."""
    return {
        str(part.fold): Fold(train=tuple(s.id for s in part.train), validation=tuple(s.id for s in part.validation))
        for part in data.splits
    }


def validated(request: Request, evaluated: Evaluated, trained: Trained, seconds: Mapping[str, float]) -> Validated:
    """What a search wants to know of an experiment: its score, by image too, its curve and its cost."""
    from kagglekit.train.checkpoint import hash_weights

    metric = request.solution.competition.metric
    return Validated(
        validation=Score.of(evaluated.validation),
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        images=tuple(s.id for s in evaluated.predictions.samples),
        scores=tuple(metric.reduce(one[None]) for one in evaluated.counts),
        history=trained.history,
        members=tuple(hash_weights(member.path) for part in evaluated.by_fold.values() for member, _ in part),
        seconds=Seconds(**{name: round(value, 3) for name, value in seconds.items()}),
        weights=trained.weights,
        observed=dict(trained.observed),
    )


def train(request: Request, data: Data, folder: Path) -> Trained:
    """Checkpoints of all epochs, the history, and the weights it began with; for each fold that is held out."""
    if known := taken_over(folder):
        weights = f"{known.weights}; trained by run {known.run}"
        members = members_of(folder, known.history, data.splits[0].fold)
        return Trained(tuple(members), known.history, weights, known.observed)
    found: list[Trained] = []
    alone = len(data.splits) == 1
    with cluster.connected(request.address) if request.workers > 1 else contextlib.nullcontext():
        for part in data.splits:
            if alone:
                return train_part(request, data, part, folder / CHECKPOINTS)
            everything = part.fold == EVERYTHING
            refit = "refit on all folds; this model predicts the test set"
            progress.say(refit if everything else f"fold {part.fold} held out")
            one = train_part(request, data, part, folder / CHECKPOINTS / name_of(part.fold))
            rows = tuple(msgspec.structs.replace(row, fold=part.fold) for row in one.history)
            found.append(dataclasses.replace(one, history=rows))
    return Trained(
        tuple(member for one in found for member in one.members),
        tuple(row for one in found for row in one.history),
        found[-1].weights,
        {name: value for one in found for name, value in one.observed.items()},
    )


def train_part(request: Request, data: Data, part: Split, folder_of_part: Path) -> Trained:
    """One network whose checkpoints lie in `place`, trained here or by workers."""
    from kagglekit.train.fit import fit

    if request.workers > 1:
        from kagglekit.pipeline.workers import train_by_workers

        return train_by_workers(request, data, part, folder_of_part)
    return fit(job_of(request.solution, data, part, folder_of_part, report=request.report))
