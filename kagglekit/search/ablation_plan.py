"""What each technique is worth: which variants of a recipe run, and what is left to do. No training, no clock.

All techniques on, each left out, none, each alone: the same folds and seeds throughout. Variants that differ only in
what follows training share one network, which is trained once per seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from kagglekit import progress
from kagglekit.errors import KagglekitError, UsageError, did_you_mean
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.protocols import Dataset
from kagglekit.recipe import Recipe
from kagglekit.runs.identity import acts_after_training
from kagglekit.search.ladder import Task
from kagglekit.search.propose import Config
from kagglekit.search.rungs import Rung
from kagglekit.search.trial_store import Key, Outcome, Trials

On = frozenset[str]


@dataclass(frozen=True)
class Axis:
    """One or more techniques that are switched together; `after`: they change nothing of what is trained.

    `waits`: they train networks of their own before, once for all trainings, which wait for that.
    """

    name: str
    techniques: tuple[str, ...]
    after: bool
    waits: bool = False


@dataclass(frozen=True)
class AblationPlan:
    """Everything that decides what an ablation does, apart from the data and the code."""

    name: str
    recipe: Recipe
    axes: tuple[Axis, ...]
    seeds: int = 3
    pairs: bool = False
    alone: bool = True  # each technique alone too, not only left out
    greater_is_better: bool = True

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The one fidelity, as searches have several."""
        step = self.recipe.fidelity
        return (Rung(step.image_size, step.fraction, step.epochs),)

    @property
    def everything(self) -> On:
        """The variant with all techniques on."""
        return frozenset(axis.name for axis in self.axes)

    def variants(self) -> dict[On, str]:
        """All variants, by the axes that are on, with what people call them."""
        names = [axis.name for axis in self.axes]
        found: dict[On, str] = {self.everything: "everything"}
        for name in names:
            found.setdefault(self.everything - {name}, f"without {name}")
        for a, b in combinations(names, 2) if self.pairs else ():
            found.setdefault(self.everything - {a, b}, f"without {a} and {b}")
        if self.alone:
            found.setdefault(frozenset(), "nothing")
            for name in names:
                found.setdefault(frozenset({name}), f"only {name}")
        return found

    def recipe_of(self, on: On) -> dict[str, Any]:
        """The recipe of a variant."""
        off = {technique for axis in self.axes if axis.name not in on for technique in axis.techniques}
        kept = tuple(spec for spec in self.recipe.techniques if spec.name not in off)
        return self.recipe.model_copy(update={"techniques": kept}).model_dump(mode="json")

    def jobs(self) -> list[list[On]]:
        """Variants that share a network, the first of each is what it is trained as."""
        before = {axis.name for axis in self.axes if not axis.after}
        jobs: dict[On, list[On]] = {}
        for on in self.variants():
            jobs.setdefault(on & before, []).append(on)
        return list(jobs.values())


def axes_of(solution: Solution, wanted: Sequence[str]) -> tuple[Axis, ...]:
    """The axes named like `TECHNIQUE` or `NAME=TECHNIQUE+TECHNIQUE`, all of the recipe's if none is; UsageError."""
    held = {technique.name: technique for technique in solution.techniques}
    if not held:
        raise UsageError(f"{solution.competition.id}: the recipe holds no technique to measure; add some with --with")
    axes = []
    for text in wanted or held:
        name, equals, parts = text.partition("=")
        members = tuple(part.strip() for part in (parts if equals else name).split("+"))
        for one in members:
            if one not in held:
                raise UsageError(
                    f"--technique {text}: the recipe does not hold {one or 'a technique without a name'}"
                    f"{did_you_mean(one, held)}; add it with --with"
                )
        after = all(acts_after_training(held[one]) for one in members)
        waits = any(getattr(held[one], "trains_networks", False) for one in members)
        axes.append(Axis(name.strip(), members, after, waits))
    named = [axis.name for axis in axes]
    taken = [one for axis in axes for one in axis.techniques]
    for what in (named, taken):
        if twice := [one for one in what if what.count(one) > 1]:
            raise UsageError(f"--technique: {twice[0]} is named twice")
    return tuple(axes)


def runnable(plan: AblationPlan, solution: Solution, dataset: Dataset, named: bool) -> AblationPlan:
    """The plan without axes that the recipe cannot do without, found before anything is trained.

    Raises UsageError where such an axis was `named`, or none is left. Where the recipe does not run with no technique
    at all, each alone is left out.
    """

    def fault(on: On) -> str:
        try:
            resolve(Recipe.model_validate(plan.recipe_of(on)), solution.registry).check(dataset)
        except KagglekitError as error:
            return str(error)
        return ""

    faults = {axis.name: fault(plan.everything - {axis.name}) for axis in plan.axes}
    needed = [name for name, said in faults.items() if said]
    if needed and (named or len(needed) == len(plan.axes)):
        raise UsageError(f"--technique {needed[0]}: the recipe does not run without it: {faults[needed[0]]}")
    for name in needed:
        progress.say(f"{name} stays on in every variant, the recipe does not run without it: {faults[name]}")
    plan = replace(plan, axes=tuple(axis for axis in plan.axes if axis.name not in needed))
    if plan.alone and (said := fault(frozenset())):
        progress.say(
            f"techniques are left out, not added each alone: the recipe does not run with none of them: {said}"
        )
        return replace(plan, alone=False)
    return plan


@dataclass
class Study:
    """The state of an ablation, for the executors of searches: `next` gives tasks, `take` records how they ended."""

    plan: AblationPlan
    trials: Trials
    results: dict[Key, Outcome] = field(init=False)
    configs: list[Config] = field(init=False)
    queue: deque[Key] = field(init=False)
    running: set[Key] = field(default_factory=set, init=False)

    def __post_init__(self):
        jobs, names = self.plan.jobs(), self.plan.variants()
        self.results = self.trials.light()
        self.configs = [Config(number, {}, names[job[0]]) for number, job in enumerate(jobs)]
        slow = {axis.name for axis in self.plan.axes if axis.waits}

        def turn(key: Key) -> tuple:
            _, number, seed = key
            on = jobs[number][0]
            # Where cleaning trains networks, everything sets that off, and those that need no findings come next.
            waits = bool(slow & on) and number + seed > 0
            return waits, seed, number > 0, len(on)

        keys = sorted(((0, number, seed) for seed in range(self.plan.seeds) for number in range(len(jobs))), key=turn)
        done = {key for key, outcome in self.results.items() if outcome.status == "done"}
        self.queue = deque(key for key in keys if key not in done)

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.plan.greater_is_better else -1

    @property
    def finished(self) -> bool:
        """Is nothing left to do?"""
        return not self.queue and not self.running

    def next(self) -> Task | None:
        """A training to do now; None where none is left."""
        if not self.queue:
            return None
        key = self.queue.popleft()
        self.running.add(key)
        return self.task(key)

    def take(self, key: Key, outcome: Outcome) -> None:
        """Record how a training ended."""
        self.trials.add(key, outcome)
        self.results[key] = outcome.light()
        self.running.discard(key)

    def task(self, key: Key) -> Task:
        """What a worker needs: the variant to train, and all that share its network."""
        _, number, seed = key
        job, names = self.plan.jobs()[number], self.plan.variants()

        def seeded(on: On) -> dict[str, Any]:
            return self.plan.recipe_of(on) | {"seed": self.plan.recipe.seed + seed}

        ways = {names[on]: seeded(on) for on in job}
        return Task(key, seeded(job[0]), {}, last=False, sign=self.sign, variants=ways, label=names[job[0]])
