"""The record of a run, typed: what its JSON files hold, read and written here and nowhere else.

Names of fields are keys of the files. Files of before the schema was written count as schema 0; what they lack has the
defaults of these types, or the reader that needs it refuses them in a sentence (`needed`, see `runs.reading`).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import msgspec

from kagglekit.errors import RunError
from kagglekit.files import write_text
from kagglekit.runs import folder as folders
from kagglekit.runs.reading import SCHEMA, damaged, read, sound, text_of, typed
from kagglekit.train.trained import Epoch
from kagglekit.types import Depth, Tiling
from kagglekit.types import Score as Measured

TRAINED = "trained.json"  # in the folder of a run that trained nothing itself: whose training it has
HISTORY = "history.csv"
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


class Part(msgspec.Struct, frozen=True):
    """A part of a record."""


class Score(Part, kw_only=True):
    """A score with its 95% interval and the number of its images; of old records no more than its value is known."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None

    @classmethod
    def of(cls, score: Measured) -> Score:
        """The record of a score."""
        return cls(value=score.value, low=score.low, high=score.high, count=score.count)


class Further(Part, kw_only=True):
    """What another metric says."""

    validation: float | None = None
    test: float | None = None


class Seconds(Part, kw_only=True, omit_defaults=True):
    """The time of each part of a run, in seconds; a run that only validated has no total."""

    data: float | None = None
    train: float | None = None
    predict: float | None = None
    total: float | None = None

    @property
    def spent(self) -> float:
        """All of them."""
        return sum(self.parts().values()) if self.total is None else self.total

    def parts(self) -> dict[str, float]:
        """Those that are known, the total aside, by name."""
        named = {"data": self.data, "train": self.train, "predict": self.predict}
        return {name: value for name, value in named.items() if value is not None}


class Counts(Part, kw_only=True, omit_defaults=True):
    """Images by what they are used for."""

    train: int
    validation: int
    test: int
    skipped: int | None = None
    relabelled: int | None = None

    def parts(self) -> dict[str, int]:
        """Those that are known, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class MemberRecord(Part, kw_only=True):
    """A checkpoint that predicts; `file` is relative to the run's folder, `hash` that of its weights."""

    fold: int
    epoch: int
    weight: float
    score: float | None = None
    file: str
    hash: str = ""


class ViewRecord(Part, kw_only=True):
    """A view of test-time augmentation."""

    name: str
    weight: float


class Images(Part, kw_only=True):
    """What a network was trained on."""

    channels: int
    depth: Depth
    tiling: Tiling | None


class PostprocessRecord(Part, kw_only=True, omit_defaults=True):
    """How masks were made; where its settings were fitted, what came of it (`predict.gate.Gated`)."""

    name: str
    settings: dict[str, Any]
    kept: bool | None = None
    before: float | None = None
    after: float | None = None
    nested: float | None = None
    fell: tuple[int, ...] | None = None


class FitRecord(Part, kw_only=True, omit_defaults=True):
    """Weights fitted on validation, and what came of it (`predict.gate.Gated`); `names` are of what they weigh."""

    weights: tuple[float, ...]
    kept: bool
    before: float | None = None
    after: float | None = None
    nested: float | None = None
    fell: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None


class SubmissionRecord(Part, kw_only=True):
    """The submission in the folder of a run; `loss` is what its encoding costs."""

    file: str
    rows: int | None = None
    bytes: int | None = None
    loss: float | None = None


class LeftOut(Part, kw_only=True):
    """A sample that was left out or relabelled, and why."""

    id: str
    reason: str


class SelfCheckRecord(Part, kw_only=True):
    """What the self-check found."""

    agreement: dict[str, float] = {}
    offsets: dict[str, tuple[float, float]] = {}
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Result(Part, kw_only=True):
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
    pictures: Images = Images(channels=3, depth="uint8", tiling=None)
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


class Validated(Part, kw_only=True):
    """What a search wants to know of an experiment, `validated.json`: its score, also by image, its curve, its cost."""

    validation: Score
    metric: str
    greater_is_better: bool | None = None
    pictures: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    history: tuple[Epoch, ...] = ()
    members: tuple[str, ...] = ()
    seconds: Seconds
    weights: str = ""
    observed: dict[str, Any] = msgspec.field(default_factory=dict, name="seen")
    schema: int = 0


class TakenOver(Part, kw_only=True):
    """Whose training a run has, `trained.json`."""

    run: str
    history: tuple[Epoch, ...]
    weights: str
    observed: dict[str, Any] = msgspec.field(name="seen")
    schema: int = 0


class TechniqueRecord(Part, kw_only=True):
    """A technique of a recipe."""

    name: str
    settings: dict[str, Any] = {}


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


class Manifest(Part, kw_only=True):
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


class Fold(Part, kw_only=True):
    """The ids of the samples on both sides of a split."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()


class RunInBlend(Part, kw_only=True):
    """A run of a blend, and its own scores."""

    run: str
    weight: float
    validation: float
    test: float | None


class BlendRecord(Part, kw_only=True):
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


class Writeup(Part, kw_only=True):
    """What a write-up says."""

    lang: str
    facts: dict[str, Any]


class ValidationIndex(Part, kw_only=True):
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


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it, whole or not at all."""
    _write(folder / folders.MANIFEST, manifest)


def write_result(folder: Path, result: Result) -> None:
    """Write it, whole or not at all."""
    _write(folder / folders.RESULT, result)


def write_validated(folder: Path, validated: Validated) -> None:
    """Write it, whole or not at all."""
    _write(folder / folders.VALIDATED, validated)


def write_taken_over(folder: Path, training: TakenOver) -> None:
    """Write it, whole or not at all."""
    _write(folder / TRAINED, training)


def write_folds(folder: Path, folds: Mapping[str, Fold]) -> None:
    """Write them, whole or not at all."""
    folders.write_json(folder / folders.FOLDS, msgspec.to_builtins(folds))


def write_blend(folder: Path, blend: BlendRecord) -> None:
    """Write it, whole or not at all."""
    _write(folder / BLEND, blend)


def _write(path: Path, record: Result | Validated | Manifest | TakenOver | BlendRecord) -> None:
    folders.write_json(path, plain(msgspec.structs.replace(record, schema=SCHEMA)))


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


def read_history(folder: Path) -> list[Epoch]:
    """The epochs of `history.csv`, empty cells None; none where there is no such file. Raises RunError."""
    path = folder / HISTORY
    if not path.is_file():
        return []
    rows, reader = [], csv.DictReader(io.StringIO(text_of(path)))
    try:
        for row in reader:
            if None in row:
                raise ValueError("more cells than columns")
            whole = {name: int(row[name]) for name in ("epoch", "fold") if name == "epoch" or row.get(name)}
            names = [name for name in Epoch.__struct_fields__ if row.get(name) and name not in whole]
            values = {name: float(row[name]) for name in names}
            if not math.isfinite(values.get("seconds", 0.0)):
                raise ValueError(f"seconds: {row['seconds']} is no time")
            rows.append(msgspec.convert(whole | values, Epoch))
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise damaged(path, f"line {reader.line_num}", str(error), AGAIN) from error
    return rows


def write_history(folder: Path, history: Iterable[Epoch]) -> None:
    """`history.csv`, one line per epoch."""
    rows = [row.as_dict() for row in history]
    lines = [",".join(rows[0])] + [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    write_text(folder / HISTORY, "\n".join(lines) + "\n")


def finished(paths: Iterable[Path], needed: Iterable[str] = ()) -> Iterator[tuple[Path, Manifest, Result]]:
    """(folder, manifest, result) of these runs; of each that cannot be read a line says why, and it is passed over."""
    for folder, (manifest, result) in sound(paths, lambda folder: (read_manifest(folder), read_result(folder, needed))):
        yield folder, manifest, result
