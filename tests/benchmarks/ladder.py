"""What the ladder of `kk tune` is worth: one search, then every configuration it tried on every rung.

    python tests/benchmarks/ladder.py --data DIR --record FOLDER [-o fidelity.image_size=128] [--trials 16]

Prints what the search found and cost against training everything on the last rung, and replays other ways to climb on
the same results: two rungs, no prior, more controls, promise instead of the last score. Needs about as long as
`--trials` full runs. The results are kept in FOLDER; a second call only replays them.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from kagglekit.cli.common import compose_recipe
from kagglekit.plugins import discover
from kagglekit.search import rungs as ladders
from kagglekit.search.ladder import Ladder, Plan
from kagglekit.search.local import climb, objective_at
from kagglekit.search.promote import Candidate, kind_of, merit, promote
from kagglekit.search.space import default_space
from kagglekit.search.stats import agreement
from kagglekit.search.trial import Place
from kagglekit.search.trials import Trials
from kagglekit.solution import resolve


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
    steps = ladders.parse_rungs(chosen.rungs) if chosen.rungs else ladders.default_rungs(solution.competition, recipe)
    space = {key: d for key, d in default_space(solution).items() if key not in chosen.overrides}
    plan = Plan("bench", solution.recipe, space, steps, chosen.trials, seed=chosen.seed)
    chosen.record.mkdir(parents=True, exist_ok=True)
    ladder = Ladder(plan, Trials(chosen.record, "bench"))
    objective = objective_at(Place(chosen.data.absolute()))

    def told(task, report):
        outcome = objective(task, report)
        print(f"{task.name}: {outcome.status} {outcome.score} {outcome.seconds} s {outcome.error}", flush=True)
        return outcome

    climb(ladder, told)
    taken = set(ladder.results)
    for rung in range(len(steps)):
        for config in ladder.configs:
            key = (rung, config.number, 0)
            if key not in ladder.results:
                ladder.take(key, told(ladder.task(key), lambda row: None))
    report(ladder, taken)


def report(ladder: Ladder, taken: set) -> None:
    """The search as it was, then other ways to climb on the same results."""
    last = len(ladder.plan.rungs) - 1
    seconds = {key: outcome.seconds for key, outcome in ladder.results.items()}
    full = sum(s for (rung, _, _), s in seconds.items() if rung == last)
    final, work = ladder.scores(last), [rung.work / ladder.plan.rungs[-1].work for rung in ladder.plan.rungs]
    best = max(final.values())
    winner = max((n for r, n, _ in taken if r == last), key=final.get)
    print(f"rungs {[str(r) for r in ladder.plan.rungs]}, work {work}, best {best:.4f}")
    print("final " + json.dumps(final))
    spent = sum(seconds[key] for key in taken)
    print(f"the search: missed {best - final[winner]:.4f} at {spent / full:.3f} of the {full:.0f} s that all take")
    for rung in range(last):
        low = ladder.scores(rung)
        numbers = list(low)
        found = agreement([low[n] for n in numbers], range(len(numbers)), [final[n] for n in numbers])
        print(f"rung {rung + 1} against the last, all {len(numbers)}: {found}")
    print("way to climb: missed (mean and worst over 20 draws of controls), share of the cost")
    for name, changes in WAYS.items():
        missed, costs = zip(*(replay(ladder, seconds, final, seed=s, **changes) for s in range(20)), strict=True)
        print(f"{name:<44} {sum(missed) / 20:.4f} {max(missed):.4f}   {sum(costs) / 20 / full:.3f}")


WAYS = {
    "default (three rungs, prior)": {},
    "no prior": {"prior": False},
    "two rungs, promote 1": {"rungs": (0, -1)},
    "two rungs, promote 2": {"rungs": (0, -1), "count": 2},
    "two rungs, promote 3": {"rungs": (0, -1), "count": 3},
    "two rungs, promote 1, no prior": {"rungs": (0, -1), "prior": False},
    "two rungs, promote 2, no prior": {"rungs": (0, -1), "count": 2, "prior": False},
    "three rungs, promote 2": {"count": 2},
    "three rungs, promote 2, no prior": {"count": 2, "prior": False},
    "three rungs, promise of the curve (1)": {"patience": 1.0},
    "three rungs, promise of the curve (3)": {"patience": 3.0},
    "three rungs, no diversity": {"diverse": False},
    "three rungs, promote 2, no diversity": {"count": 2, "diverse": False},
    "three rungs, one control on each": {"controls": 1},
}


def replay(ladder, seconds, final, seed, rungs=None, count=1, prior=True, patience=0.0, diverse=True, controls=None):
    """(missed score, seconds) of climbing in another way on results that are all known."""
    indices = [range(len(ladder.plan.rungs))[i] for i in rungs] if rungs else list(range(len(ladder.plan.rungs)))
    numbers = [c.number for c in ladder.configs]
    merits = ladders.climbers(len(numbers), count, len(indices))
    plan = replace(ladder.plan, rungs=tuple(ladder.plan.rungs[i] for i in indices), controls=controls)
    spent = 0.0
    for place, rung in enumerate(indices):
        spent += sum(seconds[rung, n, 0] for n in numbers)
        if place == len(indices) - 1:
            break
        scores = {n: s for n, s in ladder.scores(rung).items() if n in numbers}
        candidates = [
            Candidate(n, merit(ladder.results[rung, n, 0].curve, s, 1, patience),
                      kind_of(ladder.configs[n].params) if diverse else str(n))
            for n, s in scores.items()
        ]  # fmt: skip
        always = [0] if prior else []
        numbers = list(promote(candidates, merits[place + 1], plan.random_climbers(place + 1), [seed, place], always))
    return max(final.values()) - max(final[n] for n in numbers if n in final), spent


if __name__ == "__main__":
    main()
