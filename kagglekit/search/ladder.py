"""The ladder itself: which trial comes next, given all that ended so far. No clock, no threads, no training.

Rung by rung: proposals are made in waves, each knowing the results of the waves before it; when a rung is complete,
the best and some controls climb. With more workers than that can feed, trials climb as soon as enough of their rung are
done (`eager`); then the order in which trials end matters, otherwise nothing but the seed does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kagglekit.recipe import Recipe
from kagglekit.search.post_training import best_settings, scored_with, settings_of
from kagglekit.search.promote import Candidate, kind_of, promote
from kagglekit.search.propose import Config, propose
from kagglekit.search.rungs import Rung, climbers
from kagglekit.search.space import Params, Space, apply, values_of
from kagglekit.search.trial_store import Key, Outcome, Trials

WAVES = 4  # in so many waves the lowest rung's trials are proposed
SMALLEST = 4  # trials of a wave
GRACE = 0.34  # part of a rung's epochs before which no trial is stopped


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a search does, apart from the data and the code."""

    name: str
    recipe: Recipe
    space: Space
    rungs: tuple[Rung, ...] = ()  # none: those that `search_of` finds to suit the data
    trials: int = 16
    promote: int = 1
    controls: int | None = None  # of each promotion; None: what `random_climbers` says
    seed: int = 0
    repeats: int = 1  # seeds on the last rung
    prior: bool = True
    warm: bool = False
    prune: bool = False
    eager: bool = False
    greater_is_better: bool = True
    after: tuple[str, ...] = ()  # keys of the space that act after training

    @property
    def default_settings(self) -> Params:
        """The recipe's own settings after training, which all trials are judged with; none without a prior."""
        if not (self.prior and self.after):
            return {}
        own = values_of(self.recipe, self.space)
        return {key: own[key] for key in self.after if key in own}

    @property
    def climbers(self) -> list[int]:
        """How many trials each rung takes by merit."""
        return climbers(self.trials, self.promote, len(self.rungs))

    def random_climbers(self, rung: int) -> int:
        """How many controls a rung takes.

        Unless said otherwise one, and none on the last of three rungs or more: the few trials that a default search
        brings there could not tell how rungs agree, and each costs a whole run.
        """
        if self.controls is not None:
            return self.controls
        return 0 if len(self.rungs) > 2 and self.is_last(rung) else 1

    def is_last(self, rung: int) -> bool:
        """Is this the rung of full fidelity?"""
        return rung == len(self.rungs) - 1


@dataclass(frozen=True)
class Task:
    """A trial to run: names and numbers only, so that it can travel.

    `variants` are further recipes, by name, that its network is judged with after training; where they come of `looks`
    (see `kagglekit.search.post_training`) the best of them counts.
    """

    key: Key
    recipe: dict[str, Any]
    params: Params
    warm: str = ""
    last: bool = False
    sign: int = 1
    bars: tuple[float, ...] = ()
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings_tried: dict[str, Params] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """How people call the trial."""
        rung, number, repeat = self.key
        return (self.label or f"trial {number} on rung {rung + 1}") + (f", seed {repeat + 1}" if repeat else "")


@dataclass
class Ladder:
    """The state of a search: `next` gives tasks, `take` learns how they ended and records it first."""

    plan: Plan
    trials: Trials
    results: dict[Key, Outcome] = field(init=False)
    configs: list[Config] = field(init=False)
    queue: deque[Key] = field(default_factory=deque, init=False)
    running: set[Key] = field(default_factory=set, init=False)
    finished: bool = field(default=False, init=False)
    spent: float = field(default=0.0, init=False)
    limit: float | None = None  # seconds of devices; once they are spent, the lowest rung gets no further trial
    after: Callable[[], None] = lambda: None  # called whenever a trial is recorded
    _queued: set[Key] = field(default_factory=set, init=False)

    def __post_init__(self):
        self.results, self.configs = self.trials.light(), self.trials.configs()
        self.spent = sum(outcome.seconds for outcome in self.results.values() if not outcome.shared)
        self._queued = set(self.results)
        self._enter([(0, c.number, 0) for c in self.configs if c.origin != "retired"])
        for rung in range(1, len(self.plan.rungs)):
            self._enter(self._keys(rung, self.trials.climbs(rung)))

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.plan.greater_is_better else -1

    def next(self) -> Task | None:
        """A trial to run now; None while others have to end first, or when all is done (`finished`)."""
        if not self.queue and not self.running and not self.finished:
            self._advance()
        if not self.queue and self.running and self.plan.eager:
            self._hurry()
        if not self.queue:
            return None
        key = self.queue.popleft()
        self.running.add(key)
        return self.task(key)

    def take(self, key: Key, outcome: Outcome) -> None:
        """Record how a trial ended."""
        self.trials.add(key, outcome)
        self.results[key] = outcome.light()
        self.running.discard(key)
        self.spent += 0 if outcome.shared else outcome.seconds
        self.after()

    def bars(self, key: Key) -> tuple[float, ...]:
        """The score that a trial's best epoch so far has to reach after each epoch, or it is stopped; empty: never.

        Where the plan prunes, the median of what the lowest rung's earlier waves had reached after as many epochs. The
        recipe itself is never stopped, nor is anybody in the first third of the epochs.
        """
        rung, number, _ = key
        if not self.plan.prune or rung or (self.plan.prior and number == 0):
            return ()
        earlier = number - number % wave_of(self.plan)
        curves = [o.curve for (r, n, _), o in self.results.items() if r == 0 and n < earlier and o.status == "done"]
        if len(curves) < SMALLEST:
            return ()
        epochs = self.plan.rungs[rung].epochs
        reached = [[max(self.sign * s for s in c[: e + 1]) for c in curves if len(c) > e] for e in range(epochs)]
        return tuple(
            sorted(scores)[len(scores) // 2] if scores and e >= GRACE * epochs else -math.inf
            for e, scores in enumerate(reached)
        )

    def task(self, key: Key) -> Task:
        """What a worker needs to run a trial."""
        rung, number, _ = key
        default_settings, last = self.plan.default_settings, self.plan.is_last(rung)
        params = self.configs[number].params | default_settings
        settings_tried = settings_of(self.configs, number, default_settings) if last and default_settings else {}
        variants = {name: self._tree(key, params | settings) for name, settings in settings_tried.items()}
        below = self.results.get((rung - 1, number, 0))
        warm = below.checkpoint if below and self.plan.warm else ""
        tree = self._tree(key, params)
        return Task(key, tree, params, warm, last, self.sign, self.bars(key), variants, settings_tried)

    def settled(self, number: int) -> Params:
        """The settings that a trial of the last rung is best judged with."""
        settings_name = self.settings_name(number)
        chosen = (
            self.results[len(self.plan.rungs) - 1, number, 0].settings_tried[settings_name]["params"]
            if settings_name
            else {}
        )
        return self.configs[number].params | self.plan.default_settings | chosen

    def settings_name(self, number: int) -> str:
        """The name of what a configuration's networks of the last rung are best judged with; empty: as the recipe."""
        last = len(self.plan.rungs) - 1
        return best_settings((o for (r, n, _), o in self.results.items() if (r, n) == (last, number)), self.sign)

    def winning_tree(self, number: int) -> dict[str, Any]:
        """The recipe of a trial of the last rung, with everything that it changed."""
        task = self.task((len(self.plan.rungs) - 1, number, 0))
        weights = {"encoder_weights": task.warm} if task.warm else {}
        return self._tree(task.key, self.settled(number)) | self.results[task.key].changes | weights

    def _tree(self, key: Key, params: Params) -> dict[str, Any]:
        rung, number, repeat = key
        recipe, step = apply(self.plan.recipe, params), self.plan.rungs[rung]
        changes: dict[str, Any] = {
            "fidelity": {"image_size": step.image_size, "fraction": step.fraction, "epochs": step.epochs},
            "seed": recipe.seed + repeat,
        }
        if recipe.horizon:
            changes["horizon"] = recipe.horizon * step.epochs / self.plan.rungs[-1].epochs
        below = self.results.get((rung - 1, number, 0))
        return recipe.model_dump(mode="json") | changes | (below.changes if below else {})

    def scores(self, rung: int) -> dict[int, float]:
        """The score of every configuration that ended well on a rung, the mean over its seeds."""
        found: dict[int, list[Outcome]] = {}
        for (step, number, _), outcome in self.results.items():
            if step == rung and outcome.status == "done" and outcome.score is not None:
                found.setdefault(number, []).append(outcome)
        return {number: self._mean(outcomes) for number, outcomes in sorted(found.items())}

    def _mean(self, outcomes: list[Outcome]) -> float:
        settings_name = best_settings(outcomes, self.sign)
        return sum(scored_with(outcome, settings_name).score or 0.0 for outcome in outcomes) / len(outcomes)

    def _keys(self, rung: int, numbers) -> list[Key]:
        repeats = self.plan.repeats if self.plan.is_last(rung) else 1
        return [(rung, number, repeat) for repeat in range(repeats) for number in numbers]

    def _enter(self, keys: list[Key]) -> None:
        new = [key for key in keys if key not in self._queued]
        self.queue.extend(new)
        self._queued.update(new)

    def _advance(self) -> None:
        """Nothing runs and nothing waits: propose a wave, let the next rung begin, or end."""
        if self._propose():
            return
        for rung in range(1, len(self.plan.rungs)):
            if not self.trials.climbs(rung) or self.plan.eager:
                climbing = self._promotion(rung)
                self.trials.add_climbs(rung, climbing)
                self._enter(self._keys(rung, climbing))
                if self.queue:
                    return
        self.finished = True

    def _propose(self) -> bool:
        alive = [c for c in self.configs if c.origin != "retired"]
        left = self.plan.trials - len(alive)
        if left <= 0 or (self.limit is not None and self.spent >= self.limit):
            return False
        start = values_of(self.plan.recipe, self.plan.space) if self.plan.prior else None
        scores = {number: self.sign * score for number, score in self.scores(0).items()}
        new = propose(self.plan.space, start, self.configs, scores, min(wave_of(self.plan), left), self.plan.seed)
        self.trials.add_configs(new)
        self.configs += new
        self._enter([(0, c.number, 0) for c in new])
        return bool(new)

    def _promotion(self, rung: int) -> Mapping[int, str]:
        candidates, seed = self._candidates(rung - 1), [self.plan.seed, rung]
        count, controls = self.plan.climbers[rung], self.plan.random_climbers(rung)
        if not self.plan.prior:
            return promote(candidates, count, controls, seed)
        others = [c for c in candidates if c.number]
        if len(others) == len(candidates):  # the recipe's own trial failed
            return promote(others, count, controls, seed)
        # Between the ends the recipe takes one of the seats, so that it costs nothing there. At the end it takes none:
        # a search whose last rung holds the recipe alone has tried nothing.
        seats = count if self.plan.is_last(rung) else max(1, count - 1)
        return {0: "recipe"} | promote(others, seats, controls, seed)

    def _candidates(self, rung: int) -> list[Candidate]:
        return [
            Candidate(number, self.sign * score, kind_of(self.configs[number].params))
            for number, score in self.scores(rung).items()
        ]

    def _hurry(self) -> None:
        """Fill idle workers: the next wave before this one ends, or the climb of those who lead so far."""
        if self._propose():
            return
        for rung in range(len(self.plan.rungs) - 1, 0, -1):
            planned, room = self.plan.climbers[rung - 1], self.plan.climbers[rung]
            done = self._candidates(rung - 1)
            allowed = len(done) * room // planned
            best = promote(done, allowed, 0, [self.plan.seed, rung])
            new = {number: why for number, why in best.items() if (rung, number, 0) not in self._queued}
            if new:
                self.trials.add_climbs(rung, new)
                self._enter(self._keys(rung, new))
                return


def wave_of(plan: Plan) -> int:
    """How many trials are proposed at once."""
    return max(SMALLEST, -(-plan.trials // WAVES))
