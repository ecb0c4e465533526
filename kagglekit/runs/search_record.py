"""The kinds of records of searches and ablations: which keys readers rely on, and what they hold."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Effect(TypedDict):
    """What an axis is worth in one way."""

    value: float
    low: float
    high: float
    verdict: str


class AxisRow(TypedDict):
    """An axis of an ablation."""

    axis: str
    left_out: Effect
    alone: NotRequired[Effect | None]


class AblationRecipe(TypedDict):
    """The recipe of an ablation."""

    fidelity: dict[str, float]


class AblationResult(TypedDict):
    """What an ablation found; without effects where it has none yet."""

    name: str
    seeds: int
    command: str
    effects: list[AxisRow]
    recipe: AblationRecipe


class AblationPlan(TypedDict):
    """What an ablation was asked."""

    data: str


class StepRow(TypedDict):
    """A training of a trial."""

    run: NotRequired[str | None]


class TrialRow(TypedDict):
    """A trial of a search."""

    steps: list[StepRow]


class SearchRuns(TypedDict):
    """The runs of a search."""

    competition: str
    trials: list[TrialRow]


class WinnerRow(TypedDict):
    """The trial that won."""

    run: str
    changes: dict[str, tuple[Any, Any]]


class Lead(TypedDict):
    """By how much the winner leads."""

    value: float
    low: float
    high: float


class RunnerUp(TypedDict):
    """The second."""

    lead: Lead | None


class CostRow(TypedDict):
    """Seconds of devices."""

    seconds: float
    share: float | None


class SearchResult(SearchRuns):
    """What a search found."""

    name: str
    command: str
    winner: WinnerRow | None
    runner_up: RunnerUp | None
    cost: CostRow
    warnings: list[str]


class KnownWinner(WinnerRow):
    """The winner of a search that was done before."""

    number: int
    origin: str
    score: float
    recipe: str


class KnownRunnerUp(RunnerUp):
    """The second of a search that was done before."""

    number: int
    tie: bool


class KnownSearch(SearchResult):
    """The result of a search that was done before, as `kk tune` shows it again."""

    title: str
    metric: str
    data: str
    winner: KnownWinner | None
    runner_up: KnownRunnerUp | None


class SearchPlan(TypedDict):
    """What a search was asked."""

    competition: str
    recipe: dict[str, Any]
    space: dict[str, dict[str, Any]]
    rungs: list[dict[str, Any]]
    trials: int
    promote: int
    controls: int | None
    repeats: int
    seed: int
    prior: bool
    warm: bool
    data: str
    code: str
    done: NotRequired[bool]
