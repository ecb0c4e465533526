"""From a data set to what a run works on: cleaned, split, decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kagglekit import progress
from kagglekit.data.check import unreadable_pictures
from kagglekit.data.folds import split, subset
from kagglekit.data.store import Store, open_store
from kagglekit.errors import DataError
from kagglekit.protocols import Dataset, Intake
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import reader_version
from kagglekit.solution import Solution
from kagglekit.types import Sample


@dataclass(frozen=True)
class Data:
    """What a run works on once reading, cleaning, splitting and decoding are done."""

    dataset: Dataset
    store: Store
    intake: Intake
    train: Sequence[Sample]
    validation: Sequence[Sample]
    skipped: dict[str, str]


def prepare(solution: Solution, dataset: Dataset, mark: str) -> Data:
    """Clean, split, take the fidelity's subset and decode it once; raises DataError for too much damage."""
    recipe = solution.recipe
    skipped = {p.sample: f"{p.rule}: {p.detail}" for p in dataset.problems if p.skip}
    damaged = {p.sample: p.detail for p in dataset.problems if p.damaged and p.skip}  # the test part loses no row
    dropped = {f.sample: f"{f.rule} (score {f.score:.3g})" for f in solution.clean(dataset) if f.action == "drop"}
    # Split before dropping: recipes with and without a rule must be compared on the same validation pictures.
    train_part, validation = split(dataset.train, recipe.folds, recipe.fold, recipe.seed)
    train_part = [s for s in subset(train_part, recipe.fidelity.fraction, recipe.seed) if s.id not in dropped]
    competition, intake = solution.competition, solution.intake(dataset.channels, dataset.depth)
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
    return Data(dataset, store, intake, train_part, validation, skipped)


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
