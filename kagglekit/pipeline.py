"""One straight line: folder -> samples -> folds -> store -> checkpoints -> submission -> scored run folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.data.prepare import EVERYTHING, Data, prepare
from kagglekit.errors import PluginError
from kagglekit.files import write_text
from kagglekit.metrics import score_with_interval
from kagglekit.protocols import Dataset, Ensemble, Metric
from kagglekit.runs import folder as folders
from kagglekit.solution import Solution
from kagglekit.types import Member, View

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Request:
    """A solution on a data folder, as asked for; `fidelity` is the preset's name, `command` what was typed."""

    solution: Solution
    data: Path
    fidelity: str = ""
    command: str = ""
    again: bool = False
    resume: bool = False


def execute(request: Request, dataset: Dataset, mark: str, folder: Path, started: float) -> dict[str, Any]:
    """Everything between a data set and a finished run folder; returns the result, which is written last."""
    from kagglekit.report.run_page import write_run_page
    from kagglekit.train.checkpoint import STATE

    solution = request.solution
    data = prepare(solution, dataset, mark)
    seconds = {"data": time.perf_counter() - started}
    members, history, weights = train(solution, data, folder)
    write_history(folder, history)
    trained = time.perf_counter() - started - seconds["data"]
    outcome, examples = predict(solution, data, members, folder)
    seconds["predict"] = time.perf_counter() - started - trained - seconds["data"]
    # What an interrupted process had trained counts too; what it lost in a half epoch is not known.
    seconds["train"] = max(trained, sum(row["seconds"] for row in history))
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
        "counts": data.counts(),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "weights": weights,
        "command": request.command,
    }
    write_run_page(folder, examples, result)
    folders.write_json(folder / folders.RESULT, result)  # last: this file marks the run as done
    for state in (folder / "checkpoints").rglob(STATE):
        state.unlink()
    return result


def train(solution: Solution, data: Data, folder: Path) -> tuple[list[Member], list[dict], str]:
    """Checkpoints of all epochs, the history, and the weights it began with; for each fold that is held out."""
    from kagglekit.data.windows import seen_windows
    from kagglekit.train.fit import Job, fit

    dataset, store, window = data.dataset, data.store, solution.recipe.fidelity.image_size
    members, history, weights = [], [], ""
    for part in data.splits:
        alone = len(data.splits) == 1
        if not alone:
            everything = part.fold == EVERYTHING
            progress.say("nothing held out: this network predicts" if everything else f"fold {part.fold} held out")
        job = Job(
            recipe=solution.recipe,
            task=solution.competition.task,
            metric=solution.competition.metric,
            store=store,
            make_model=lambda: solution.model(data.intake.channels),
            loss=solution.loss(),
            sampler=solution.sampler(dataset, part.train, store),
            augment=solution.augment(dataset, part.train),
            intake=data.intake,
            validation=seen_windows(store, part.validation, window, window),
            folder=folder / "checkpoints" if alone else folder / "checkpoints" / name_of(part.fold),
            fold=part.fold,
            track=progress.track,
            say=progress.say,
        )
        checkpoints, rows, weights = fit(job)
        members += checkpoints
        history += rows if alone else [{"fold": part.fold, **row} for row in rows]
    return members, history, weights


def name_of(fold: int) -> str:
    """The folder of a fold's checkpoints."""
    return "everything" if fold == EVERYTHING else f"fold-{fold}"


Chosen = list[tuple[Member, float]]


def choose(ensemble: Ensemble, members: Sequence[Member], metric: Metric) -> dict[int, Chosen]:
    """The members of each fold that predict, with weights that sum to 1."""
    chosen = {}
    for fold in sorted({m.fold for m in members}):
        part = list(ensemble.choose([m for m in members if m.fold == fold], metric.greater_is_better))
        if not part or abs(sum(weight for _, weight in part) - 1) > 1e-6:
            weights = [weight for _, weight in part]
            raise PluginError(f"kk_ensemble(): members need weights that sum to 1, got {weights}")
        chosen[fold] = part
    return chosen


def for_test(chosen: Mapping[int, Chosen]) -> Chosen:
    """Who predicts the test part: the network of everything, else those of all folds, every fold counting the same."""
    if EVERYTHING in chosen:
        return chosen[EVERYTHING]
    return [(member, weight / len(chosen)) for part in chosen.values() for member, weight in part]


def predict(solution: Solution, data: Data, members: Sequence[Member], folder: Path) -> tuple[dict[str, Any], list]:
    """Ensemble, views and post-processing: the scores of validation and test, the submission, and examples to show."""
    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.postprocess import describe
    from kagglekit.predict.stages import choose_settings, pick_examples, predict_test, score_validation
    from kagglekit.predict.submission import score_file
    from kagglekit.predict.validation import ValidationProbs

    recipe, competition, dataset, store = solution.recipe, solution.competition, data.dataset, data.store
    ensemble, views, metric = solution.ensemble(), solution.views(), competition.metric
    by_fold = choose(ensemble, members, metric)
    chosen = for_test(by_fold)

    def predictor_of(some: Chosen) -> Predictor:
        def make_model():
            return solution.model(data.intake.channels, pretrained=False)

        return Predictor(recipe, competition.task, some, ensemble, views, make_model, data.intake)

    predictions = ValidationProbs(folder / "validation", by_fold, ensemble, store, data.splits)
    predictions.write(predictor_of, recipe, progress.track)
    process = solution.postprocess()
    gate = choose_settings(process, data, predictions, metric)
    process = gate.chosen if gate else process
    counts = score_validation(data, predictions, process, metric)
    validation = score_with_interval(metric, counts)
    examples = pick_examples(data, predictions, process, counts, metric)

    submission = predict_test(data, predictor_of(chosen), process, recipe, metric, folder)
    test = score_file(submission.path, dataset, metric)
    outcome = {
        "validation": dataclasses.asdict(validation),
        "test": dataclasses.asdict(test) if test else None,
        "also": {m.name: further(counts, m, submission.path, dataset) for m in competition.also},
        "postprocess": {
            "name": type(process).__name__,
            "settings": describe(process),
            **({"kept": gate.kept, "before": gate.before, "after": gate.after, "nested": gate.nested} if gate else {}),
        },
        "submission": {
            "file": submission.path.name,
            "rows": submission.rows,
            "bytes": submission.bytes,
            "loss": submission.loss,
        },
    }
    return outcome | who_looked(chosen, views, dataset, folder), examples


def who_looked(chosen: Chosen, views: Sequence[View], dataset: Dataset, folder: Path) -> dict[str, Any]:
    """What a later process needs to look at other pictures in the same way."""
    return {
        "members": [
            {
                "fold": m.fold,
                "epoch": m.epoch,
                "weight": w,
                "score": m.score,
                "file": m.path.relative_to(folder).as_posix(),
            }
            for m, w in chosen
        ],
        "views": [{"name": v.name, "weight": v.weight} for v in views],
        "pictures": {
            "channels": dataset.channels,
            "depth": dataset.depth,
            "tiling": dataclasses.asdict(dataset.tiling) if dataset.tiling else None,
        },
    }


def further(counts: np.ndarray, metric: Metric, submission: Path, dataset: Dataset) -> dict[str, float | None]:
    """What another metric makes of the same counts, for validation and test."""
    from kagglekit.predict.submission import score_file

    test = score_file(submission, dataset, metric)
    return {"validation": metric.reduce(counts), "test": test.value if test else None}


def write_history(folder: Path, history: Sequence[dict[str, Any]]) -> None:
    """`history.csv`, one line per epoch."""
    columns = list(history[0])
    lines = [",".join(columns)] + [",".join("" if row[c] is None else str(row[c]) for c in columns) for row in history]
    write_text(folder / "history.csv", "\n".join(lines) + "\n")
