"""Find labels to distrust and lay them before a person: a table, a gallery, and a file of decisions to edit."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.clean import decisions
from kagglekit.clean.decisions import Decision, Decisions
from kagglekit.clean.findings import findings_of
from kagglekit.data.fingerprint import fingerprint
from kagglekit.errors import DataError, UsageError
from kagglekit.files import spreadsheet_safe, write_bytes, write_text
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.protocols import Dataset
from kagglekit.recipe import TechniqueSpec, digest
from kagglekit.runs import folder as folders
from kagglekit.types import Finding

CSV, JSON, PAGE, DECISIONS, MASKS = "findings.csv", "findings.json", "findings.html", "decisions.toml", "masks"
COLUMNS = ("sample", "group", "rule", "score", "action", "detail", "related")


@dataclass(frozen=True)
class CleanRequest:
    """A solution whose rules are asked about a data folder; results lie in `out`, else below the runs.

    The gallery shows at most `most` images of each rule.
    """

    solution: Solution
    data: Path
    command: str = ""
    out: Path | None = None
    most: int = 24


def clean(request: CleanRequest) -> tuple[Path, dict[str, Any]]:
    """Write findings and decisions; returns (folder, what `findings.json` holds). The data are only read.

    Decisions that a person made before, in the same folder, are kept as they are; new findings are appended to them.
    Raises KagglekitError.
    """
    from kagglekit.report.clean_page import write_clean_page

    dataset = request.solution.dataset(request.data)
    solution = with_rules(request.solution, dataset)
    data_fingerprint = fingerprint(request.data, dataset.files, folders.cache(), progress.track)
    id = solution.competition.id
    folder = Path(request.out) if request.out else folders.home() / "cleaning" / f"{id}-{data_fingerprint[:8]}"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; name a folder")
    known = earlier(
        folder / DECISIONS, id, dataset, data_fingerprint
    )  # before the rules work: a fault in it is quickly said
    found = findings_of(solution, dataset, data_fingerprint)
    facts = summary(solution, dataset, found, data_fingerprint, request.command)
    groups = {sample.id: sample.group for sample in dataset.train}
    write_text(folder / CSV, table(found, groups))
    write_clean_page(folder / PAGE, dataset, found, facts, request.most, progress.track)
    use = follow(solution, request.data, folder / DECISIONS)
    facts["next"] = use
    write_decisions(
        folder / DECISIONS,
        known,
        Decisions(id, data_fingerprint, made=facts["made"], command=request.command, use=use),
        found,
    )
    folders.write_json(folder / JSON, facts)
    return folder, facts


def with_rules(solution: Solution, dataset: Dataset, cheap: bool = False) -> Solution:
    """The solution itself if its recipe cleans, else with every technique that offers to clean data of this kind.

    A technique offers it by a class method `by_default(dataset)`. `cheap` leaves out those that say
    `trains_networks = True`, whether the recipe has them or not; what a person decided is followed as it is.
    Raises UsageError where none is installed.
    """
    left_out = {s.name for s in solution.recipe.techniques if cheap and _trains(solution.registry.technique(s.name)[1])}
    kept = tuple(s for s in solution.recipe.techniques if s.name not in left_out)
    techniques = [t for t in solution.techniques if t.name not in left_out]
    if any(hasattr(t, "kk_clean") and not getattr(t, "follows_decisions", False) for t in techniques):
        return _changed(solution, kept) if left_out else solution
    offered = [
        name
        for name, (_, kind) in sorted(solution.registry.techniques.items())
        if hasattr(kind, "kk_clean") and hasattr(kind, "by_default") and kind.by_default(dataset)
        if not (cheap and _trains(kind))
    ]
    if not offered:
        raise UsageError(
            "no technique that cleans is in the recipe, and no plugin offers one for these data; add one with --with "
            "(`kk list` shows them)"
        )
    progress.say(f"the recipe has no rules for cleaning; asking {', '.join(offered)}")
    # Before what the recipe has: a person's decisions come last.
    return _changed(solution, (*(TechniqueSpec(name=name) for name in offered), *kept))


def _trains(kind: type) -> bool:
    return getattr(kind, "trains_networks", False)


def _changed(solution: Solution, techniques: tuple[TechniqueSpec, ...]) -> Solution:
    return resolve(solution.recipe.model_copy(update={"techniques": techniques}), solution.registry)


def earlier(path: Path, id: str, dataset: Dataset, data_fingerprint: str) -> Decisions | None:
    """The decisions that a person may have made in the same folder; raises DataError if they do not fit these data."""
    if not path.exists():
        return None
    known = decisions.read(path)
    try:
        decisions.check(known, id, {sample.id for sample in dataset.train}, data_fingerprint)
    except DataError as error:
        raise DataError(f"{error}; they are not overwritten: give another folder with --out") from None
    return known


def summary(
    solution: Solution, dataset: Dataset, found: Sequence[Finding], data_fingerprint: str, command: str
) -> dict[str, Any]:
    """What was found, JSON-like: numbers by rule, findings from the worst down within each, problems of the folder."""
    rules = Counter(one.rule for one in found)
    return {
        "competition": solution.competition.id,
        "title": solution.competition.title,
        "classes": list(solution.competition.classes)[1 if solution.competition.task == "multiclass" else 0 :],
        "task": solution.competition.task,
        "data": data_fingerprint,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command,
        "techniques": [t.name for t in solution.techniques if hasattr(t, "kk_clean")],
        "train": len(dataset.train),
        "distrusted": len({one.sample for one in found if one.action != "keep"}),
        "rules": dict(sorted(rules.items())),
        "findings": [_without_mask(one) for one in by_rule(found)],
        "problems": [{"sample": p.sample, "rule": p.rule, "detail": p.detail} for p in dataset.problems if p.skip],
    }


def _without_mask(one: Finding) -> dict[str, Any]:
    fields = dataclasses.asdict(one)
    return fields | {"mask": mask_file(one.sample) if fields.pop("mask") else ""}


def mask_file(sample: str) -> str:
    """Where a proposed mask lies beside the decisions; ids may hold what file names may not."""
    name = re.sub(r"[^\w.-]", "_", sample)[:60]
    return f"{MASKS}/{name if name == sample else f'{name}-{digest(sample)}'}.png"


def by_rule(found: Sequence[Finding]) -> list[Finding]:
    """The findings, rule by rule, the worst of each first."""
    return sorted(found, key=lambda one: (one.rule, -one.score, one.sample))


def table(found: Sequence[Finding], groups: Mapping[str, str]) -> str:
    """`findings.csv`: one line per finding, related samples joined by spaces."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in by_rule(found):
        row = one.sample, groups.get(one.sample, ""), one.rule, one.score, one.action, one.detail, " ".join(one.related)
        writer.writerow(map(spreadsheet_safe, row))
    return stream.getvalue()


def proposed(found: Sequence[Finding]) -> list[Decision]:
    """One decision per distrusted sample, with all that was found of it: to drop it if any rule says so."""
    reasons: dict[str, list[Finding]] = {}
    for one in found:
        if one.action != "keep":
            reasons.setdefault(one.sample, []).append(one)
    decided = []
    for sample, some in sorted(reasons.items()):
        dropping = any(one.action == "drop" for one in some)
        why = "; ".join(one.detail or one.rule for one in some)
        mask = "" if dropping else mask_file(sample)
        decided.append(Decision(sample, "drop" if dropping else "relabel", some[0].rule, why, mask=mask))
    return decided


def write_masks(folder: Path, decided: Sequence[Decision], found: Sequence[Finding]) -> None:
    """Write the PNG of each mask that is proposed by `decided`; files that are there may have been painted over."""
    masks = {one.sample: one.mask for one in found if one.action == "relabel"}
    for one in decided:
        path = folder / one.mask
        if one.action == "relabel" and not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_bytes(path, base64.b64decode(masks[one.sample]))


def write_decisions(path: Path, known: Decisions | None, fresh: Decisions, found: Sequence[Finding]) -> None:
    """Write proposed decisions, or append those on samples that the file says nothing about yet; masks first."""
    if known is None:
        decided = fresh.extended(proposed(found))
        write_masks(path.parent, decided.decisions, found)
        write_text(path, decided.to_toml())
        return
    more = known.extended(proposed(found)).decisions[len(known.decisions) :]
    if more:
        write_masks(path.parent, more, found)
        # Appended as text: comments and order are a person's too.
        old = path.read_text(encoding="utf-8")
        write_text(path, old.rstrip("\n") + "\n\n" + decisions.tables(more))


def follow(solution: Solution, data: Path, path: Path) -> str:
    """The command that trains with the decisions, "" where no installed technique follows them."""
    import shlex

    techniques = sorted(solution.registry.techniques.items())
    names = [name for name, (_, kind) in techniques if getattr(kind, "follows_decisions", False)]
    id = solution.competition.id
    return (
        f"kk run {id} --data {shlex.quote(str(data))} --with {names[0]}:file={shlex.quote(str(path))}" if names else ""
    )
