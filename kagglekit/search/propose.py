"""Which settings to try next: the known solution first, then near it, near the best so far, and at random.

The mix is that of PriorBand (Mallik et al., 2023) at the lowest rung: half of the proposals are random, the others
are shared by the neighbourhood of the prior (the recipe that the search began with) and of the incumbents, for which
optuna's TPE sampler stands. Proposals depend on seed, number and the results given, never on the clock or on who
finished first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kagglekit.recipe import digest
from kagglekit.search.space import Params, Space, contains

if TYPE_CHECKING:
    import numpy as np

Origin = Literal["recipe", "near recipe", "near best", "random"]
CYCLE: tuple[Origin, ...] = ("near recipe", "random", "near best", "random")
STEP = 0.2  # standard deviation of a step away from the recipe, in parts of the range
MOVED = 0.5  # part of the settings that a step changes
ENOUGH = 4  # results from which on it makes sense to model them
REMEMBERED = 200  # results that the model is given: the best quarter whole, of the others as many as fit
FRESH = 64  # questions after which studies are made anew
PATIENCE = 50  # draws after which a space counts as used up


@dataclass(frozen=True)
class Config:
    """Settings to try, numbered in the order they were proposed."""

    number: int
    params: Params
    origin: Origin


def propose(
    space: Space, start: Params | None, known: Sequence[Config], scores: dict[int, float], count: int, seed: int
) -> list[Config]:
    """The next `count` configurations, fewer where a space of choices holds no more.

    `start` are the recipe's own values, None to search without a prior. `scores` of finished trials by number, higher
    is better.
    """
    import numpy as np

    configs, taken = [], {digest(config.params) for config in known}
    modelled = _modelled(space, known, scores)
    studies = Studies(space, modelled, seed * 100_003 + len(known))
    for number in range(len(known), len(known) + count):
        origin = _origin(number, start is not None, len(modelled) >= ENOUGH)
        for attempt in range(PATIENCE):
            rng = np.random.default_rng([seed, number, attempt])
            params = _draw(space, start, studies, origin, rng)
            if digest(params) not in taken:
                break
            origin = "random" if origin == "recipe" or attempt > PATIENCE // 2 else origin
        else:
            break
        taken.add(digest(params))
        configs.append(Config(number, params, origin))
    return configs


def _origin(number: int, has_prior: bool, has_model: bool) -> Origin:
    if has_prior and number == 0:
        return "recipe"
    origin = CYCLE[number % len(CYCLE)]
    if origin == "near best" and not has_model:
        origin = "near recipe"
    if origin == "near recipe" and not has_prior:
        origin = "near best" if has_model else "random"
    return origin


def _modelled(space: Space, known: Sequence[Config], scores: dict[int, float]) -> list[tuple[Params, float]]:
    """The results that the model is given, those inside the space only."""
    fitting = [
        (config.params, scores[config.number])
        for config in known
        if config.number in scores
        and all(key in config.params and contains(space[key], config.params[key]) for key in space)
    ]
    if len(fitting) <= REMEMBERED:
        return fitting
    fitting.sort(key=lambda pair: -pair[1])
    best, others = fitting[: REMEMBERED // 4], fitting[REMEMBERED // 4 :]
    return best + others[:: -(-len(others) // (REMEMBERED * 3 // 4))]


def _draw(space: Space, start: Params | None, studies: Studies, origin: Origin, rng: np.random.Generator) -> Params:
    if origin == "recipe":
        return dict(start or {})
    return near(space, start or {}, rng) if origin == "near recipe" else studies.ask(origin)


class Studies:
    """Optuna's samplers, each with a study that is made anew now and then: what was asked slows the next question."""

    def __init__(self, space: Space, modelled: Sequence[tuple[Params, float]], seed: int):
        self.space, self.modelled, self.seed = space, modelled, seed
        self.studies: dict[str, Any] = {}
        self.asked = 0

    def ask(self, origin: Origin) -> Params:
        """A proposal of the TPE sampler for "near best", else a random one."""
        if self.asked % FRESH == 0:
            self.studies = {}
        self.asked += 1
        if origin not in self.studies:
            self.studies[origin] = self._study(origin == "near best", [self.seed, self.asked])
        return dict(self.studies[origin].ask(self.space).params)

    def _study(self, models: bool, seed: Sequence[int]):
        import numpy as np
        import optuna

        number = int(np.random.default_rng(list(seed)).integers(2**31))
        sampler: optuna.samplers.BaseSampler
        if models:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.TPESampler(seed=number, multivariate=True, n_startup_trials=0)
        else:
            sampler = optuna.samplers.RandomSampler(seed=number)
        with quiet_optuna():
            study = optuna.create_study(direction="maximize", sampler=sampler)
        made = optuna.trial.create_trial
        past = self.modelled if models else []
        study.add_trials([made(params=params, distributions=self.space, value=value) for params, value in past])
        return study


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Inside the block optuna says only what is wrong."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def near(space: Space, center: Params, rng: np.random.Generator) -> Params:
    """`center` with about half of its settings moved a little: a step on a range, another choice of a list."""
    keys = sorted(space)
    moved = [key for key in keys if rng.random() < MOVED] or [keys[int(rng.integers(len(keys)))]]
    return {key: _step(space[key], center.get(key), key in moved, rng) for key in keys}


def _step(distribution: Any, value: Any, moves: bool, rng: np.random.Generator) -> Any:
    import numpy as np
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        others = [choice for choice in distribution.choices if choice != value]
        if others and (moves or value not in distribution.choices):
            return others[int(rng.integers(len(others)))]
        return value
    low, high = distribution.low, distribution.high
    if not isinstance(value, int | float):
        value = (low + high) / 2
    value = min(max(value, low), high)
    if low == high:
        return low
    ends = np.log([low, high]) if distribution.log else np.array([low, high], float)
    position = np.log(value) if distribution.log else value
    unit = (position - ends[0]) / (ends[1] - ends[0]) + rng.normal(0, STEP) * moves
    unit = 1 - abs(1 - abs(unit) % 2)  # reflected at both ends
    position = ends[0] + unit * (ends[1] - ends[0])
    if moves:
        value = float(np.exp(position)) if distribution.log else float(position)
    if distribution.step:
        value = low + round((value - low) / distribution.step) * distribution.step
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else value
