"""From a data set to what a run works on: cleaned, split, decoded once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kagglekit import progress
from kagglekit.clean.findings import findings_of
from kagglekit.data.codecs import mask_png
from kagglekit.data.folds import split, subset
from kagglekit.data.store import Store, open_store
from kagglekit.errors import DataError, PluginError
from kagglekit.files import printable
from kagglekit.pipeline.check import unreadable_images, unusable_answers, unwritable
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset, InputTransform
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import reader_version
from kagglekit.types import Finding, Sample

if TYPE_CHECKING:
    from kagglekit.recipe import Recipe


EVERYTHING = -1  # the fold of a network that learns from all images; nothing is left to validate it on


@dataclass(frozen=True)
class Split:
    """What one network learns from, and what it is validated on: the fold that is held out.

    `labels` replace the stored masks of some samples in training, as `Store.relabelled` takes them.
    """

    fold: int
    train: Sequence[Sample]
    validation: Sequence[Sample]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """What a run works on once reading, cleaning, splitting and decoding are done."""

    dataset: Dataset
    store: Store
    input_transform: InputTransform
    splits: Sequence[Split]
    skipped: dict[str, str]
    data_fingerprint: str = ""  # the fingerprint of the files
    relabelled: Mapping[str, str] = field(default_factory=dict)  # sample id -> why training sees another mask

    @property
    def validation(self) -> list[Sample]:
        """All samples that some network is validated on."""
        return [sample for part in self.splits for sample in part.validation]

    def counts(self) -> dict[str, int]:
        """Images by what they are used for."""
        train = {sample.id for part in self.splits for sample in part.train}
        return {
            "train": len(train),
            "validation": len(self.validation),
            "test": len(self.dataset.test),
            "skipped": len(self.skipped),
            **({"relabelled": len(self.relabelled)} if self.relabelled else {}),
        }


def prepare(solution: Solution, dataset: Dataset, data_fingerprint: str, test: bool = True) -> Data:
    """Clean, split, take the fidelity's subset and decode it once; raises DataError for too much damage.

    Test images are looked at too, unless `test` is off: trials have no use for them.
    """
    recipe = solution.recipe
    skipped = {p.sample: f"{p.rule}: {p.detail}" for p in dataset.problems if p.skip}
    damaged = {p.sample: p.detail for p in dataset.problems if p.damaged and p.skip}  # the test part loses no row
    findings = findings_of(solution, dataset, data_fingerprint)
    dropped = {f.sample: _reason(f) for f in findings if f.action == "drop"}
    named: dict[str, Sequence[int]] = {"all": range(recipe.folds), "refit": (0, EVERYTHING)}
    wanted = (recipe.fold,) if isinstance(recipe.fold, int) else named[recipe.fold]
    splits = [_split(dataset, recipe, fold, dropped) for fold in wanted]
    input_transform = solution.input_transform(dataset.channels, dataset.depth)
    if test:
        if names := unwritable(dataset):
            raise DataError(
                f"{printable(names[0])}: its name is no UTF-8 text, which no submission can hold ({len(names)} test "
                "images); rename them"
            )
        _require_answers(dataset, solution)
    lost = lost_images(dataset, recipe.max_damaged) if test else {}
    share = len(damaged) / max(1, len(dataset.train) + len(damaged))
    refuse_damage("training images or labels", damaged, share, recipe.max_damaged)
    store = store_of(solution, dataset, data_fingerprint)
    used = list({s.id: s for part in splits for s in (*part.train, *part.validation)}.values())
    unreadable = store.fill(dataset, used, progress.track)
    share += len(unreadable) / max(1, len(used))
    refuse_damage("training images or labels", damaged | unreadable, share, recipe.max_damaged)
    skipped = skipped | dropped | unreadable | {i: f"test image, gets an empty mask: {why}" for i, why in lost.items()}
    splits = [_readable(part, unreadable) for part in splits]
    taught = {sample.id for part in splits for sample in part.train}
    mending = [one for one in findings if one.action == "relabel" and one.sample in taught]
    labels = proposed_labels(mending, used, store)
    splits = [replace(p, labels={s.id: labels[s.id] for s in p.train if s.id in labels}) for p in splits]
    mended = {f.sample: _reason(f) for f in mending}
    data = Data(dataset, store, input_transform, splits, skipped, data_fingerprint, mended)
    progress.say(_told(data))
    return data


def _told(data: Data) -> str:
    """One line of what a run works on."""
    counts, skipped = data.counts(), data.skipped
    parts = [f"{counts['train']} images to train on, {counts['validation']} to validate, {counts['test']} to predict"]
    if data.relabelled:
        parts.append(f"{len(data.relabelled)} of the labels are replaced")
    if len(data.splits) > 1:
        parts.append(f"{len(data.splits)} networks, validated on images that they have not seen")
    if skipped:
        first = next(iter(skipped))
        parts.append(f"{len(skipped)} skipped, the first: {first}: {skipped[first]}")
    return "; ".join(parts)


def _reason(one: Finding) -> str:
    return f"{one.rule}: {one.detail or f'score {one.score:.3g}'}"


def lost_images(dataset: Dataset, allowed: float) -> dict[str, str]:
    """Sample id -> reason for the test images that cannot be read; raises DataError for too many of them."""
    # What the index shows need not wait for decoding.
    lost = {p.sample: p.detail for p in dataset.problems if p.damaged and not p.skip}
    present = [s for s in dataset.test if s.id not in lost]
    lost |= unreadable_images(dataset, present, progress.track)
    refuse_damage("test images", lost, len(lost) / max(1, len(dataset.test)), allowed)
    return lost


def _require_answers(dataset: Dataset, solution: Solution) -> None:
    """Raises DataError for answers that could not be scored against when the run is done."""
    bad = unusable_answers(dataset, solution.competition, progress.track)
    if bad:
        shown = "\n".join(f"  {sample}: {reason}" for sample, reason in list(bad.items())[:5])
        raise DataError(
            f"{len(bad)} of {len(dataset.answers)} answers cannot be used:\n{shown}\nmend or remove them (`kk data "
            "check` lists all)"
        )


def store_of(solution: Solution, dataset: Dataset, data_fingerprint: str) -> Store:
    """The store of a data set with the fingerprint `mark`, as this solution reads it; nothing is decoded yet."""
    competition, size = solution.competition, solution.recipe.fidelity.image_size
    key = f"{data_fingerprint}-{reader_version(solution)}"
    return open_store(folders.cache(), key, dataset, size, competition.task, len(competition.classes))


def _split(dataset: Dataset, recipe: Recipe, fold: int, dropped: Mapping[str, str]) -> Split:
    """One fold held out, the rest cut down to the fidelity's part."""
    # Split before dropping: recipes with and without a rule must be compared on the same validation images.
    everything = fold == EVERYTHING
    labelled, extra = [s for s in dataset.train if not s.extra], [s for s in dataset.train if s.extra]
    train, validation = (labelled, []) if everything else split(labelled, recipe.folds, fold, recipe.seed)
    held_out = {s.group for s in validation if s.group}
    train = [*train, *(s for s in extra if s.group not in held_out)]
    train = [s for s in subset(train, recipe.fidelity.fraction, recipe.seed) if s.id not in dropped]
    return Split(fold, train, validation)


def _readable(part: Split, unreadable: Collection[str]) -> Split:
    train, validation = ([s for s in side if s.id not in unreadable] for side in (part.train, part.validation))
    if not train or not (validation or part.fold == EVERYTHING):
        raise DataError(
            f"{len(train)} training and {len(validation)} validation images are left of fold {part.fold}; both sides "
            "need at least one"
        )
    return Split(part.fold, train, validation)


def proposed_labels(findings: Sequence[Finding], samples: Sequence[Sample], store: Store) -> dict[str, str]:
    """Sample id -> the mask that a finding proposes, as `Store.relabelled` takes it; raises KagglekitError."""
    known, labels = {sample.id: sample for sample in samples}, {}
    for one in progress.track(findings, len(findings), "reading proposed masks"):
        sample, who = known[one.sample], f"{one.rule}: {one.sample}"
        if store.tiling is not None:
            raise PluginError(
                f"{who}: images that are seen through windows take no other mask in training alone; keep or drop it"
            )
        if one.sample in labels:
            raise PluginError(f"{who}: another rule proposes a mask, too; leave one of them out (--without)")
        mask = mask_png.from_text(one.mask, who, sample.size, store.task, store.classes)
        labels[one.sample] = store.small_label(sample, mask)
    return labels


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
