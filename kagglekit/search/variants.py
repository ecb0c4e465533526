"""What acts after training, judged without training: one network, many ways to look, to blend and to cut.

All that the ways need is predicted once, a file per member and view; each way then costs some arithmetic.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.data.fingerprint import fingerprint
from kagglekit.errors import RunError
from kagglekit.pipeline.evaluate import Chosen, choose_members, weigh
from kagglekit.pipeline.prepare import Data, prepare
from kagglekit.pipeline.reuse import members_of
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.recipe import Recipe, digest
from kagglekit.runs import folder as folders
from kagglekit.runs.record import Validated
from kagglekit.types import Member, View

CACHE = "apart"  # below a run's folder
WAYS = "variants.json"


def evaluate_variants(
    solution: Solution, data_folder: Path, folder: Path, record: Validated, recipes: Mapping[str, dict]
) -> dict[str, dict]:
    """Name -> counts of the metric by image, score and cost, of recipes that differ in what follows training.

    `folder` and `record` are those of a run that was trained by `solution` on the data at `place`. What was judged
    before is read from the run's folder. Raises RunError where the run's checkpoints are gone.
    """
    ways = {name: resolve(Recipe.model_validate(tree), solution.registry) for name, tree in recipes.items()}
    keys = {name: digest([way.recipe.identity(), record.members]) for name, way in ways.items()}
    path = folder / WAYS
    known = folders.read_json(path) if path.exists() else {}
    missing = {name: way for name, way in ways.items() if keys[name] not in known}
    if missing:
        dataset = solution.dataset(data_folder)
        data_fingerprint = fingerprint(data_folder, dataset.files, folders.cache())
        data = prepare(solution, dataset, data_fingerprint, test=False)
        try:
            members = members_of(folder, record.history, data.splits[0].fold)
        except FileNotFoundError as error:
            said = f"run {folder.name}: {error} is gone; remove {folder} and repeat the command"
            raise RunError(said) from error
        for name, verdict in _evaluate(solution, data, members, folder, missing).items():
            known[keys[name]] = verdict
        folders.write_json(path, known)
        shutil.rmtree(folder / CACHE)  # members times views times images: too much to keep for what it costs anew
    return {name: known[key] for name, key in keys.items()}


def lost_weights(folder: Path, record: Validated) -> bool:
    """Have checkpoints of a run been removed, as searches do with trials that won nothing?"""
    try:
        members_of(folder, record.history, 0)
    except FileNotFoundError:
        return True
    return False


def _evaluate(
    solution: Solution, data: Data, members: Sequence[Member], folder: Path, ways: Mapping[str, Solution]
) -> dict[str, dict]:
    fold = data.splits[0].fold
    chosen = {name: choose_members(way, data, members) for name, way in ways.items()}
    views = {name: way.views() for name, way in ways.items()}
    everyone = list({m.path: m for by_fold in chosen.values() for m, _ in by_fold[fold]}.values())
    everywhere = list({view.name: view for some in views.values() for view in some}.values())
    started = device_clock()
    _predict(solution, data, everyone, everywhere, folder / CACHE)
    passes = len(everyone) * len(everywhere) * max(1, len(data.validation))
    each = (device_clock() - started) / passes
    return {name: _verdict(way, data, chosen[name], views[name], folder, each) for name, way in ways.items()}


def device_clock() -> float:
    """Seconds that count as cost: of the clock on a GPU, of all cores elsewhere, so that neighbours do not count."""
    from kagglekit.train.network import pick_device

    return time.process_time() if pick_device() == "cpu" else time.perf_counter()


def _predict(solution: Solution, data: Data, members: Sequence[Member], views: Sequence[View], folder: Path) -> None:
    """Write the probabilities of all pairs of member and view."""
    from kagglekit.pipeline.validation import ValidationProbs
    from kagglekit.predict.infer import Predictor

    recipe, competition = solution.recipe, solution.competition
    ensemble, input_transform = solution.ensemble(), data.input_transform
    equal: Chosen = [(member, 1 / len(members)) for member in members]

    def make_model():
        return solution.empty_model(input_transform.channels)

    def predictor_of(some: Sequence[tuple[Member, float]]) -> Predictor:
        return Predictor(recipe, competition.task, some, ensemble, views, make_model, input_transform, apart=True)

    probs = ValidationProbs(folder, {data.splits[0].fold: equal}, ensemble, data.store, data.splits)
    probs.write(predictor_of, recipe, progress.track)


def _verdict(
    way: Solution, data: Data, chosen: dict[int, Chosen], views: Sequence[View], folder: Path, each: float
) -> dict[str, Any]:
    """Counts and cost of one way; `each` are the seconds of one member's look through one view at one image."""
    from kagglekit.pipeline.stages import choose_settings, score_validation
    from kagglekit.pipeline.validation import ValidationProbs
    from kagglekit.predict.postprocess import describe

    metric, process = way.competition.metric, way.postprocess()

    def probs_of(some: dict[int, Chosen], kept: Mapping[str, float], splits=data.splits) -> ValidationProbs:
        return ValidationProbs(folder / CACHE, some, way.ensemble(), data.store, splits, kept)

    chosen, weights, fitted = weigh(way, data, chosen, views, probs_of)
    probs = probs_of(chosen, weights)
    started = time.perf_counter()
    gate = choose_settings(process, data, probs, metric)
    settled = device_clock()
    process = gate.chosen if gate else process
    counts = score_validation(data, probs, process, metric)
    passes = sum(len(part) for part in chosen.values()) * len(weights)
    return {
        "score": metric.reduce(counts),
        "pictures": [sample.id for sample in probs.samples],
        "counts": counts.tolist(),
        "passes": passes,
        "seconds": round(time.perf_counter() - started, 3),
        "picture_seconds": round(passes * each + (device_clock() - settled) / max(1, len(probs)), 5),
        "postprocess": {"name": type(process).__name__, "settings": describe(process)},
        "nested": gate.nested if gate else None,
        "fitted": fitted,
    }
