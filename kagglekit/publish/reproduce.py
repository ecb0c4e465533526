"""Does a run still give what it gave? Its claim is compared with what is here now, then it is computed again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.data.fingerprint import hash_tree
from kagglekit.errors import RunError, UsageError
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.line import folds_of
from kagglekit.pipeline.prepare import prepare
from kagglekit.pipeline.request import Request
from kagglekit.plugin.registry import Registry
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.recipe import validate
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import hardware, source_hashes, versions
from kagglekit.runs.reading import sound
from kagglekit.runs.record import (
    COMPARED,
    WHOLE_MANIFEST,
    WHOLE_VALIDATED,
    Manifest,
    Result,
    Validated,
    read_folds,
    read_manifest,
    read_result,
    read_validated,
)
from kagglekit.runs.record_parts import Fold

SEEDS = 3  # fewest runs that a band can be made of
SHOWN = 5  # differences of one kind that are named


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was; `fatal`: no equal weights can come of it."""

    what: str
    detail: str
    fatal: bool = True


@dataclass(frozen=True)
class Verdict:
    """PASS or FAIL, the first thing that differs, everything that does, and the scores."""

    passed: bool
    first: str
    differences: Sequence[Difference] = ()
    claimed: float | None = None
    reached: float | None = None
    band: tuple[float, float] | None = None
    run: str = ""
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            "verdict": "PASS" if self.passed else "FAIL",
            "first": self.first,
            "differences": [vars(one) for one in self.differences],
            "claimed": self.claimed,
            "reached": self.reached,
            "band": self.band and list(self.band),
            "run": self.run,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Evidence:
    """What a finished run says of itself."""

    folder: Path
    manifest: Manifest
    result: Result
    validated: Validated

    @property
    def score(self) -> float:
        """Its score on validation."""
        return self.result.score.value

    @property
    def greater_is_better(self) -> bool:
        """As the metric says."""
        return self.result.greater_is_better is not False


def read_evidence(folder: Path) -> Evidence:
    """The claim of a finished run; raises RunError for one that is not finished, or too old to be checked."""
    if not folders.is_done(folder):
        raise RunError(f"run {folder.name} has not finished; go on with it by repeating its command")
    if not read_manifest(folder).recipe or not (folder / folders.FOLDS).exists():
        raise RunError(
            f"run {folder.name} was made by an older version, which kept too little to be checked; run it anew"
        )
    manifest, result = read_manifest(folder, WHOLE_MANIFEST), read_result(folder, COMPARED)
    evidence = Evidence(folder, manifest, result, read_validated(folder, WHOLE_VALIDATED))
    if len(evidence.validated.images) != len(evidence.validated.scores):
        raise RunError(f"{folder / folders.VALIDATED}: damaged: not one score for each image; run it anew")
    return evidence


def reproduce(registry: Registry, folder: Path, data_folder: Path | None = None, exact: bool = True) -> Verdict:
    """Compare, then compute again. With `exact` the weights must be equal by hash and any difference before is a FAIL.

    Otherwise the score of the same recipe with another seed has to lie in the band of its seeds (`band_of`), which
    needs finished runs of at least three. `place` is the data folder if it moved. Raises KagglekitError.
    """
    evidence = read_evidence(folder)
    data_folder = data_folder or Path(evidence.manifest.data)
    solution = resolve(validate(evidence.manifest.recipe), registry)
    found = list(differences(evidence, solution, data_folder))
    for one in found:
        progress.say(f"{'differs' if one.fatal else 'note'}: {one.what}: {one.detail}")
    fatal = [one for one in found if one.fatal]
    if not found:
        progress.say("data, folds, recipe, code and versions are as they were")
    if exact:
        if fatal:
            return Verdict(False, f"{fatal[0].what}: {fatal[0].detail}", found, evidence.score)
        return _again(evidence, solution, data_folder, found)
    wrong = [one for one in fatal if one.what in ("recipe", "data")]
    if wrong:
        return Verdict(False, f"{wrong[0].what}: {wrong[0].detail}", found, evidence.score)
    return _in_band(evidence, solution, data_folder, found)


def differences(evidence: Evidence, solution: Solution, data_folder: Path) -> Iterator[Difference]:
    """Everything that is not as it was when the run was made, what matters most first."""
    yield from recipe_differences(evidence)
    dataset = solution.dataset(data_folder)
    now = hash_tree(data_folder, dataset.files, folders.cache(), progress.track)
    shown = {folders.shown_name(name): content for name, content in now.items()}
    yield from _named("data", folders.read_hashes(evidence.folder / folders.DATA), shown, "file")
    from kagglekit.data.fingerprint import root_of

    folds = folds_of(prepare(solution, dataset, root_of(now), test=False))
    yield from fold_differences(read_folds(evidence.folder), folds)
    yield from _named("code", folders.read_hashes(evidence.folder / folders.CODE), source_hashes(solution), "source")
    then, here = evidence.manifest.versions, versions()
    for name in sorted(then.keys() | here.keys()):
        if then.get(name) != here.get(name):
            yield Difference("version", f"{name} was {then.get(name, 'absent')}, is {here.get(name, 'absent')}")
    then, here = evidence.manifest.hardware, hardware()
    for name in ("device", "gpus", "threads", "cpu", "cores", "platform"):
        if then.get(name) != here.get(name):
            said = f"{name} was {then.get(name, 'absent')}, is {here.get(name, 'absent')}"
            # Sums of another number of threads differ in their last bits, which training makes large.
            yield Difference("hardware", said, fatal=name in ("device", "gpus", "threads"))


def recipe_differences(evidence: Evidence) -> Iterator[Difference]:
    """Keys in which `recipe.toml` is no longer what the run computed."""
    from kagglekit import recipe as recipes

    layer = recipes.load(evidence.folder / folders.RECIPE)
    edited, _ = recipes.compose([(str(evidence.folder / folders.RECIPE), layer)])
    then, now = evidence.manifest.recipe, edited.model_dump(mode="json")
    for key, (old, new) in unlike(then, now).items():
        yield Difference("recipe", f"{key} was {old!r}, is {new!r}")


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted keys."""
    if isinstance(tree, Mapping):
        return {k: v for name, part in tree.items() for k, v in flat(part, f"{prefix}{name}.").items()}
    if isinstance(tree, (list, tuple)) and any(isinstance(part, Mapping) for part in tree):
        named = ((part.get("name", i), part) for i, part in enumerate(tree))
        return {k: v for name, part in named for k, v in flat(part, f"{prefix}{name}.").items()}
    return {prefix.rstrip("."): list(tree) if isinstance(tree, tuple) else tree}


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Both values of the settings, by dotted keys, in which two recipes differ; None where one has no such setting."""
    a, b = flat(one), flat(other)
    return {key: [a.get(key), b.get(key)] for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)}


def fold_differences(then: Mapping[str, Fold], now: Mapping[str, Fold]) -> Iterator[Difference]:
    """Samples that stand on another side of a split than they did."""
    for fold in sorted(then.keys() | now.keys()):
        parts = [some.get(fold, Fold()) for some in (then, now)]
        sides = [dict.fromkeys(one.train, "train") | dict.fromkeys(one.validation, "validation") for one in parts]
        moved = [id for id in sorted(sides[0].keys() | sides[1].keys()) if sides[0].get(id) != sides[1].get(id)]
        for id in moved[:SHOWN]:
            yield Difference(
                "folds", f"fold {fold}: {id} was in {sides[0].get(id, 'no part')}, is in {sides[1].get(id, 'no part')}"
            )
        if len(moved) > SHOWN:
            yield Difference("folds", f"fold {fold}: and {len(moved) - SHOWN} more samples")


def _named(what: str, then: Mapping[str, str], now: Mapping[str, str], kind: str) -> Iterator[Difference]:
    changed = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    for name in changed[:SHOWN]:
        fate = "is gone" if name not in now else "is new" if name not in then else "has changed"
        yield Difference(what, f"{kind} {name} {fate}")
    if len(changed) > SHOWN:
        yield Difference(what, f"and {len(changed) - SHOWN} more {kind}s")


def _again(evidence: Evidence, solution: Solution, data_folder: Path, found: Sequence[Difference]) -> Verdict:
    """Compute the experiment once more and compare weights by hash."""
    with deterministic():
        folder, result, _ = run(Request(solution, data_folder, evidence.manifest.fidelity, "kk reproduce", again=True))
    now = read_validated(folder, WHOLE_VALIDATED)
    verdict = Verdict(True, "", found, evidence.score, result.score.value, run=folder.name)
    if now.members == evidence.validated.members:
        if verdict.reached != evidence.score:
            return replace(verdict, passed=False, first=f"score: was {evidence.score!r}, is {verdict.reached!r}")
        return replace(verdict, notes=(f"{len(now.members)} checkpoint(s) equal by hash",))
    for then, row in zip(evidence.validated.history, now.history, strict=False):
        for name in ("train_loss", "valid_loss", "valid_score"):
            before, after = getattr(then, name), getattr(row, name)
            if before != after:
                first = f"training: epoch {row.epoch + 1}: {name} was {before!r}, is {after!r}"
                return replace(verdict, passed=False, first=first)
    return replace(verdict, passed=False, first="weights: their hashes differ, though all losses were equal")


@contextmanager
def deterministic() -> Iterator[None]:
    """Inside the block torch takes deterministic algorithms, where it has them."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _in_band(evidence: Evidence, solution: Solution, data_folder: Path, found: Sequence[Difference]) -> Verdict:
    scores = seed_scores(evidence)
    if len(scores) < SEEDS:
        raise UsageError(
            f"--band: a band needs runs of at least {SEEDS} seeds, there are {len(scores)}; make more with "
            f"kk run {evidence.folder / folders.RECIPE} --data {data_folder} --seed N"
        )
    low, high = band_of(list(scores.values()))
    seed = max(scores) + 1
    recipe = solution.recipe.model_copy(update={"seed": seed})
    fresh = resolve(recipe, solution.registry)
    folder, result, _ = run(Request(fresh, data_folder, evidence.manifest.fidelity, "kk reproduce --band"))
    reached = result.score.value
    inside = low <= reached <= high
    first = "" if inside else f"score: {reached:.4f} with seed {seed} lies outside {low:.4f} .. {high:.4f}"
    return Verdict(inside, first, found, evidence.score, reached, (low, high), folder.name,
                   (f"band of {len(scores)} seeds",))  # fmt: skip


def seed_scores(evidence: Evidence) -> dict[int, float]:
    """Validation scores, by seed, of finished runs that differ from a run in nothing but the seed."""
    wanted = {**evidence.manifest.recipe, "seed": None}
    scores = {}
    done = (p.parent for p in evidence.folder.parent.glob(f"*/{folders.MANIFEST}") if folders.is_done(p.parent))
    for folder, manifest in sound(done, read_manifest):
        same = {**manifest.recipe, "seed": None} == wanted
        if same and manifest.data_fingerprint == evidence.manifest.data_fingerprint:
            for _, result in sound([folder], partial(read_result, needed=())):
                if result.validation:
                    scores[manifest.recipe_seed] = result.validation.value
    return dict(sorted(scores.items()))


def band_of(scores: Sequence[float]) -> tuple[float, float]:
    """Where one further seed's score lies with 95% probability: the prediction interval of a normal sample."""
    import statistics

    from scipy.stats import t

    n = len(scores)
    reach = float(t.ppf(0.975, n - 1)) * statistics.stdev(scores) * math.sqrt(1 + 1 / n)
    middle = statistics.mean(scores)
    return middle - reach, middle + reach
