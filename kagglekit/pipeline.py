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
from kagglekit.data.fingerprint import fingerprint
from kagglekit.data.store import Store, open_store
from kagglekit.errors import DataError
from kagglekit.files import remove_unfinished, write_text
from kagglekit.metrics import score_with_interval
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import code_version, identity, manifest, reader_version
from kagglekit.runs.ledger import Ledger
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


def run(request: Request) -> tuple[Path, dict[str, Any], bool]:
    """Run the experiment, or return the result it already has; returns (run folder, result, was it new).

    The same experiment is never computed twice at once: a second call waits. Raises KagglekitError.
    """
    solution = request.solution
    started = time.perf_counter()
    dataset = solution.dataset(request.data)
    solution.check(dataset.channels)
    mark = fingerprint(request.data, dataset.files, folders.cache(), progress.track)
    code = code_version(solution)
    base = folders.home() / solution.competition.id / identity(solution, mark, code)
    with folders.held(base, progress.say):
        folder = choose_folder(base, request)
        if folders.is_done(folder):
            return folder, folders.read_json(folder / folders.RESULT), False
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        if not (folder / folders.MANIFEST).exists():
            write_text(folder / folders.RECIPE, solution.recipe.to_toml())
            record = manifest(solution, mark, code, request.data, request.command)
            folders.write_json(folder / folders.MANIFEST, {**record, "fidelity": request.fidelity})
        ledger = Ledger(folders.home())
        ledger.record(folder)
        with progress.logged(folder / "log.txt"):
            result = execute(request, dataset, mark, folder, started)
        ledger.record(folder)
        return folder, result, True


def choose_folder(base: Path, request: Request) -> Path:
    """The folder to use: the finished or interrupted one of this experiment, or a new one."""
    existing = folders.repeats(base)
    unfinished = [f for f in existing if not folders.is_done(f)]
    if unfinished:
        progress.say(f"run {unfinished[-1].name} of this experiment was interrupted; going on with it")
        return unfinished[-1]
    if existing and not request.again:
        return existing[-1]
    if not existing:
        say_what_is_near(base, request)
    return folders.next_repeat(base)


def say_what_is_near(base: Path, request: Request) -> None:
    """Say when an interrupted run differs from this experiment in its code alone; its bits would be mixed."""
    recipe = request.solution.recipe.identity()
    for other in base.parent.glob(f"*/{folders.MANIFEST}"):
        manifest = folders.read_json(other)
        if manifest.get("recipe_identity") == recipe and not folders.is_done(other.parent):
            progress.say(
                f"run {other.parent.name} of this recipe was interrupted, but data or code have changed since; "
                "it is left alone and a new run starts"
            )
            return
    if request.resume:
        progress.say("nothing to resume: this experiment has no interrupted run; starting it")


def execute(request: Request, dataset: Dataset, mark: str, folder: Path, started: float) -> dict[str, Any]:
    """Everything between a data set and a finished run folder; returns the result, which is written last."""
    from kagglekit.report.run_page import write_run_page
    from kagglekit.train.checkpoint import STATE

    solution = request.solution
    data = prepare(solution, dataset, mark)
    seconds = {"data": time.perf_counter() - started}
    members, history, weights = train(solution, data, folder)
    write_history(folder, history)
    seconds["train"] = time.perf_counter() - started - seconds["data"]
    outcome, examples = predict(solution, data, members, folder)
    seconds["total"] = time.perf_counter() - started
    seconds["predict"] = seconds["total"] - seconds["train"] - seconds["data"]
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
    kept = [s for s in dataset.train if s.id not in dropped]
    train_part, validation = folds.split(kept, recipe.folds, recipe.fold, recipe.seed)
    train_part = folds.subset(train_part, recipe.fidelity.fraction, recipe.seed)
    competition = solution.competition
    # What the index shows need not wait for decoding.
    lost = {p.sample: p.detail for p in dataset.problems if p.damaged and not p.skip}
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
    skipped = skipped | dropped | unreadable
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
