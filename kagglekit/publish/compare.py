"""Two finished runs side by side, or a run and a published solution: what differs, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.competition import Competition, Published
from kagglekit.errors import KagglekitError, RunError, UsageError
from kagglekit.metrics import FEW
from kagglekit.plugin.registry import Registry
from kagglekit.protocols import Dataset
from kagglekit.publish.reproduce import read_evidence, unlike
from kagglekit.publish.solutions import measured, named, recipe_of
from kagglekit.runs import folder as folders
from kagglekit.runs.bundle import inside
from kagglekit.search.stats import paired

SHOWN = 8  # images that are named
PAGES = "comparisons"  # the folder of pages, below the runs


def compare(a: Path, b: Path) -> dict[str, Any]:
    """JSON-like: differences of the recipes, and of the scores on the images that both held out; B minus A.

    Raises RunError for unfinished runs, UsageError for runs of different competitions.
    """
    ours, theirs = read_evidence(a), read_evidence(b)
    ids = [evidence.manifest.competition for evidence in (ours, theirs)]
    if ids[0] != ids[1]:
        raise UsageError(f"{a.name} is a run of {ids[0]}, {b.name} of {ids[1]}; compare runs of one competition")
    images = [dict(zip(c.validated.images, c.validated.scores, strict=True)) for c in (ours, theirs)]
    common = [name for name in images[0] if name in images[1]]
    gaps = {name: images[1][name] - images[0][name] for name in common}
    difference = _difference(images, common)
    return {
        "runs": [a.name, b.name],
        "competition": ids[0],
        "metric": ours.result.metric,
        "greater_is_better": ours.greater_is_better,
        "recipe": unlike(ours.manifest.recipe, theirs.manifest.recipe),
        "same_data": ours.manifest.data_fingerprint == theirs.manifest.data_fingerprint,
        "same_code": ours.manifest.code == theirs.manifest.code,
        "scores": {
            "validation": [evidence.score for evidence in (ours, theirs)],
            "test": [evidence.result.test.value if evidence.result.test else None for evidence in (ours, theirs)],
        },
        "seconds": [evidence.result.seconds.spent for evidence in (ours, theirs)],
        "common": len(common),
        "difference": difference,
        "verdict": _verdict(difference, len(common), ours.greater_is_better, [a.name, b.name]),
        "most": [
            {"picture": name, "scores": [images[0][name], images[1][name]]}
            for name in sorted(gaps, key=lambda name: -abs(gaps[name]))[:SHOWN]
            if gaps[name]
        ],
    }


Submissions = Callable[[], tuple[Dataset, tuple[Path, Path]]]


def submissions_of(registry: Registry, a: Path, b: Path, found: dict[str, Any]) -> Submissions:
    """What opens the data of both runs and names their submissions, once, when it is first called."""

    @cache
    def opened() -> tuple[Dataset, tuple[Path, Path]]:
        from kagglekit.plugin.solution import resolve
        from kagglekit.recipe import validate

        if not found["same_data"]:
            raise UsageError("the runs were made of other data")
        first, second = read_evidence(a), read_evidence(b)
        one, other = (inside(evidence.folder, evidence.result.submission.file) for evidence in (first, second))
        return resolve(validate(first.manifest.recipe), registry).dataset(Path(first.manifest.data)), (one, other)

    return opened


def on_test(registry: Registry, found: dict[str, Any], opened: Submissions) -> dict[str, Any]:
    """JSON-like: what `compare` says of the images held out, of the test images whose truth is known.

    Scores are read from the rows of both submissions, whatever folds and seeds they come from. Raises RunError where
    they cannot be, whatever the reason.
    """
    from kagglekit.predict.submission import compare_file

    try:
        metric = registry.competition(found["competition"])[1].metric
        dataset, files = opened()
        counts = [compare_file(path, dataset, metric, progress.track) for path in files]
    except Exception as error:
        raise RunError(f"test part not compared: {_reason(error)}") from error
    images = [{name: metric.reduce(one[None]) for name, one in some.items()} for some in counts]
    difference = _difference(images, list(images[0]))
    verdict = _verdict(difference, len(images[0]), metric.greater_is_better, found["runs"])
    return {"common": len(images[0]), "difference": difference, "verdict": verdict}


def _difference(images: list[dict[str, float]], common: list[str]) -> dict[str, float] | None:
    """The mean difference over the common images with its 95% interval; None for fewer than two."""
    if len(common) < 2:
        return None
    a, b = ([part[name] for name in common] for part in images)
    return vars(paired([b], [a]))


def _verdict(gap: dict[str, float] | None, common: int, greater_is_better: bool, names: list[str]) -> str:
    """Which of the two is better, if the interval allows to say so; "" where nothing can be compared."""
    if gap is None:
        return ""
    if common < FEW:
        return "too few images to tell"
    better = gap["value"] > 0 if greater_is_better else gap["value"] < 0
    return f"{names[better]} is better" if gap["low"] > 0 or gap["high"] < 0 else "within noise"


def write_page(registry: Registry, found: dict[str, Any], opened: Submissions) -> Path:
    """The page of what `compare` found, below the runs, with the test images on which the submissions differ most.

    Raises RunError where there can be no page, whatever the reason: the numbers of a comparison stand without it.
    """
    try:
        return _write_page(registry, found, opened)
    except Exception as error:
        raise RunError(f"no page: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The sentence of an error of ours or of the disk; others, as plugins raise them, with their kind."""
    return str(error) if isinstance(error, KagglekitError | OSError) else f"{type(error).__name__}: {error}"


def _write_page(registry: Registry, found: dict[str, Any], opened: Submissions) -> Path:
    from kagglekit.report.compare_page import write_compare_page
    from kagglekit.report.disagreements import disagreements

    _, competition = registry.competition(found["competition"])
    images, reason = [], ""
    try:
        dataset, files = opened()
        images = disagreements(dataset, competition.metric, files, SHOWN, progress.track)
    except Exception as error:  # numbers need no images: the page says why there are none
        reason = f"No images: {_reason(error)}"
        progress.say(reason)
    classes = competition.classes[1 if competition.task == "multiclass" else 0 :]
    target = folders.home() / PAGES / "-".join(found["runs"]) / "report.html"
    return write_compare_page(target, found, images, classes, reason)


def beside(registry: Registry, run: Path, competition: Competition, published: Published) -> dict[str, Any]:
    """JSON-like: a run and a published solution; the recipes differ from the one that stands for the solution here.

    Raises RunError for an unfinished run, UsageError for one of another competition.
    """
    evidence = read_evidence(run)
    if evidence.manifest.competition != competition.id:
        raise UsageError(
            f"{run.name} is a run of {evidence.manifest.competition}, {published.name} a solution of {competition.id}; "
            "compare within one competition"
        )
    differences = None
    if published.preset:
        differences = unlike(evidence.manifest.recipe, recipe_of(registry, competition, published.preset))
        differences.pop("seed", None)
    return {
        "run": run.name,
        "competition": competition.id,
        "solution": f"{competition.id}/{published.name}",
        "by": published.by,
        "url": published.url,
        "metric": evidence.result.metric,
        "published_metric": published.metric,
        "published": dict(published.scores),
        "measured": measured(competition, run, evidence.manifest, evidence.result),
        "preset": published.preset,
        "recipe": differences,
        "differs": list(published.differs),
        "note": published.note,
        "same_test_set": False,  # the host's truth is not public: no local score is on it
    }


def targets(registry: Registry, names: tuple[str, ...]) -> tuple[list[Path], tuple[Competition, Published] | None]:
    """The runs that two names mean, and the published solution that one of them may mean; raises UsageError."""
    solutions = [named(registry, name) for name in names] if len(names) == 2 else []
    if solutions and all(solutions):
        raise UsageError("both are published solutions; compare a run with one (`kk runs` lists runs)")
    if not any(solutions):
        return runs_of(names), None
    [run] = [name for name, found in zip(names, solutions, strict=True) if not found]
    return [folders.find(run)], next(found for found in solutions if found)


def runs_of(names: tuple[str, ...]) -> list[Path]:
    """The folders of two runs by their names; raises UsageError."""
    found = [folders.find(name) for name in names] if len(names) == 2 else []
    if len({path.resolve() for path in found}) != 2:
        raise UsageError(
            "kk compare takes two different runs (`kk runs` lists them), or a run and a published solution "
            "(`kk solutions` lists them)"
        )
    return found
