"""Look at a competition's data before any training: gather all facts, ask for suggestions, write page and JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit import progress
from kagglekit.clean.cleaning import with_rules
from kagglekit.data.fingerprint import fingerprint
from kagglekit.data.resize import tiling_of
from kagglekit.data.thumbs import each
from kagglekit.eda import copies, counts, drift, images, labels
from kagglekit.eda.excerpt import Excerpt
from kagglekit.eda.insights import insights
from kagglekit.eda.look import LabelLook, PictureLook, look, look_slide_label, look_window
from kagglekit.eda.suggest import suggestions
from kagglekit.errors import DataError, UsageError
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset
from kagglekit.runs import folder as folders
from kagglekit.types import Draw, Finding, Sample

JSON, PAGE = "eda.json", "eda.html"
MOST = 2000  # pictures of each part whose pixels are looked at
WINDOWS = 48  # of one slide
EXAMPLES = 12  # labelled pictures that are shown
DETAILED = 50  # findings of each rule, groups of copies and leaks that are listed


@dataclass(frozen=True)
class Request:
    """A solution and the data folder to look at; results lie in `out`, else below the runs.

    Pixels of at most `most` pictures of each part are read. `words` are the id (or recipe file) and the options that
    the solution was asked for with; commands that are suggested repeat them.
    """

    solution: Solution
    data: Path
    command: str = ""
    out: Path | None = None
    most: int = MOST
    words: tuple[str, ...] = ()


@dataclass
class Seen:
    """What was looked at: pictures of both parts, labels, and the sums over them."""

    places: labels.Places
    intensities: images.Intensities
    train: list[PictureLook] = field(default_factory=list)
    test: list[PictureLook] = field(default_factory=list)
    labels: list[LabelLook] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)

    def keep(self, kept: list[PictureLook], picture: PictureLook) -> None:
        """Count a picture; its pixels are not kept."""
        self.intensities.add(picture)
        kept.append(picture.without_pixels())

    def keep_label(self, label: LabelLook) -> None:
        """Count a label; its map is not kept."""
        self.places.add(label)
        self.labels.append(label.without_map())


def explore(request: Request) -> tuple[Path, dict[str, Any]]:
    """Write page and JSON about a data folder; returns (folder, what `eda.json` holds). The data are only read.

    Raises KagglekitError; DataError where no picture that was tried can be read.
    """
    from kagglekit.report.eda_page import write_eda_page

    started = time.monotonic()
    solution = request.solution
    dataset = solution.dataset(request.data)
    mark = fingerprint(request.data, dataset.files, folders.cache(), progress.track)
    id = solution.competition.id
    folder = Path(request.out) if request.out else folders.home() / "eda" / f"{id}-{mark[:8]}"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; name a folder")
    train, test = (counts.sampled(part, request.most) for part in (dataset.train, dataset.test))
    seen = see(solution, dataset, train, test, request.most)
    if not seen.train:
        raise DataError(
            f"{request.data}: none of the {len(train)} training pictures that were tried can be read; `kk data check "
            f"{id} {request.data}` says why"
        )
    found, asked = suspicions(solution, dataset, train)
    facts = {
        "competition": id,
        "title": solution.competition.title,
        "task": solution.competition.task,
        "classes": list(solution.competition.classes)[first_class(solution) :],
        "data": mark,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": request.command,
        "recipe": {
            "techniques": [spec.name for spec in solution.recipe.techniques],
            "image_size": solution.recipe.fidelity.image_size,
            "folds": solution.recipe.folds,
        },
        **facts_of(solution, dataset, train, test, seen),
        "findings": told(found, asked),
    }
    facts["stands_out"] = insights(facts)
    facts["suggestions"] = suggestions(solution, dataset, facts, request.data, request.words)
    facts["seconds"] = round(time.monotonic() - started, 1)
    write_eda_page(folder / PAGE, facts, dataset, examples(dataset, seen), found, progress.track)
    folders.write_json(folder / JSON, facts)
    return folder, facts


def first_class(solution: Solution) -> int:
    """The index of the first class that is an object: the background of a label map is none."""
    return 1 if solution.competition.task == "multiclass" else 0


def see(solution: Solution, dataset: Dataset, train: Sequence[Sample], test: Sequence[Sample], most: int) -> Seen:
    """Look at these samples, several at once; of slides at windows that show tissue. Damaged ones are left out."""
    task, classes = solution.competition.task, len(solution.competition.classes)
    seen = Seen(labels.Places(classes - first_class(solution)), images.Intensities(dataset.channels, dataset.depth))
    if dataset.tiling is not None:
        see_slides(solution, dataset, train, test, most, seen)
        return seen
    for part, kept, name in ((train, seen.train, "training"), (test, seen.test, "test")):
        looks = each(part, lambda s: look(dataset, s, task, classes), progress.track, f"looking at {name} pictures")
        for sample, (picture, label) in looks:
            seen.keep(kept, picture)
            seen.draws += [Draw(sample)] if kept is seen.train else []
            if label is not None and kept is seen.train:
                seen.keep_label(label)
    return seen


def see_slides(
    solution: Solution, dataset: Dataset, train: Sequence[Sample], test: Sequence[Sample], most: int, seen: Seen
) -> None:
    """Look at windows of slides, and at the labels of the training slides."""
    task, classes = solution.competition.task, len(solution.competition.classes)
    side = solution.recipe.fidelity.image_size
    for part, kept, name in ((train, seen.train, "training"), (test, seen.test, "test")):
        draws = counts.windows(part, tiling_of(dataset.tiling), side, most, WINDOWS)
        windows = each(draws, lambda d: look_window(dataset, d), progress.track, f"looking at windows of {name} slides")
        for draw, picture in windows:
            if not picture.blank:
                seen.keep(kept, picture)
                seen.draws += [draw] if kept is seen.train else []
    labelled = [s for s in train if s.label is not None]
    found = each(
        labelled, lambda s: look_slide_label(dataset, s, task, classes), progress.track, "looking at the labels"
    )
    for _, label in found:
        seen.keep_label(label)


def facts_of(
    solution: Solution, dataset: Dataset, train: Sequence[Sample], test: Sequence[Sample], seen: Seen
) -> dict[str, Any]:
    """All facts of what was seen, JSON-like."""
    first = first_class(solution)
    names = list(solution.competition.classes)[first:]
    labelled = [s for s in dataset.train if s.label is not None and not s.extra]
    shown = labels.stated(labelled, len(names), first)
    everywhere = shown is not None
    if shown is None:
        shown = labels.presence(seen.labels) if seen.labels else np.zeros((0, len(names)), bool)
    tiled = dataset.tiling is not None
    groups = [one.sample.group or one.sample.id for one in (*seen.train, *seen.test)]
    blank = [look for look in seen.labels if look.share == 0]
    return {
        "counts": counts.counts(dataset),
        "problems": counts.problems(dataset.problems),
        "sampled": {
            "train": len(train),
            "test": len(test),
            "looked_train": len(seen.train),
            "looked_test": len(seen.test),
            "labels": len(seen.labels),
            "with_objects": sum(one.covered > 0 for one in seen.train) / max(1, len(seen.train)),
            "classes_of_all": everywhere,
            "windows": tiled,
        },
        "pictures": {
            "channels": dataset.channels,
            "depth": dataset.depth,
            "tiled": tiled,
            **images.sizes(dataset.train, dataset.test),
        },
        "balance": labels.class_facts(seen.labels, names, shown),
        "together": labels.together(shown),
        "labels_counted": len(shown),
        "empty": len(blank) / len(seen.labels) if seen.labels else 0.0,
        "covered": float(np.mean([look.share for look in seen.labels])) if seen.labels else 0.0,
        "area_bins": list(labels.AREAS),
        "places": seen.places.maps(),
        "intensity": seen.intensities.facts(),
        "groups": counts.groups(dataset.train),
        "copies": None if tiled else shortened(copies.copies(seen.train, seen.test)),
        "drift": drift.drift([one.features for one in seen.train], [one.features for one in seen.test], groups),
    }


def shortened(found: dict[str, Any]) -> dict[str, Any]:
    """The same copies with lists of at most `DETAILED`, and how many there are."""
    counted = {"train_groups": len(found["train"]), "leak_groups": len(found["leaks"])}
    leaked = {"leaked": sum(len(one["test"]) for one in found["leaks"])}
    lists = {key: found[key][:DETAILED] for key in ("train", "leaks")}
    return found | counted | leaked | lists


def suspicions(solution: Solution, dataset: Dataset, train: Sequence[Sample]) -> tuple[list[Finding], list[str]]:
    """(findings, who was asked): rules that train no networks, about the samples that are looked at; none of slides."""
    if dataset.tiling is not None:  # rules look at slides whole, which takes minutes each
        return [], []
    part = dataset if len(train) == len(dataset.train) else Excerpt(dataset, train)
    try:
        rules = with_rules(solution, part, cheap=True)
    except UsageError:
        return [], []  # nobody offers rules: the page says so, and `kk clean` how to get some
    here = {sample.id for sample in train}
    found = [one for one in rules.clean(part) if one.sample in here]
    return found, [t.name for t in rules.techniques if hasattr(t, "kk_clean")]


def told(found: Sequence[Finding], asked: Sequence[str]) -> dict[str, Any]:
    """Findings, JSON-like: who was asked, how many by rule, the worst of each rule."""
    rules = dict(sorted(Counter(one.rule for one in found).items()))
    ordered = sorted(found, key=lambda one: (one.rule, -one.score, one.sample))
    listed: list[Any] = []
    taken: Counter[str] = Counter()
    for one in ordered:
        taken[one.rule] += 1
        if taken[one.rule] <= DETAILED:
            listed.append({"sample": one.sample, "rule": one.rule, "score": one.score, "detail": one.detail})
    samples = {one.sample for one in found if one.action != "keep"}
    return {"asked": list(asked), "rules": rules, "distrusted": len(samples), "worst": listed}


def examples(dataset: Dataset, seen: Seen) -> list[Draw]:
    """Labelled pictures to show, from the smallest label to the largest; of slides windows that show objects."""
    if dataset.tiling is None:
        ordered = sorted((one for one in seen.labels if one.share), key=lambda one: (one.share, one.sample.id))
        return [Draw(one.sample) for one in _spread(ordered)]
    pairs = zip(seen.draws, seen.train, strict=True)
    shown = [(one.covered, number, draw) for number, (draw, one) in enumerate(pairs) if one.covered]
    return [draw for *_, draw in _spread(sorted(shown, key=lambda one: one[:2]))]


def _spread(items: Sequence[Any]) -> Iterator[Any]:
    """At most `EXAMPLES` of them, evenly."""
    count = min(EXAMPLES, len(items))
    return (items[(2 * k + 1) * len(items) // (2 * count)] for k in range(count))
