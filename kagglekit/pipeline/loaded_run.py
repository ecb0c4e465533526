"""A finished run as something that predicts: its members on a device, with its views and its post-processing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import RunError
from kagglekit.plugin.registry import Registry
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.predict.infer import Predictor
from kagglekit.predict.postprocess import restore
from kagglekit.predict.views import reweighted
from kagglekit.protocols import InputTransform, Postprocess
from kagglekit.runs import bundle
from kagglekit.runs import folder as folders
from kagglekit.runs.record import check_run, read_predicting
from kagglekit.runs.record_parts import MemberRecord
from kagglekit.types import Depth, Member, Task, Tiling

if TYPE_CHECKING:
    import numpy as np

SURE = 0.8  # probability of a class, or of its absence, from which a pixel counts as sure


@dataclass(frozen=True)
class Loaded:
    """A finished run, ready to predict: its members on a device, its fitted post-processing, what it was trained on."""

    solution: Solution
    predictor: Predictor
    process: Postprocess
    input_transform: InputTransform
    channels: int
    depth: Depth
    tiling: Tiling | None


def load(registry: Registry, folder: Path) -> Loaded:
    """A run from its folder."""
    from kagglekit import recipe as recipes

    check_run(folder)
    recipe, _ = recipes.compose([(str(folder), recipes.load(folder / folders.RECIPE))])
    solution = resolve(recipe, registry)
    result = read_predicting(folder)
    chosen = [(_member(folder, m), m.weight) for m in result.members]
    channels, depth, tiling = result.images.channels, result.images.depth, result.images.tiling
    input_transform = solution.input_transform(channels, depth)

    def make_model():
        return solution.empty_model(input_transform.channels)

    weights = {view.name: view.weight for view in result.views}  # they may have been fitted
    task, views = solution.competition.task, reweighted(solution.views(), weights)
    predictor = Predictor(recipe, task, chosen, solution.ensemble(), views, make_model, input_transform)
    try:
        process = restore(solution.postprocess(), result.postprocess.settings)
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder / folders.RESULT}: damaged: postprocess.settings: {error}; run it again") from error
    if not views:
        raise RunError(f"{folder / folders.RESULT}: damaged: views: the recipe has none of them; run it again")
    return Loaded(solution, predictor, process, input_transform, channels, depth, tiling)


def _member(folder: Path, record: MemberRecord) -> Member:
    return Member(bundle.inside(folder, record.file), record.epoch, record.fold, hash=record.hash)


def sure_part(probs: np.ndarray, task: Task) -> float:
    """The part of the pixels of `[K, h, w]` probabilities that the network is sure of, in every class."""
    sure = probs.max(0) >= SURE if task == "multiclass" else ((probs >= SURE) | (probs <= 1 - SURE)).all(0)
    return float(sure.mean())
