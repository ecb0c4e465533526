"""Are planted label flaws found, kind by kind, and does a network get better without them?

For each of `--seeds` sample data of hair-seg are drawn (flaws in truth.json), the rules that `kk clean` asks by default
are asked, and what they find is compared with what was planted. With `--train` the demo is trained with and without
what was found, for as many steps (fewer images take more epochs); the paired difference of test scores, whose truth
has no flaws, is given with its 95% interval.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from kagglekit import progress
from kagglekit.clean.cleaning import DECISIONS, CleanRequest, clean
from kagglekit.clean.decisions import read
from kagglekit.cli.common import solution_of
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request as RunRequest
from kagglekit.plugin.registry import discover
from kagglekit.search.stats import paired

COPIES = "near-duplicates"


def draw(root: Path, count: int, seed: int) -> Path:
    """Sample data with planted flaws, drawn now unless they are there."""
    folder = root / f"hair{seed}-{count}"
    if not folder.exists():
        solution_of(discover(), "hair-seg").sample(folder, count, seed, progress.track)
    return folder


def planted(folder: Path) -> dict[str, dict]:
    """What truth.json says of each training image."""
    entries = json.loads((folder / "truth.json").read_text())["annotations"]
    return {entry["file_name"]: entry for entry in entries}


def judge(truth: dict[str, dict], result: dict) -> tuple[Counter, Counter]:
    """(labels, groups): Counters of how many were planted and found by kind, found at all, and found rightly."""
    found = {one["sample"] for one in result["findings"] if one["action"] != "keep" and one["rule"] != COPIES}
    found |= {problem["sample"] for problem in result["problems"]}
    kinds = {name: one["flaw"] for name, one in truth.items() if one["flaw"] not in (None, "duplicate")}
    labels = Counter(found=len(found), right=len(found & kinds.keys()), planted=len(kinds))
    labels.update(f"planted {kind}" for kind in kinds.values())
    labels.update(f"found {kinds[name]}" for name in found & kinds.keys())
    pairs = {frozenset({name, one["of"]}) for name, one in truth.items() if one["flaw"] == "duplicate"}
    copies = [one for one in result["findings"] if one["rule"] == COPIES]
    groups = {frozenset({one["sample"], *one["related"]}) for one in copies}
    return labels, Counter(found=len(groups), right=len(groups & pairs), planted=len(pairs))


def tell(title: str, counts: Counter) -> None:
    """One line of recall and precision, then one for each kind."""
    recall, precision = counts["right"] / max(1, counts["planted"]), counts["right"] / max(1, counts["found"])
    print(
        f"{title}: recall {recall:.3f} ({counts['right']}/{counts['planted']}), precision {precision:.3f} "
        f"({counts['right']}/{counts['found']})",
        flush=True,
    )
    for key in sorted(key for key in counts if key.startswith("planted ")):
        kind = key.removeprefix("planted ")
        print(f"    {kind:<10}{counts[f'found {kind}']}/{counts[key]}")


def as_many_steps(overrides: list[str], path: Path, count: int) -> list[str]:
    """The settings with so many epochs that what the decisions in `path` leave of `count` images is seen as often."""
    dropped = sum(one.action == "drop" for one in read(path).decisions)
    recipe = solution_of(discover(), "hair-seg", "demo", (), (), overrides).recipe
    kept = [one for one in overrides if not one.startswith("fidelity.epochs=")]
    return [*kept, f"fidelity.epochs={round(recipe.fidelity.epochs * count / (count - dropped))}"]


def scores_of(folder: Path, overrides: list[str], seed: int, with_: tuple[str, ...] = ()) -> list[float]:
    """The scores of the test images, one by one, after a training of the demo."""
    solution = solution_of(discover(), "hair-seg", "demo", with_, (), overrides, seed)
    place, result, _ = run(RunRequest(solution, folder, "demo"))
    dataset, metric = solution.dataset(folder), solution.competition.metric
    rows = dataset.submission.read(place / result["submission"]["file"])
    scores = []
    for sample in dataset.test:
        truth = dataset.read_truth(replace(sample, label=dataset.answers[sample.id]))
        mask = dataset.submission.decode(rows[sample.id], sample.truth_size)
        scores.append(metric.reduce(metric.compare(truth, mask)[None]))
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="where sample data and results go")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--with", dest="with_", action="append", default=[], help="rules instead of the default ones")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--trainings", type=int, default=1, help="of each sample, with seeds of their own")
    parser.add_argument("-o", dest="overrides", action="append", default=[], help="settings of the trainings")
    arguments = parser.parse_args()
    labels, groups, ours, theirs = Counter(), Counter(), [], []
    for seed in arguments.seeds:
        folder = draw(arguments.root, arguments.count, seed)
        solution = solution_of(discover(), "hair-seg", "demo", arguments.with_)
        place, result = clean(CleanRequest(solution, folder, out=arguments.root / f"found{seed}-{arguments.count}"))
        for title, total, one in zip(
            ("labels", "near-duplicate groups"), (labels, groups), judge(planted(folder), result), strict=True
        ):
            tell(f"seed {seed}, {title}", one)
            total.update(one)
        if arguments.train:
            follow = (f"decisions:file={place / DECISIONS}",)
            longer = as_many_steps(arguments.overrides, place / DECISIONS, result["train"])
            for again in range(seed, seed + 100 * arguments.trainings, 100):
                ours.append(scores_of(folder, longer, again, follow))
                theirs.append(scores_of(folder, arguments.overrides, again))
                means = f"{np.mean(theirs[-1]):.4f} as it is, {np.mean(ours[-1]):.4f} cleaned"
                print(f"seed {seed}, trained with {again}: test IoU {means}", flush=True)
    tell("all seeds, labels", labels)
    tell("all seeds, near-duplicate groups", groups)
    if arguments.train:
        gain = paired(ours, theirs)
        print(f"cleaning gains {gain.value:+.4f} (95% {gain.low:+.4f} .. {gain.high:+.4f}) in {len(ours)} trainings")


if __name__ == "__main__":
    main()
