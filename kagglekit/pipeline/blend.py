"""Several finished runs of one competition, whatever their recipes, as one: a mean or a vote, weighed on validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kagglekit import progress
from kagglekit.data.fingerprint import fingerprint
from kagglekit.errors import RunError, UsageError
from kagglekit.pipeline.prepare import Data, prepare
from kagglekit.plugin.registry import Registry
from kagglekit.recipe import digest
from kagglekit.runs import folder as folders
from kagglekit.runs.reading import read
from kagglekit.runs.record import (
    COMPARED,
    WHOLE_MANIFEST,
    BlendRecord,
    ValidationIndex,
    read_manifest,
    read_result,
    write_blend,
)
from kagglekit.runs.record_parts import PostprocessRecord, RunInBlend, Score
from kagglekit.types import Member, Prediction, Sample

if TYPE_CHECKING:
    from kagglekit.pipeline.loaded_run import Loaded
    from kagglekit.pipeline.validation import ValidationProbs

ROUNDS = 20  # of forward selection
FEWEST = 10  # common validation images that weights can be chosen on


@dataclass(frozen=True)
class Part:
    """One run: ready to predict, its data as it reads them, what it kept of validation."""

    folder: Path
    loaded: Loaded
    data: Data
    kept: ValidationProbs


@dataclass(frozen=True)
class Blend:
    """Predictions of samples that all runs held out, blended when indexed; a sequence of `Prediction`."""

    parts: Sequence[Part]
    weights: Sequence[float]
    samples: Sequence[Sample]
    voting: bool

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> Prediction:
        at = [_places(part)[self.samples[i].id] for part in self.parts]
        return blended([part.kept[n] for part, n in zip(self.parts, at, strict=True)], self.weights, self.voting)


def _places(part: Part) -> Mapping[str, int]:
    """Where each sample stands among what a run kept; made once."""
    known = part.kept.__dict__
    if "places" not in known:
        known["places"] = {id: n for n, id in enumerate(part.kept.ids)}
    return known["places"]


def blended(predictions: Sequence[Prediction], weights: Sequence[float], voting: bool) -> Prediction:
    """One prediction of several of the same image, at the size of the largest; runs without weight do not count."""
    import numpy as np

    from kagglekit.data.resize import resize_probs
    from kagglekit.predict.ensemble import vote, weighted_mean

    some = [(p, w) for p, w in zip(predictions, weights, strict=True) if w > 0]
    largest = max((p for p, _ in some), key=lambda p: p.probs.shape[1] * p.probs.shape[2])
    probs = np.stack([resize_probs(p.probs.astype(np.float32), largest.probs.shape[1:]) for p, _ in some])
    shares = np.array([w for _, w in some])
    heads = [p.classes for p, _ in some if p.classes is not None]
    classes = weighted_mean(np.stack(heads), shares) if len(heads) == len(some) else None
    return replace(largest, probs=(vote if voting else weighted_mean)(probs, shares), classes=classes)


def blend(
    registry: Registry,
    names: Sequence[str],
    data_folder: Path | None = None,
    weights: str | Sequence[float] = "fit",
    voting: bool = False,
) -> BlendRecord:
    """Blend finished runs: choose weights on validation, predict the test part, write and score the submission.

    `weights`: "fit" (forward selection, kept only if images that were left out agree), "equal", or a number for each
    run. The first run's post-processing is fitted anew on the blend. Raises KagglekitError.
    """
    parts = [_part(registry, folders.find(name), data_folder) for name in names]
    _refuse_strangers(parts)
    from kagglekit.pipeline.fitting import record_of

    solution, data = parts[0].loaded.solution, parts[0].data
    common = set.intersection(*(set(part.kept.ids) for part in parts))
    samples = [sample for sample in parts[0].kept.samples if sample.id in common]
    start = _start(weights, len(parts))
    blends = partial(Blend, parts, samples=samples, voting=voting)
    chosen, fitted = start, None
    if weights == "fit" and len(samples) >= FEWEST:
        found = _fit(parts, start, blends)
        chosen, fitted = found.chosen, record_of(found)
    elif weights == "fit":
        progress.say(f"{len(samples)} images were held out by all runs, too few to choose weights: equal ones")
    key = digest([[part.folder.name for part in parts], list(chosen), voting])[:8]
    out = folders.home() / solution.competition.id / "blends" / key
    out.mkdir(parents=True, exist_ok=True)
    runs = [_of_run(part.folder, weight) for part, weight in zip(parts, chosen, strict=True)]
    result = msgspec.structs.replace(
        _finish(parts, blends(weights=chosen), data, out),
        how="vote" if voting else "mean",
        fitted=fitted,
        runs=tuple(runs),
    )
    return write_blend(out, result)


def _of_run(folder: Path, weight: float) -> RunInBlend:
    result = read_result(folder, COMPARED)
    test = result.test.value if result.test else None
    return RunInBlend(run=folder.name, weight=weight, validation=result.score.value, test=test)


def _part(registry: Registry, folder: Path, data_folder: Path | None) -> Part:
    from kagglekit.pipeline.loaded_run import load
    from kagglekit.pipeline.validation import ValidationProbs

    if not folders.is_done(folder):
        raise RunError(f"run {folder.name} has not finished; go on with it by repeating its command")
    loaded = load(registry, folder)
    manifest, result = read_manifest(folder, WHOLE_MANIFEST), read_result(folder, COMPARED)
    solution, data_folder = loaded.solution, data_folder or Path(manifest.data)
    if loaded.tiling is not None:
        raise UsageError(f"run {folder.name}: images looked at by window cannot be blended yet")
    if solution.recipe.fold == "refit":
        raise UsageError(f"run {folder.name}: the network that predicts (fold=refit) held nothing out to weigh it by")
    dataset = solution.dataset(data_folder)
    data_fingerprint = fingerprint(data_folder, dataset.files, folders.cache(), progress.track)
    if data_fingerprint != manifest.data_fingerprint:
        raise UsageError(f"run {folder.name} was made of other data than {data_folder}; name its folder with --data")
    data = prepare(solution, dataset, data_fingerprint, test=False)  # predicting reads the test part anyway
    members = [(Member(folder / m.file, m.epoch, m.fold), m.weight) for m in result.members]
    by_fold = {}
    for part in data.splits:
        own = [(m, w) for m, w in members if m.fold == part.fold]
        by_fold[part.fold] = [(m, w / sum(w for _, w in own)) for m, w in own]
    [index, *_] = [
        read(folder / "validation" / f"fold-{part.fold}" / "index.json", ValidationIndex) for part in data.splits
    ]
    views = {view.name: view.weight for view in result.views} if index.views else None
    kept = ValidationProbs(folder / "validation", by_fold, loaded.predictor.ensemble, data.store, data.splits, views)
    return Part(folder, loaded, data, kept)


def _refuse_strangers(parts: Sequence[Part]) -> None:
    if len(parts) < 2:
        raise UsageError("a blend needs at least two runs (`kk runs` lists them)")
    names = [part.folder.name for part in parts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"run {twice[0]} is named twice; give it a larger weight instead")
    ids = {part.loaded.solution.competition.id for part in parts}
    if len(ids) > 1:
        raise UsageError(f"these runs are of several competitions ({', '.join(sorted(ids))}); blend those of one")


def _start(weights: str | Sequence[float], count: int) -> tuple[float, ...]:
    if isinstance(weights, str):
        return (1 / count,) * count
    if len(weights) != count or min(weights) < 0 or sum(weights) <= 0:
        raise UsageError(f"--weights: {count} runs need {count} numbers of 0 or more, not all 0; got {list(weights)}")
    return tuple(w / sum(weights) for w in weights)


def _fit(parts: Sequence[Part], start: Sequence[float], blends):
    from kagglekit.pipeline.fitting import counter, fit_weights, forward_selection, measure_of, words_of

    first = parts[0]
    metric = first.loaded.solution.competition.metric
    counts = counter(first.data, first.loaded.process, metric, lambda weights: blends(weights=weights))
    fit = partial(forward_selection, rounds=ROUNDS)
    found = fit_weights(lambda start, score: fit(start, score), start, counts, measure_of(first.data, metric))
    classes = first.loaded.solution.competition.classes
    progress.say(
        f"weights of the runs fitted: {words_of(found, classes)}{'' if found.kept else '; equal weights stay'}"
    )
    return found


def _finish(parts: Sequence[Part], blend: Blend, data: Data, out: Path) -> BlendRecord:
    """Post-processing fitted on the blend, its validation score, the submission and its score."""
    from kagglekit.metrics import score_with_interval
    from kagglekit.pipeline.stages import choose_settings, score_validation, write_test
    from kagglekit.predict.postprocess import describe
    from kagglekit.predict.submission import score_file

    solution, process = parts[0].loaded.solution, parts[0].loaded.process
    metric, dataset = solution.competition.metric, data.dataset
    validation = None
    if len(blend):
        gate = choose_settings(process, data, blend, metric)
        process = gate.chosen if gate else process
        validation = score_with_interval(metric, score_validation(data, blend, process, metric))
    unreadable: list[str] = []
    test_probs = test_predictions(parts, blend.weights, blend.voting, unreadable)
    submission = write_test(data, test_probs, unreadable, process, metric, out)
    test = score_file(submission.path, dataset, metric)
    return BlendRecord(
        validation=Score.of(validation) if validation else None,
        test=Score.of(test) if test else None,
        postprocess=PostprocessRecord(name=type(process).__name__, settings=describe(process)),
        submission=str(submission.path),
        competition=solution.competition.id,
        title=solution.competition.title,
        metric=metric.name,
        folder=str(out),
    )


def test_predictions(
    parts: Sequence[Part], weights: Sequence[float], voting: bool, unreadable: list[str]
) -> Iterator[tuple[Sample, Prediction | None]]:
    """(sample, blended prediction) of the test images; None, and a word in `unreadable`, where one cannot be read."""
    from kagglekit.pipeline.stages import predict_images

    some = [(part, w) for part, w in zip(parts, weights, strict=True) if w > 0]
    test_probs = [
        predict_images(part.data, part.loaded.predictor, part.loaded.solution.recipe, unreadable) for part, _ in some
    ]
    for found in zip(*test_probs, strict=True):
        predictions = [prediction for _, prediction in found]
        missing = any(prediction is None for prediction in predictions)
        yield found[0][0], None if missing else blended(predictions, [w for _, w in some], voting)
