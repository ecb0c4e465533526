"""The in-process executor: one trial after the other, no Ray. For debuggers, tests, and machines without Ray."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from kagglekit.errors import RunError
from kagglekit.search.ladder import Task
from kagglekit.search.trial_store import Key, Outcome
from kagglekit.train.trained import Epoch

if TYPE_CHECKING:
    from kagglekit.search.trial_runner import TrialContext

Report = Callable[[Epoch], None]
Objective = Callable[[Task, Report], Outcome]


class Schedule(Protocol):
    """What executors run: the ladder of a search, the study of an ablation."""

    results: dict[Key, Outcome]

    @property
    def finished(self) -> bool:
        """Is there nothing left to do?"""

    def next(self) -> Task | None:
        """A trial to run now; None while others have to end first, or when all is done."""

    def take(self, key: Key, outcome: Outcome) -> None:
        """Record how a trial ended."""


class Watcher(Protocol):
    """Who is told how a search goes on."""

    def began(self, task: Task) -> None:
        """A trial begins."""

    def epoch(self, key: Key, row: Epoch) -> None:
        """A trial has done one more epoch."""

    def ended(self, key: Key, outcome: Outcome) -> None:
        """A trial is over and recorded."""


class Nobody:
    """The watcher who looks away."""

    def began(self, task: Task) -> None:
        """Nothing."""

    def epoch(self, key: Key, row: Epoch) -> None:
        """Nothing."""

    def ended(self, key: Key, outcome: Outcome) -> None:
        """Nothing."""


def objective_at(context: TrialContext) -> Objective:
    """The objective that trains, its own news kept to the log of its run."""
    from kagglekit import progress
    from kagglekit.search.trial_runner import run_trial

    def objective(task: Task, report: Report) -> Outcome:
        with progress.console(progress.Console(quiet=True)):
            outcome = run_trial(task, context, report)
        if outcome.full:
            raise RunError(f"{task.name}: {outcome.error}; the same command goes on once there is room")
        return outcome

    return objective


def climb(ladder: Schedule, objective: Objective, watcher: Watcher | None = None) -> None:
    """Run a ladder, or a study, to its end; `objective(task, report)` runs one trial."""
    watcher = watcher or Nobody()
    while task := ladder.next():
        watcher.began(task)
        outcome = objective(task, partial(watcher.epoch, task.key))
        ladder.take(task.key, outcome)
        watcher.ended(task.key, outcome)
