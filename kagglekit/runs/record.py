"""The record of a run, typed: what its JSON files hold, read and written here and nowhere else.

Names of fields are keys of the files. Files of before the schema was written count as schema 0; what they lack has the
defaults of these types, or the reader that needs it refuses them in a sentence (`needed`, see `runs.reading`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar

import msgspec

from kagglekit.errors import RunError
from kagglekit.runs import folder as folders
from kagglekit.runs.reading import SCHEMA, damaged, read, sound, typed
from kagglekit.runs.record_parts import (
    Counts,
    FitRecord,
    Fold,
    Further,
    Images,
    LeftOut,
    MemberRecord,
    Part,
    PostprocessRecord,
    RunInBlend,
    Score,
    Seconds,
    SelfCheckRecord,
    SubmissionRecord,
    TechniqueRecord,
    ViewRecord,
)
from kagglekit.train.trained import Epoch

TRAINED = "trained.json"  # in the folder of a run that trained nothing itself: whose training it has
BLEND = "blend.json"
AGAIN = "run it again with --again"
INTERVALS = ("validation", "validation.low", "validation.high", "test.low", "test.high")
WHOLE_SCORES = (*INTERVALS, "validation.count", "test.count")
# What `kk run` gives again, what predicting needs, what a comparison needs, and what a write-up says besides.
KNOWN = (*WHOLE_SCORES, "seconds.total", "submission", "title", "weights")
PREDICTING = ("members", "views", "pictures", "postprocess")
COMPARED = (*WHOLE_SCORES, "greater_is_better", "seconds.total", "members")
WRITTEN = (*COMPARED, "counts", "skipped", "views", "postprocess", "workers", "weights", "command")
WHOLE_MANIFEST = ("recipe", "recipe_identity", "data", "data_fingerprint", "code", "plugins", "versions", "hardware")
WHOLE_VALIDATED = ("pictures", "scores", "history", "members", "weights")

Record = TypeVar("Record", bound=Part)


class Result(Part, frozen=True, kw_only=True):
    """How a run ended, `result.json`."""

    status: str = "done"
    competition: str = ""
    title: str = ""
    classes: tuple[str, ...] = ()
    run: str = ""
    metric: str
    greater_is_better: bool | None = None
    fidelity: str | None = None
    validation: Score | None
    test: Score | None
    also: dict[str, Further] = {}
    fitted: dict[str, FitRecord] = {}
    self_check: SelfCheckRecord | None = None
    postprocess: PostprocessRecord = PostprocessRecord(name="", settings={})
    submission: SubmissionRecord = SubmissionRecord(file="")
    members: tuple[MemberRecord, ...] = ()
    views: tuple[ViewRecord, ...] = ()
    images: Images = msgspec.field(default=Images(channels=3, depth="uint8", tiling=None), name="pictures")
    skipped: tuple[LeftOut, ...] = ()
    relabelled: tuple[LeftOut, ...] = ()
    counts: Counts | None = None
    seconds: Seconds
    weights: str = ""
    workers: int = 1
    command: str | None = None
    schema: int = 0

    @property
    def score(self) -> Score:
        """That on validation; raises RunError where a record has none."""
        if self.validation is None:
            raise RunError(f"run {self.run}: has no validation score; {AGAIN}")
        return self.validation

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the self-check."""
        return self.self_check.warnings if self.self_check else ()


class Validated(Part, frozen=True, kw_only=True):
    """What a search wants to know of an experiment, `validated.json`: its score, also by image, its curve, its cost."""

    validation: Score
    metric: str
    greater_is_better: bool | None = None
    images: tuple[str, ...] = msgspec.field(default=(), name="pictures")
    scores: tuple[float, ...] = ()
    history: tuple[Epoch, ...] = ()
    members: tuple[str, ...] = ()
    seconds: Seconds
    weights: str = ""
    observed: dict[str, Any] = msgspec.field(default_factory=dict, name="seen")
    schema: int = 0


class TakenOver(Part, frozen=True, kw_only=True):
    """Whose training a run has, `trained.json`."""

    run: str
    history: tuple[Epoch, ...]
    weights: str
    observed: dict[str, Any] = msgspec.field(name="seen")
    schema: int = 0


class RecipeRow(TypedDict, total=False):
    """What readers take of a recipe themselves; `recipe.validate` checks the rest."""

    competition: str
    seed: int
    fidelity: dict[str, float]
    loss: dict[str, float]
    settings: dict[str, Any]
    techniques: list[TechniqueRecord]


class HasRecipe(TypedDict):
    """A manifest, for its recipe."""

    recipe: NotRequired[RecipeRow]


class Manifest(Part, frozen=True, kw_only=True):
    """What is known of a run before it starts, `manifest.json`; `recipe` is the resolved one, JSON-like."""

    identity: str
    competition: str
    recipe_identity: str = ""
    recipe: dict[str, Any] = {}
    data_fingerprint: str = ""
    data: str = ""
    code: str = ""
    seed: int | None = None
    plugins: dict[str, str] = {}
    versions: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    git: str | None = None
    command: str = ""
    started: str
    fidelity: str = ""
    workers: int = 1
    drawn: bool | None = None
    training: str = ""
    schema: int = 0

    @property
    def techniques(self) -> tuple[TechniqueRecord, ...]:
        """Those of the recipe."""
        return msgspec.convert(self.recipe.get("techniques", []), tuple[TechniqueRecord, ...])

    @property
    def recipe_seed(self) -> int:
        """The seed that the recipe names."""
        return int(self.recipe.get("seed", 0))


class BlendRecord(Part, frozen=True, kw_only=True):
    """What came of a blend, `blend.json`."""

    validation: Score | None
    test: Score | None
    postprocess: PostprocessRecord
    submission: str
    competition: str
    title: str
    metric: str
    folder: str
    how: str = "mean"
    fitted: FitRecord | None = None
    runs: tuple[RunInBlend, ...] = ()
    schema: int = 0


class Writeup(Part, frozen=True, kw_only=True):
    """What a write-up says."""

    lang: str
    facts: dict[str, Any]


class ValidationIndex(Part, frozen=True, kw_only=True):
    """What the kept probabilities of a fold are of."""

    samples: tuple[str, ...]
    classes: tuple[tuple[tuple[float, ...], ...] | None, ...]
    shapes: tuple[tuple[int, ...], ...]
    members: tuple[str, ...]
    views: tuple[str, ...] | None = None


def read_manifest(folder: Path, needed: Iterable[str] = ()) -> Manifest:
    """The manifest of a run, whose competition is a plain name; raises RunError."""
    path = folder / folders.MANIFEST
    found = folders.read_json(path)
    folders.competition_of(found, path)
    nothing = [name for name in ("fidelity", "data", "data_fingerprint", "command") if found.get(name, "") is None]
    found = {name: value for name, value in found.items() if name not in nothing}
    typed(found, HasRecipe, path)
    return typed(found, Manifest, path, needed=needed)


def read_result(folder: Path, needed: Iterable[str] = ("seconds.total",), advice: str = "") -> Result:
    """The result of a finished run; raises RunError."""
    return read(folder / folders.RESULT, Result, advice or AGAIN, needed)


def read_validated(folder: Path, needed: Iterable[str] = ()) -> Validated:
    """What validation said of a run, finished or a trial; raises RunError."""
    return read(folder / folders.VALIDATED, Validated, needed=needed)


def read_predicting(folder: Path) -> Result:
    """The result of a finished run, with who predicts, and how; raises RunError."""
    return read_result(folder, PREDICTING)


def read_folds(folder: Path) -> dict[str, Fold]:
    """The samples on both sides of each split; raises RunError."""
    return read(folder / folders.FOLDS, dict[str, Fold])


def read_taken_over(folder: Path) -> TakenOver | None:
    """Whose training a run has; None where it trained itself. Raises RunError."""
    path = folder / TRAINED
    return read(path, TakenOver) if path.exists() else None


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write it, whole or not at all; returns it with the schema that it was written in."""
    return stamped(folder / folders.MANIFEST, manifest)


def write_result(folder: Path, result: Result) -> Result:
    """Write it, whole or not at all; returns it with the schema that it was written in."""
    return stamped(folder / folders.RESULT, result)


def write_validated(folder: Path, validated: Validated) -> Validated:
    """Write it, whole or not at all; returns it with the schema that it was written in."""
    return stamped(folder / folders.VALIDATED, validated)


def write_taken_over(folder: Path, training: TakenOver) -> TakenOver:
    """Write it, whole or not at all; returns it with the schema that it was written in."""
    return stamped(folder / TRAINED, training)


def write_folds(folder: Path, folds: Mapping[str, Fold]) -> None:
    """Write them, whole or not at all."""
    folders.write_json(folder / folders.FOLDS, msgspec.to_builtins(folds))


def write_blend(folder: Path, blend: BlendRecord) -> BlendRecord:
    """Write it, whole or not at all; returns it with the schema that it was written in."""
    return stamped(folder / BLEND, blend)


def stamped(path: Path, record: Record) -> Record:
    """Write a record of the present schema; returns it so."""
    record = msgspec.structs.replace(record, schema=SCHEMA)
    folders.write_json(path, plain(record))
    return record


def plain(record: msgspec.Struct) -> dict[str, Any]:
    """A record as JSON has it."""
    found: dict[str, Any] = msgspec.to_builtins(record)
    if isinstance(record, Validated | TakenOver):
        found["history"] = [row.as_dict() for row in record.history]
    return found


def amend(path: Path, **changes: Any) -> None:
    """Change some keys of a record that is there; keys that nobody here knows stay as they are."""
    now = {key: msgspec.to_builtins(value) for key, value in changes.items()}
    folders.write_json(path, folders.read_json(path) | now)


def check_run(folder: Path) -> None:
    """Raise RunError unless a finished run can be used: its records are whole, of one competition, and predict.

    A recipe that was edited since is another matter: `kk reproduce` says so.
    """
    from kagglekit import recipe as recipes

    manifest = read_manifest(folder)
    read_result(folder)
    if not read_predicting(folder).members:
        raise damaged(folder / folders.RESULT, "members", "nobody predicts", AGAIN)
    named = recipes.load(folder / folders.RECIPE).get("competition")
    if named != manifest.competition or manifest.recipe.get("competition", named) != named:
        raise RunError(
            f"{folder / folders.MANIFEST}: says competition {manifest.competition}, {folders.RECIPE} beside it says "
            f"{named}; the files are of two runs, so take the folder from where it was made once more"
        )


def finished(paths: Iterable[Path], needed: Iterable[str] = ()) -> Iterator[tuple[Path, Manifest, Result]]:
    """(folder, manifest, result) of these runs; of each that cannot be read a line says why, and it is passed over."""
    for folder, (manifest, result) in sound(paths, lambda folder: (read_manifest(folder), read_result(folder, needed))):
        yield folder, manifest, result
