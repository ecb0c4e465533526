"""One straight line: folder -> samples -> folds -> store -> checkpoints -> submission -> scored run folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.data import folds
from kagglekit.data.check import unreadable_pictures
from kagglekit.data.store import Store, open_store
from kagglekit.errors import DataError, PluginError
from kagglekit.files import write_text
from kagglekit.metrics import score_with_interval
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import reader_version
from kagglekit.solution import Solution
from kagglekit.types import Dataset, Member, Sample


@dataclass(frozen=True)
class Request:
    """A solution on a data folder, as asked for; `fidelity` is the preset's name, `command` what was typed."""

    solution: Solution
    data: Path
    fidelity: str = ""
    command: str = ""
    again: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Data:
    """What a run works on once reading, cleaning, splitting and decoding are done."""

    dataset: Dataset
    store: Store
    train: Sequence[Sample]
    validation: Sequence[Sample]
    skipped: dict[str, str]


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
        "run": folder.name,
        "metric": solution.competition.metric.name,
        "greater_is_better": solution.competition.metric.greater_is_better,
        "fidelity": request.fidelity,
        **outcome,
        "skipped": [{"id": sample, "reason": reason} for sample, reason in data.skipped.items()],
        "counts": {
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(dataset.test),
            "skipped": len(data.skipped),
        },
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "weights": weights,
        "command": request.command,
    }
    write_run_page(folder, examples, result)
    folders.write_json(folder / folders.RESULT, result)  # last: this file marks the run as done
    (folder / "checkpoints" / STATE).unlink(missing_ok=True)
    return result


def prepare(solution: Solution, dataset: Dataset, mark: str) -> Data:
    """Clean, split, take the fidelity's subset and decode it once; raises DataError for too much damage."""
    recipe = solution.recipe
    skipped = {p.sample: f"{p.rule}: {p.detail}" for p in dataset.problems if p.skip}
    damaged = {p.sample: p.detail for p in dataset.problems if p.damaged and p.skip}  # the test part loses no row
    dropped = {f.sample: f"{f.rule} (score {f.score:.3g})" for f in solution.clean(dataset) if f.action == "drop"}
    # Split before dropping: recipes with and without a rule must be compared on the same validation pictures.
    train_part, validation = folds.split(dataset.train, recipe.folds, recipe.fold, recipe.seed)
    train_part = [s for s in folds.subset(train_part, recipe.fidelity.fraction, recipe.seed) if s.id not in dropped]
    competition = solution.competition
    # What the index shows need not wait for decoding.
    lost = {p.sample: p.detail for p in dataset.problems if p.damaged and not p.skip}
    present = [s for s in dataset.test if s.id not in lost]
    lost |= unreadable_pictures(dataset, present, progress.track)
    refuse_damage("test pictures", lost, len(lost) / max(1, len(dataset.test)), recipe.max_damaged)
    share = len(damaged) / max(1, len(dataset.train) + len(damaged))
    refuse_damage("training pictures or labels", damaged, share, recipe.max_damaged)
    key, planes = f"{mark}-{reader_version(solution)}", len(competition.classes)
    store = open_store(folders.cache(), key, dataset, recipe.fidelity.image_size, competition.task, planes)
    unreadable = store.fill(dataset, [*train_part, *validation], progress.track)
    share += len(unreadable) / max(1, len(train_part) + len(validation))
    refuse_damage("training pictures or labels", damaged | unreadable, share, recipe.max_damaged)
    train_part = [s for s in train_part if s.id not in unreadable]
    validation = [s for s in validation if s.id not in unreadable]
    skipped = (
        skipped | dropped | unreadable | {i: f"test picture, gets an empty mask: {why}" for i, why in lost.items()}
    )
    if not train_part or not validation:
        raise DataError(
            f"{len(train_part)} training and {len(validation)} validation pictures are left; both sides need at "
            "least one"
        )
    progress.say(
        f"{len(train_part)} pictures to train on, {len(validation)} to validate, {len(dataset.test)} to predict"
        + (
            f"; {len(skipped)} skipped, the first: {next(iter(skipped))}: {next(iter(skipped.values()))}"
            if skipped
            else ""
        )
    )
    return Data(dataset, store, train_part, validation, skipped)


def refuse_damage(what: str, damaged: dict[str, str], share: float, allowed: float) -> None:
    """Raise DataError when the damaged `share` of the files exceeds what is allowed, naming the first few."""
    if share <= allowed:
        return
    shown = "\n".join(f"  {sample}: {reason}" for sample, reason in list(damaged.items())[:5])
    raise DataError(
        f"{len(damaged)} {what} ({share:.1%}) are damaged, more than the {allowed:.1%} that a "
        f"run passes over:\n{shown}\nmend or remove them (`kk data check` lists all), or allow more with "
        f"-o max_damaged={min(1, 1.1 * share):.2g}"
    )


def train(solution: Solution, data: Data, folder: Path) -> tuple[list[Member], list[dict], str]:
    """Checkpoints of all epochs, the history, and the weights it began with."""
    from kagglekit.train.fit import Job, fit

    dataset, store = data.dataset, data.store
    return fit(
        Job(
            recipe=solution.recipe,
            task=solution.competition.task,
            metric=solution.competition.metric,
            store=store,
            make_model=lambda: solution.model(dataset.channels),
            loss=solution.loss(),
            sampler=solution.sampler(dataset, data.train),
            augment=solution.augment(dataset, data.train),
            validation=data.validation,
            folder=folder / "checkpoints",
            track=progress.track,
            say=progress.say,
        )
    )


def predict(solution: Solution, data: Data, members: Sequence[Member], folder: Path) -> tuple[dict[str, Any], list]:
    """Ensemble, views and post-processing: the scores of validation and test, the submission, and examples to show."""
    from kagglekit.predict import postprocess as post
    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.stages import pick_examples, predict_test, score_validation
    from kagglekit.predict.submission import score_file
    from kagglekit.predict.validation import Truths, ValidationProbs, write_probs

    recipe, competition, dataset = solution.recipe, solution.competition, data.dataset
    ensemble, views = solution.ensemble(), solution.views()
    chosen = list(ensemble.choose(members, competition.metric.greater_is_better))
    if not chosen or abs(sum(weight for _, weight in chosen) - 1) > 1e-6:
        raise PluginError(f"kk_ensemble(): members need weights that sum to 1, got {[weight for _, weight in chosen]}")
    predictor = Predictor(
        recipe,
        competition.task,
        [m for m, _ in chosen],
        views,
        lambda: solution.model(dataset.channels, pretrained=False),
        dataset.channels,
    )

    place = folder / "validation"
    write_probs(
        predictor, [m for m, _ in chosen], data.store, data.validation, place, recipe.batch_size, progress.track
    )
    samples = {s.id: s for s in data.validation}
    predictions = ValidationProbs(place, chosen, ensemble, samples)
    truths = Truths(dataset, [samples[i] for i in predictions.ids])
    process = solution.postprocess()
    gate = post.gate(process, predictions, truths, competition.metric)
    process = gate.chosen if gate else process
    statistics = score_validation(solution, dataset, predictions, process)
    validation = score_with_interval(competition.metric, statistics)
    examples = pick_examples(solution, dataset, predictions, process, statistics)

    submission = predict_test(solution, dataset, predictor, chosen, ensemble, process, folder)
    test = score_file(submission.path, dataset, competition.metric)
    return {
        "validation": dataclasses.asdict(validation),
        "test": dataclasses.asdict(test) if test else None,
        "members": [{"fold": m.fold, "epoch": m.epoch, "weight": w, "score": m.score} for m, w in chosen],
        "views": [{"name": v.name, "weight": v.weight} for v in views],
        "postprocess": {
            "name": type(process).__name__,
            "settings": post.describe(process),
            **({"kept": gate.kept, "before": gate.before, "after": gate.after, "nested": gate.nested} if gate else {}),
        },
        "submission": {
            "file": submission.path.name,
            "rows": submission.rows,
            "bytes": submission.bytes,
            "loss": submission.loss,
        },
    }, examples


def write_history(folder: Path, history: Sequence[dict[str, Any]]) -> None:
    """`history.csv`, one line per epoch."""
    columns = list(history[0])
    lines = [",".join(columns)] + [",".join("" if row[c] is None else str(row[c]) for c in columns) for row in history]
    write_text(folder / "history.csv", "\n".join(lines) + "\n")
