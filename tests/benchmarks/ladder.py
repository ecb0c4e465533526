"""What the ladder of `kk tune` is worth: one search, then every configuration it tried on every rung.

    python tests/benchmarks/ladder.py --data DIR --record FOLDER [-o fidelity.image_size=128] [--trials 16]

Prints how the rungs agree, and what ways to climb find and cost on the same results against training everything on the
last rung: two rungs, no prior, more controls, promise instead of the last score. Needs about as long as
`--trials` full runs. The results are kept in FOLDER; a second call only replays them.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

from kagglekit.cli.common import compose_recipe
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.search import ladder as ladder_module
from kagglekit.search.ladder import Ladder, Plan
from kagglekit.search.local import climb, objective_at
from kagglekit.search.rungs import parse_rungs
from kagglekit.search.space import default_space
from kagglekit.search.stats import agreement
from kagglekit.search.trial_runner import TrialContext
from kagglekit.search.trial_store import Trials
from kagglekit.search.tune import search_of


def main() -> None:
    """Parse, train what is not recorded, replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", default="hair-seg")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fidelity", default="demo")
    parser.add_argument("-o", dest="overrides", action="append", default=[])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rungs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True, help="a folder that keeps the results")
    chosen = parser.parse_args()
    registry = discover()
    recipe, _, _ = compose_recipe(registry, chosen.id, chosen.fidelity, (), (), chosen.overrides, chosen.seed)
    solution = resolve(recipe, registry)
    steps = parse_rungs(chosen.rungs) if chosen.rungs else ()
    space = {key: d for key, d in default_space(solution).items() if key not in chosen.overrides}
    plan = Plan("bench", solution.recipe, space, steps, chosen.trials, seed=chosen.seed)
    plan = search_of(plan, solution, chosen.data).plan  # with the rungs that suit the data
    chosen.record.mkdir(parents=True, exist_ok=True)
    ladder = Ladder(plan, Trials(chosen.record, "bench"))
    objective = objective_at(TrialContext(chosen.data.absolute()))

    def told(task, report):
        outcome = objective(task, report)
        print(f"{task.name}: {outcome.status} {outcome.score} {outcome.seconds} s {outcome.error}", flush=True)
        return outcome

    climb(ladder, told)
    for rung in range(len(steps)):
        for config in ladder.configs:
            key = (rung, config.number, 0)
            if key not in ladder.results:
                ladder.take(key, told(ladder.task(key), lambda row: None))
    report(ladder)


def report(ladder: Ladder) -> None:
    """How rungs agree, and what ways to climb come to on the same results."""
    last = len(ladder.plan.rungs) - 1
    seconds = {key: outcome.seconds for key, outcome in ladder.results.items()}
    full = sum(s for (rung, _, _), s in seconds.items() if rung == last)
    final, work = ladder.scores(last), [rung.work / ladder.plan.rungs[-1].work for rung in ladder.plan.rungs]
    best = max(final.values())
    print(f"rungs {[str(r) for r in ladder.plan.rungs]}, work {work}, best {best:.4f}")
    print("final " + json.dumps(final))
    for rung in range(last):
        low = ladder.scores(rung)
        numbers = list(low)
        found = agreement([low[n] for n in numbers], range(len(numbers)), [final[n] for n in numbers])
        print(f"rung {rung + 1} against the last, all {len(numbers)}: {found}")
    print("way to climb: missed (mean and worst over 20 draws of controls), share of the cost")
    for name, changes in WAYS.items():
        missed, costs = zip(*(replay(ladder, seed, **changes) for seed in range(20)), strict=True)
        print(f"{name:<44} {sum(missed) / 20:.4f} {max(missed):.4f}   {sum(costs) / 20 / full:.3f}")


WAYS = {
    "default (three rungs, prior)": {},
    "no prior": {"prior": False},
    "two rungs, promote 1": {"rungs": (0, -1)},
    "two rungs, promote 2": {"rungs": (0, -1), "promote": 2},
    "two rungs, promote 1, no prior": {"rungs": (0, -1), "prior": False},
    "two rungs, promote 2, no prior": {"rungs": (0, -1), "promote": 2, "prior": False},
    "three rungs, promote 2": {"promote": 2},
    "three rungs, promise of the curve (1)": {"patience": 1.0},
    "three rungs, promise of the curve (3)": {"patience": 3.0},
    "three rungs, no diversity": {"diverse": False},
    "three rungs, promote 2, no diversity": {"promote": 2, "diverse": False},
    "three rungs, two controls in the middle": {"controls": 2},
    "three rungs, no control": {"controls": 0},
}


def replay(ladder: Ladder, seed: int, rungs=(0, 1, -1), patience=0.0, diverse=True, **changes) -> tuple[float, float]:
    """(missed score, seconds) of the real ladder with another plan, on results that are all known.

    `patience`: how much of what a curve's last epoch still gained is added to a score that decides a promotion.
    """
    indices = [range(len(ladder.plan.rungs))[i] for i in rungs]
    plan = replace(ladder.plan, rungs=tuple(ladder.plan.rungs[i] for i in indices), seed=seed, **changes)
    final = ladder.scores(indices[-1])

    def recorded(task, report):
        rung, number, _ = task.key
        outcome = ladder.results[indices[rung], number, 0]
        gain = max(0.0, outcome.curve[-1] - outcome.curve[-2]) if len(outcome.curve) > 1 and not task.last else 0.0
        return replace(outcome, score=outcome.score + patience * gain)

    kinds = ladder_module.kind_of if diverse else str
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(ladder_module, "kind_of", kinds):
        trials = Trials(Path(folder), "replay")
        trials.add_configs(ladder.configs)  # none is proposed anew
        again = Ladder(plan, trials)
        climb(again, recorded)
        trials.close()
        reached = again.scores(len(indices) - 1)
    spent = sum(outcome.seconds for outcome in again.results.values())
    return max(final.values()) - max(final[number] for number in reached), spent


if __name__ == "__main__":
    main()
