"""What follows training: who predicts and how is decided on validation, then the test part is predicted and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kagglekit import progress
from kagglekit.errors import PluginError
from kagglekit.metrics import score_with_interval
from kagglekit.pipeline.prepare import EVERYTHING, Data
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset, Ensemble, Metric, Postprocess
from kagglekit.runs import record_parts as record
from kagglekit.runs.record_parts import FitRecord, Further, Images, MemberRecord, PostprocessRecord, ViewRecord
from kagglekit.types import Member, Score, View

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from kagglekit.pipeline.fitting import Weights
    from kagglekit.pipeline.self_check import SelfCheck
    from kagglekit.pipeline.validation import ValidationProbs
    from kagglekit.predict.gate import Gated
    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.postprocess import Gate
    from kagglekit.report.run_page import Example
    from kagglekit.train.network import Network


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


class PredictorOf(Protocol):
    """Makes a predictor of some members; with `apart` it does not blend the views."""

    def __call__(self, some: Chosen, apart: bool = False) -> Predictor:
        """The predictor."""


@dataclass(frozen=True)
class Evaluated:
    """What validation decided: which members look in which way, how masks are made of it, and what that scores."""

    by_fold: dict[int, Chosen]
    predictor_of: PredictorOf
    views: Sequence[View]
    predictions: ValidationProbs
    process: Postprocess
    gate: Gate | None
    counts: np.ndarray
    validation: Score
    fitted: dict[str, FitRecord]


def evaluate(solution: Solution, data: Data, members: Sequence[Member], folder: Path) -> Evaluated:
    """Ensemble, views and post-processing on the validation part."""
    from functools import partial

    from kagglekit.pipeline.fitting import words_of
    from kagglekit.pipeline.stages import choose_settings, score_validation
    from kagglekit.pipeline.validation import ValidationProbs
    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.views import reweighted

    recipe, competition = solution.recipe, solution.competition
    ensemble, views, metric = solution.ensemble(), solution.views(), competition.metric
    by_fold = choose_members(solution, data, members)
    apart = hasattr(views, "fit")

    def make_model() -> nn.Module:
        return solution.empty_model(data.input_transform.channels)

    def predictor_of(some: Chosen, apart: bool = False) -> Predictor:
        return Predictor(recipe, competition.task, some, ensemble, views, make_model, data.input_transform, apart)

    def probs_of(some: Mapping[int, Chosen], weights: Mapping[str, float], splits=data.splits) -> ValidationProbs:
        kept = weights if apart else None
        return ValidationProbs(folder / "validation", some, ensemble, data.store, splits, kept)

    weights = {view.name: view.weight for view in views}
    probs_of(by_fold, weights).write(partial(predictor_of, apart=apart), recipe, progress.track)
    by_fold, weights, fitted = weigh(solution, data, by_fold, views, probs_of)
    views = reweighted(views, weights)
    predictions, process = probs_of(by_fold, weights), solution.postprocess()
    gate = choose_settings(process, data, predictions, metric)
    process = gate.chosen if gate else process
    if gate:
        progress.say(f"post-processing fitted: {words_of(gate, competition.classes)}")
    counts = score_validation(data, predictions, process, metric)
    score = score_with_interval(metric, counts)
    return Evaluated(by_fold, predictor_of, views, predictions, process, gate, counts, score, fitted)


def choose_members(solution: Solution, data: Data, members: Sequence[Member]) -> dict[int, Chosen]:
    """The members of each fold that predict, merged to one network where the ensemble wants that."""
    from functools import partial
    from itertools import islice

    import torch

    from kagglekit.data.loader import batches
    from kagglekit.train.average import MOST, averaged
    from kagglekit.train.network import pick_device, prepare

    ensemble, recipe = solution.ensemble(), solution.recipe
    by_fold = choose(ensemble, members, solution.competition.metric)
    if not getattr(ensemble, "merges", False):
        return by_fold
    device, splits = pick_device(), {part.fold: part for part in data.splits}

    def images(fold: int) -> Iterator[torch.Tensor]:
        train, store = splits[fold].train, data.store.relabelled(splits[fold].labels)
        draws = list(islice(solution.sampler(data.dataset, train, store)(0), MOST * recipe.batch_size))
        augment = solution.augment(data.dataset, train, store)
        for images, _ in batches(store, draws, recipe.batch_size, augment, recipe.seed, 0, device):
            yield images

    def network() -> Network:
        torch.manual_seed(recipe.seed)  # the passes that follow may drop out, and must not depend on what was before
        return prepare(solution.empty_model(data.input_transform.channels), data.input_transform, device)

    return {fold: [(averaged(some, network, partial(images, fold)), 1.0)] for fold, some in by_fold.items()}


Kept = tuple[dict[int, Chosen], dict[str, float], dict[str, FitRecord]]


def weigh(
    solution: Solution, data: Data, by_fold: Mapping[int, Chosen], views: Sequence[View], probs_of: Callable
) -> Kept:
    """Members and view weights as validation has them, and what fitting them gave; unchanged where nothing is fitted.

    `probs_of(members by fold, weights by view, splits)` are predictions out of what was kept.
    """
    from kagglekit.pipeline.fitting import counter, fit_weights, measure_of, record_of, words_of

    process = solution.postprocess()
    ensemble: Any = solution.ensemble()  # may have `fit`
    metric, fits = measure_of(data, solution.competition.metric), dict[str, FitRecord]()
    by_fold, weights = dict(by_fold), {view.name: view.weight for view in views}

    def said(what: str, found: Gated[Weights]) -> None:
        progress.say(f"weights of {what} fitted: {words_of(found, solution.competition.classes)}")

    for part in data.splits if hasattr(ensemble, "fit") else ():
        if not part.validation or len(by_fold[part.fold]) < 2:
            continue
        some = [member for member, _ in by_fold[part.fold]]

        def of_members(found: Sequence[float], some=some, part=part) -> ValidationProbs:
            return probs_of({part.fold: _positive(some, found)}, weights, [part])

        counts = counter(data, process, solution.competition.metric, of_members)
        one = fit_weights(ensemble.fit, [w for _, w in by_fold[part.fold]], counts, metric)
        by_fold[part.fold] = _positive(some, one.chosen)
        fits[f"members of fold {part.fold}"] = record_of(one)
        said(f"members of fold {part.fold}", one)
        if EVERYTHING in by_fold and len(by_fold[EVERYTHING]) == len(some):  # nothing is left to fit these on
            by_fold[EVERYTHING] = _positive([member for member, _ in by_fold[EVERYTHING]], one.chosen)
    if hasattr(views, "fit") and len(views) > 1:
        names = list(weights)

        def of_views(found: Sequence[float]) -> ValidationProbs:
            return probs_of(by_fold, {n: w for n, w in zip(names, found, strict=True) if w > 0}, data.splits)

        counts = counter(data, process, solution.competition.metric, of_views)
        one = fit_weights(views.fit, list(weights.values()), counts, metric)
        weights = {name: weight for name, weight in zip(names, one.chosen, strict=True) if weight > 0}
        fits["views"] = record_of(one, names)
        said("views", one)
    return by_fold, weights, fits


def _positive(members: Sequence[Member], weights: Sequence[float]) -> Chosen:
    """The members with a weight above 0."""
    return [(member, weight) for member, weight in zip(members, weights, strict=True) if weight > 0]


@dataclass(frozen=True)
class Outcome:
    """What follows validation, as the result has it, and examples to show."""

    test: record.Score | None
    also: dict[str, Further]
    self_check: record.SelfCheckRecord
    postprocess: PostprocessRecord
    submission: record.SubmissionRecord
    members: tuple[MemberRecord, ...]
    views: tuple[ViewRecord, ...]
    images: Images
    examples: Sequence[Example]


def submit(solution: Solution, data: Data, evaluated: Evaluated, folder: Path) -> Outcome:
    """The submission, its score where the truth is known, and examples to show."""
    from kagglekit.pipeline.stages import pick_examples, predict_test
    from kagglekit.predict.submission import score_file

    competition, dataset = solution.competition, data.dataset
    metric, process = competition.metric, evaluated.process
    checked = self_check(data, evaluated)
    examples = pick_examples(data, evaluated.predictions, process, evaluated.counts, metric)
    chosen = for_test(evaluated.by_fold)
    submission = predict_test(data, evaluated.predictor_of(chosen), process, solution.recipe, metric, folder)
    test = score_file(submission.path, dataset, metric)
    return Outcome(
        test=record.Score.of(test) if test else None,
        also={m.name: further(evaluated.counts, m, submission.path, dataset) for m in competition.also},
        self_check=checked.record(),
        postprocess=postprocess_record(process, evaluated.gate),
        submission=record.SubmissionRecord(
            file=submission.path.name, rows=submission.rows, bytes=submission.bytes, loss=submission.loss
        ),
        members=tuple(member_record(member, weight, folder) for member, weight in chosen),
        views=tuple(ViewRecord(name=view.name, weight=view.weight) for view in evaluated.views),
        images=Images(channels=dataset.channels, depth=dataset.depth, tiling=dataset.tiling),
        examples=examples,
    )


def postprocess_record(process: Postprocess, gate: Gate | None) -> PostprocessRecord:
    """How masks are made, and what fitting it gave."""
    from kagglekit.predict.postprocess import describe

    name, settings = type(process).__name__, describe(process)
    if gate is None:
        return PostprocessRecord(name=name, settings=settings)
    return PostprocessRecord(
        name=name, settings=settings, kept=gate.kept, before=gate.before, after=gate.after, nested=gate.nested,
        fell=gate.fell,
    )  # fmt: skip


def self_check(data: Data, evaluated: Evaluated) -> SelfCheck:
    """Whether views agree and labels lie where masks do, told aloud; trials of a search do without."""
    from kagglekit.pipeline.self_check import check_run

    last, _ = next(iter(evaluated.by_fold.values()))[-1]
    checked = check_run(data, evaluated.predictor_of([(last, 1.0)], apart=True))
    for warning in checked.warnings:
        progress.say(f"warning: {warning}")
    for note in checked.notes:
        progress.say(f"note: {note}")
    return checked


def member_record(member: Member, weight: float, folder: Path) -> MemberRecord:
    """What a later process needs to predict with a checkpoint."""
    from kagglekit.train.checkpoint import hash_weights

    return MemberRecord(
        fold=member.fold,
        epoch=member.epoch,
        weight=weight,
        score=member.score,
        file=member.path.relative_to(folder).as_posix(),
        hash=hash_weights(member.path),
    )


def further(counts: np.ndarray, metric: Metric, submission: Path, dataset: Dataset) -> Further:
    """What another metric makes of the same counts, for validation and test."""
    from kagglekit.predict.submission import score_file

    test = score_file(submission, dataset, metric)
    return Further(validation=metric.reduce(counts), test=test.value if test else None)
