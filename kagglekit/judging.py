"""What follows training: who predicts and how is decided on validation, then the test part is predicted and scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.data.prepare import EVERYTHING, Data
from kagglekit.errors import PluginError
from kagglekit.metrics import score_with_interval
from kagglekit.protocols import Dataset, Ensemble, Metric, Postprocess
from kagglekit.solution import Solution
from kagglekit.types import Member, Score, View

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.postprocess import Gate
    from kagglekit.predict.validation import ValidationProbs
    from kagglekit.report.run_page import Example


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


@dataclass(frozen=True)
class Judged:
    """What validation decided: which members look in which way, how masks are made of it, and what that scores."""

    by_fold: dict[int, Chosen]
    predictor_of: Callable[[Chosen], Predictor]
    views: Sequence[View]
    predictions: ValidationProbs
    process: Postprocess
    gate: Gate | None
    counts: np.ndarray
    validation: Score


def judge(solution: Solution, data: Data, members: Sequence[Member], folder: Path) -> Judged:
    """Ensemble, views and post-processing on the validation part."""
    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.stages import choose_settings, score_validation
    from kagglekit.predict.validation import ValidationProbs

    recipe, competition = solution.recipe, solution.competition
    ensemble, views, metric = solution.ensemble(), solution.views(), competition.metric
    by_fold = choose(ensemble, members, metric)

    def predictor_of(some: Chosen) -> Predictor:
        def make_model():
            return solution.model(data.intake.channels, pretrained=False)

        return Predictor(recipe, competition.task, some, ensemble, views, make_model, data.intake)

    predictions = ValidationProbs(folder / "validation", by_fold, ensemble, data.store, data.splits)
    predictions.write(predictor_of, recipe, progress.track)
    process = solution.postprocess()
    gate = choose_settings(process, data, predictions, metric)
    process = gate.chosen if gate else process
    counts = score_validation(data, predictions, process, metric)
    score = score_with_interval(metric, counts)
    return Judged(by_fold, predictor_of, views, predictions, process, gate, counts, score)


def submit(solution: Solution, data: Data, judged: Judged, folder: Path) -> tuple[dict[str, Any], list[Example]]:
    """The submission, its score where the truth is known, and examples to show."""
    from kagglekit.predict.postprocess import describe
    from kagglekit.predict.stages import pick_examples, predict_test
    from kagglekit.predict.submission import score_file

    competition, dataset = solution.competition, data.dataset
    metric, process, gate = competition.metric, judged.process, judged.gate
    examples = pick_examples(data, judged.predictions, process, judged.counts, metric)
    chosen = for_test(judged.by_fold)
    submission = predict_test(data, judged.predictor_of(chosen), process, solution.recipe, metric, folder)
    test = score_file(submission.path, dataset, metric)
    outcome = {
        "validation": dataclasses.asdict(judged.validation),
        "test": dataclasses.asdict(test) if test else None,
        "also": {m.name: further(judged.counts, m, submission.path, dataset) for m in competition.also},
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
    return outcome | who_looked(chosen, judged.views, dataset, folder), examples


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
