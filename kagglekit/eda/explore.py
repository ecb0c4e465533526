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
from kagglekit.eda.suggest import suggestions
from kagglekit.eda.summaries import ImageSummary, LabelSummary, summarize, summarize_slide_label, summarize_window
from kagglekit.errors import DataError, UsageError
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset
from kagglekit.runs import folder as folders
from kagglekit.types import Draw, Finding, Sample

JSON, PAGE = "eda.json", "eda.html"
MOST = 2000  # images of each part whose pixels are looked at
WINDOWS = 48  # of one slide
EXAMPLES = 12  # labelled images that are shown
DETAILED = 50  # findings of each rule, groups of copies and leaks that are listed


@dataclass(frozen=True)
class ExploreRequest:
    """A solution and the data folder to look at; results lie in `out`, else below the runs.

    Pixels of at most `most` images of each part are read. `words` are the id (or recipe file) and the options that
    the solution was asked for with; commands that are suggested repeat them.
    """

    solution: Solution
    data: Path
    command: str = ""
    out: Path | None = None
    most: int = MOST
    words: tuple[str, ...] = ()


@dataclass
class Summaries:
    """What was looked at: images of both parts, labels, and the sums over them."""

    maps: labels.LabelMaps
    intensities: images.Intensities
    train: list[ImageSummary] = field(default_factory=list)
    test: list[ImageSummary] = field(default_factory=list)
    labels: list[LabelSummary] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)

    def keep(self, kept: list[ImageSummary], image: ImageSummary) -> None:
        """Count an image; its pixels are not kept."""
        self.intensities.add(image)
        kept.append(image.without_pixels())

    def keep_label(self, label: LabelSummary) -> None:
        """Count a label; its map is not kept."""
        self.maps.add(label)
        self.labels.append(label.without_map())


def explore(request: ExploreRequest) -> tuple[Path, dict[str, Any]]:
    """Write page and JSON about a data folder; returns (folder, what `eda.json` holds). The data are only read.

    Raises KagglekitError; DataError where no image that was tried can be read.
    """
    from kagglekit.report.eda_page import write_eda_page

    started = time.monotonic()
    solution = request.solution
    dataset = solution.dataset(request.data)
    data_fingerprint = fingerprint(request.data, dataset.files, folders.cache(), progress.track)
    id = solution.competition.id
    folder = Path(request.out) if request.out else folders.home() / "eda" / f"{id}-{data_fingerprint[:8]}"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; name a folder")
    train, test = (counts.sampled(part, request.most) for part in (dataset.train, dataset.test))
    summaries = see(solution, dataset, train, test, request.most)
    if not summaries.train:
        raise DataError(
            f"{request.data}: none of the {len(train)} training images that were tried can be read; `kk data check "
            f"{id} {request.data}` says why"
        )
    found, asked = suspicions(solution, dataset, train)
    facts = {
        "competition": id,
        "title": solution.competition.title,
        "task": solution.competition.task,
        "classes": list(solution.competition.classes)[first_class(solution) :],
        "data": data_fingerprint,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": request.command,
        "recipe": {
            "techniques": [spec.name for spec in solution.recipe.techniques],
            "image_size": solution.recipe.fidelity.image_size,
            "folds": solution.recipe.folds,
        },
        **facts_of(solution, dataset, train, test, summaries),
        "findings": finding_facts(found, asked),
    }
    facts["stands_out"] = insights(facts)
    facts["suggestions"] = suggestions(solution, dataset, facts, request.data, request.words)
    facts["seconds"] = round(time.monotonic() - started, 1)
    write_eda_page(folder / PAGE, facts, dataset, examples(dataset, summaries), found, progress.track)
    folders.write_json(folder / JSON, facts)
    return folder, facts


def first_class(solution: Solution) -> int:
    """The index of the first class that is an object: the background of a label map is none."""
    return 1 if solution.competition.task == "multiclass" else 0


def see(solution: Solution, dataset: Dataset, train: Sequence[Sample], test: Sequence[Sample], most: int) -> Summaries:
    """Look at these samples, several at once; of slides at windows that show tissue. Damaged ones are left out."""
    task, classes = solution.competition.task, len(solution.competition.classes)
    summaries = Summaries(
        labels.LabelMaps(classes - first_class(solution)), images.Intensities(dataset.channels, dataset.depth)
    )
    if dataset.tiling is not None:
        see_slides(solution, dataset, train, test, most, summaries)
        return summaries
    for part, kept, name in ((train, summaries.train, "training"), (test, summaries.test, "test")):
        found_summaries = each(
            part, lambda s: summarize(dataset, s, task, classes), progress.track, f"looking at {name} images"
        )
        for sample, (image, label) in found_summaries:
            summaries.keep(kept, image)
            summaries.draws += [Draw(sample)] if kept is summaries.train else []
            if label is not None and kept is summaries.train:
                summaries.keep_label(label)
    return summaries


def see_slides(
    solution: Solution,
    dataset: Dataset,
    train: Sequence[Sample],
    test: Sequence[Sample],
    most: int,
    summaries: Summaries,
) -> None:
    """Look at windows of slides, and at the labels of the training slides."""
    task, classes = solution.competition.task, len(solution.competition.classes)
    side = solution.recipe.fidelity.image_size
    for part, kept, name in ((train, summaries.train, "training"), (test, summaries.test, "test")):
        draws = counts.windows(part, tiling_of(dataset.tiling), side, most, WINDOWS)
        windows = each(
            draws, lambda d: summarize_window(dataset, d), progress.track, f"looking at windows of {name} slides"
        )
        for draw, image in windows:
            if not image.blank:
                summaries.keep(kept, image)
                summaries.draws += [draw] if kept is summaries.train else []
    labelled = [s for s in train if s.label is not None]
    found = each(
        labelled, lambda s: summarize_slide_label(dataset, s, task, classes), progress.track, "looking at the labels"
    )
    for _, label in found:
        summaries.keep_label(label)


def facts_of(
    solution: Solution, dataset: Dataset, train: Sequence[Sample], test: Sequence[Sample], summaries: Summaries
) -> dict[str, Any]:
    """All facts of what was seen, JSON-like."""
    first = first_class(solution)
    names = list(solution.competition.classes)[first:]
    labelled = [s for s in dataset.train if s.label is not None and not s.extra]
    shown = labels.stated(labelled, len(names), first)
    everywhere = shown is not None
    if shown is None:
        shown = labels.presence(summaries.labels) if summaries.labels else np.zeros((0, len(names)), bool)
    tiled = dataset.tiling is not None
    groups = [one.sample.group or one.sample.id for one in (*summaries.train, *summaries.test)]
    blank = [summarize for summarize in summaries.labels if summarize.share == 0]
    return {
        "counts": counts.counts(dataset),
        "problems": counts.problems(dataset.problems),
        "sampled": {
            "train": len(train),
            "test": len(test),
            "looked_train": len(summaries.train),
            "looked_test": len(summaries.test),
            "labels": len(summaries.labels),
            "with_objects": sum(one.covered > 0 for one in summaries.train) / max(1, len(summaries.train)),
            "classes_of_all": everywhere,
            "windows": tiled,
        },
        "pictures": {
            "channels": dataset.channels,
            "depth": dataset.depth,
            "tiled": tiled,
            **images.sizes(dataset.train, dataset.test),
        },
        "balance": labels.class_facts(summaries.labels, names, shown),
        "together": labels.together(shown),
        "labels_counted": len(shown),
        "empty": len(blank) / len(summaries.labels) if summaries.labels else 0.0,
        "covered": float(np.mean([summarize.share for summarize in summaries.labels])) if summaries.labels else 0.0,
        "area_bins": list(labels.AREAS),
        "places": summaries.maps.maps(),
        "intensity": summaries.intensities.facts(),
        "groups": counts.groups(dataset.train),
        "copies": None if tiled else shortened(copies.copies(summaries.train, summaries.test)),
        "drift": drift.drift(
            [one.features for one in summaries.train], [one.features for one in summaries.test], groups
        ),
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


def finding_facts(found: Sequence[Finding], asked: Sequence[str]) -> dict[str, Any]:
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


def examples(dataset: Dataset, summaries: Summaries) -> list[Draw]:
    """Labelled images to show, from the smallest label to the largest; of slides windows that show objects."""
    if dataset.tiling is None:
        ordered = sorted((one for one in summaries.labels if one.share), key=lambda one: (one.share, one.sample.id))
        return [Draw(one.sample) for one in _spread(ordered)]
    pairs = zip(summaries.draws, summaries.train, strict=True)
    shown = [(one.covered, number, draw) for number, (draw, one) in enumerate(pairs) if one.covered]
    return [draw for *_, draw in _spread(sorted(shown, key=lambda one: one[:2]))]


def _spread(items: Sequence[Any]) -> Iterator[Any]:
    """At most `EXAMPLES` of them, evenly."""
    count = min(EXAMPLES, len(items))
    return (items[(2 * k + 1) * len(items) // (2 * count)] for k in range(count))
