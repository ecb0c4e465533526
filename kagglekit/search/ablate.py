"""An ablation from its plan to its page: one folder below the runs, which is all that a resume needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from kagglekit import progress
from kagglekit.data.fingerprint import fingerprint
from kagglekit.errors import UsageError
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset, Metric
from kagglekit.recipe import digest
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import code_version, hardware
from kagglekit.runs.record import stamped
from kagglekit.runs.search_record import AblationAsked, AblationResult, read_ablation_plan
from kagglekit.search.ablation_plan import AblationPlan, Axis, Study, runnable
from kagglekit.search.effects import Comparison, Scores, interaction, left_out
from kagglekit.search.storage import RESULT
from kagglekit.search.trial_runner import TrialContext
from kagglekit.search.trial_store import Key, Outcome, Trials
from kagglekit.search.tune import alone

ABLATION = "ablation.json"  # what was asked, below the folder of an ablation
Executor = Callable[[Study, TrialContext], None]


@dataclass(frozen=True)
class Ablation:
    """A named plan on data that are indexed; `mark` is their fingerprint."""

    plan: AblationPlan
    solution: Solution
    data: Path
    dataset: Dataset
    data_fingerprint: str
    command: str = ""

    @property
    def folder(self) -> Path:
        """Where the ablation lies."""
        return folders.home() / "ablations" / self.plan.name


def ablation_of(plan: AblationPlan, solution: Solution, data: Path, command: str = "", named: bool = False) -> Ablation:
    """An ablation on the data folder `data`; without a name of its own it has one that equal ablations share.

    `named`: somebody asked for just these techniques (see `runnable`).
    """
    dataset = solution.dataset(data)
    plan = runnable(plan, solution, dataset, named)
    data_fingerprint = fingerprint(data, dataset.files, folders.cache(), progress.track)
    name = plan.name or f"{plan.recipe.competition}-{digest([_fixed(plan), data_fingerprint])[:6]}"
    return Ablation(replace(plan, name=name), solution, data, dataset, data_fingerprint, command)


def _fixed(plan: AblationPlan) -> dict[str, Any]:
    """What may not differ when an ablation goes on; more seeds and pairs may be asked for later."""
    return {"recipe": plan.recipe.model_dump(mode="json"), "axes": [asdict(axis) for axis in plan.axes]}


def ablate(ablation: Ablation, execute: Executor) -> AblationResult:
    """Run the ablation, or go on with it; returns its result. Raises KagglekitError."""
    started, folder, plan = time.time(), ablation.folder, ablation.plan
    code = code_version(ablation.solution)
    with alone(folder, ABLATION):
        _claim(ablation)
        # A training is recorded by its number among those of the plan: another set of variants is another record.
        variants = sorted(plan.variants().values())
        trials = Trials(folder, digest([code, ablation.data_fingerprint, _fixed(plan), variants]))
        try:
            study = Study(plan, trials)
            if trials.stale():
                progress.say(
                    f"code or variants have changed since: {len(trials.stale())} record(s) no longer count; networks "
                    "that this code trained are known all the same"
                )
            elif study.results:
                progress.say(f"ablation {plan.name}: going on after {len(study.results)} training(s)")
            try:
                execute(study, TrialContext(ablation.data.absolute(), ablation.command))
            except KeyboardInterrupt:
                progress.say(f"ablation {plan.name} was interrupted; the same command goes on with it")
                raise
            return conclude(ablation, study, time.time() - started)
        finally:
            trials.close()


def _claim(ablation: Ablation) -> None:
    """Write what the ablation is; UsageError where another one lies there."""
    path = ablation.folder / ABLATION
    content = AblationAsked(
        name=ablation.plan.name, data=ablation.data_fingerprint, **digestible(_fixed(ablation.plan))
    )
    if path.exists():
        before = read_ablation_plan(path)
        names = ("name", "data", "recipe", "axes")
        if other := [name for name in names if getattr(before, name) != getattr(content, name)]:
            raise UsageError(
                f"ablation {ablation.plan.name} exists and is another one, with other {' and '.join(other)}; "
                "choose another --name"
            )
    stamped(path, content)


def digestible(value: Any) -> Any:
    """A value as it comes back from JSON."""
    if isinstance(value, dict):
        return {key: digestible(item) for key, item in value.items()}
    return [digestible(item) for item in value] if isinstance(value, (list, tuple)) else value


def conclude(ablation: Ablation, study: Study, seconds: float) -> AblationResult:
    """Write result and page; returns the result."""
    from kagglekit.report.ablation_page import write_ablation_page

    competition, folder = ablation.solution.competition, ablation.folder
    found = {
        "name": study.plan.name,
        "competition": competition.id,
        "title": competition.title,
        "metric": competition.metric.name,
        "greater_is_better": competition.metric.greater_is_better,
        "command": ablation.command,
        "data": str(ablation.data),
        "clock_seconds": round(seconds, 1),
        "hardware": hardware(),
        "recipe": study.plan.recipe.model_dump(mode="json"),
        **summarize(study, competition.metric),
    }
    result = msgspec.convert(found, AblationResult)
    write_ablation_page(folder, result)
    return stamped(folder / RESULT, result)


def summarize(study: Study, metric: Metric) -> dict[str, Any]:
    """Everything that page, table and `--json` show. Differences count upwards: positive is better."""
    plan, outcomes = study.plan, study.trials.all()
    whole = whole_seeds(study, outcomes)
    failed = [
        {"variant": study.configs[number].origin, "seed": seed, "error": outcome.error}
        for (_, number, seed), outcome in outcomes.items()
        if outcome.status != "done"
    ]
    known = {"failed": failed, "seeds": len(whole), "seeds_asked": plan.seeds, "cost": _cost(outcomes)}
    if not whole:
        return {**known, "effects": [], "interactions": [], "variants": [], "pictures": 0}
    scores = Scores(metric, [counts_of(study, outcomes, seed) for seed in whole])
    return {
        **known,
        "effects": effects(plan, scores, study, outcomes, whole),
        "interactions": interactions(plan, scores),
        "variants": _variants(plan, metric, scores, outcomes, whole, study),
        "pictures": len(next(iter(_verdicts(study, outcomes, whole[0]).values()))["pictures"]),
    }


def whole_seeds(study: Study, outcomes: dict[Key, Outcome]) -> list[int]:
    """Seeds of which every variant was judged; the others cannot be compared."""
    jobs = range(len(study.configs))
    return [
        seed
        for seed in range(study.plan.seeds)
        if all((o := outcomes.get((0, n, seed))) is not None and o.status == "done" for n in jobs)
    ]


def _verdicts(study: Study, outcomes: dict[Key, Outcome], seed: int) -> dict[str, dict]:
    return {
        name: verdict
        for number in range(len(study.configs))
        for name, verdict in outcomes[0, number, seed].variants.items()
    }


def counts_of(study: Study, outcomes: dict[Key, Outcome], seed: int) -> dict[str, Any]:
    """The metric's counts of every variant of a seed, images in one order."""
    import numpy as np

    found = {}
    for name, verdict in _verdicts(study, outcomes, seed).items():
        order = np.argsort(np.array(verdict["pictures"]), kind="stable")
        found[name] = np.array(verdict["counts"], np.int64)[order]
    return found


def effects(
    plan: AblationPlan, scores: Scores, study: Study, outcomes: dict[Key, Outcome], seeds: list[int]
) -> list[dict[str, Any]]:
    """What each axis is worth, left out of all and added to none, and what it costs."""
    names, everything = plan.variants(), plan.everything
    found: dict[str, dict[str, Comparison]] = {}
    for axis in plan.axes:
        ways = {"left_out": left_out(names[everything], names[everything - {axis.name}])}
        if plan.alone:
            ways["alone"] = left_out(names[frozenset({axis.name})], names[frozenset()])
        found[axis.name] = ways
    spreads = {
        after: scores.spread([c for axis in plan.axes if axis.after == after for c in found[axis.name].values()])
        for after in {axis.after for axis in plan.axes}
    }
    return [
        {
            "axis": axis.name,
            "techniques": list(axis.techniques),
            "after": axis.after,
            **{way: scores.effect(c, spreads[axis.after]).as_dict() for way, c in found[axis.name].items()},
            "cost": _cost_of(plan, axis, study, outcomes, seeds),
        }
        for axis in plan.axes
    ]


def interactions(plan: AblationPlan, scores: Scores) -> list[dict[str, Any]]:
    """What pairs of axes add beyond what each adds, where the plan asks for it."""
    names, everything = plan.variants(), plan.everything
    if not plan.pairs:
        return []
    pairs = {
        (a.name, b.name): interaction(
            names[everything],
            names[everything - {a.name}],
            names[everything - {b.name}],
            names[everything - {a.name, b.name}],
        )
        for a, b in combinations(plan.axes, 2)
    }
    spread = scores.spread(list(pairs.values()))
    return [{"axes": list(pair), **scores.effect(c, spread).as_dict()} for pair, c in pairs.items()]


def _cost_of(
    plan: AblationPlan, axis: Axis, study: Study, outcomes: dict[Key, Outcome], seeds: list[int]
) -> dict[str, float]:
    """Seconds that an axis adds to a training, and to each image that is predicted; means over seeds."""
    names, everything = plan.variants(), plan.everything
    job_of = {names[on]: number for number, job in enumerate(plan.jobs()) for on in job}
    with_, without = names[everything], names[everything - {axis.name}]
    trained, predicted = [], []
    for seed in seeds:
        both = [outcomes[0, job_of[name], seed] for name in (with_, without)]
        trained.append(both[0].train - both[1].train)
        predicted.append(both[0].variants[with_]["picture_seconds"] - both[1].variants[without]["picture_seconds"])
    return {"train": 0.0 if axis.after else sum(trained) / len(seeds), "picture": sum(predicted) / len(seeds)}


def _variants(
    plan: AblationPlan, metric: Metric, scores: Scores, outcomes: dict[Key, Outcome], seeds: list[int], study: Study
) -> list[dict[str, Any]]:
    sign = 1 if metric.greater_is_better else -1
    return [
        {
            "name": name,
            "on": sorted(on),
            "score": sign * sum(one[name] for one in scores.point) / len(scores.point),
            "seeds": [sign * one[name] for one in scores.point],
            "passes": _verdicts(study, outcomes, seeds[0])[name]["passes"],
            "picture_seconds": _verdicts(study, outcomes, seeds[0])[name]["picture_seconds"],
        }
        for on, name in plan.variants().items()
    ]


def _cost(outcomes: dict[Key, Outcome]) -> dict[str, Any]:
    """Seconds of devices: trainings (with their own validation), and judging what acts after them."""
    done = [outcome for outcome in outcomes.values() if outcome.status == "done"]
    trained = sum(outcome.seconds for outcome in done)
    after = sum(outcome.after for outcome in done)
    return {
        "trainings": len(done),
        "shared": sum(outcome.shared for outcome in done),
        "seconds": trained + after,
        "train_seconds": trained,
        "after_seconds": after,
        "after_share": after / trained if trained else None,
    }
