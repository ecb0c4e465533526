"""The live table of a search: who runs, who is done, who leads."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.search.ladder import Ladder, Plan, Task
from kagglekit.search.post_training import best_settings, scored_with
from kagglekit.search.trial_store import Key, Outcome
from kagglekit.train.trained import Epoch

if TYPE_CHECKING:
    from rich.live import Live

SHOWN = 12  # rows of finished trials


class Table:
    """A watcher that draws a table on a terminal, and says a line for each finished trial elsewhere."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.running: dict[Key, dict[str, Any]] = {}
        self.live: Live | None = None
        self.ladder: Ladder | None = None

    @contextmanager
    def shown(self, ladder: Ladder) -> Iterator[None]:
        """Inside the block the table is there."""
        self.ladder = ladder
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.live import Live

        screen = Console(stderr=True)  # drawn anew twice a second, from what is known then
        with Live(get_renderable=self.table, console=screen, refresh_per_second=2, transient=True) as self.live:
            yield
        self.live = None

    def began(self, task: Task) -> None:
        """A trial begins."""
        self.running[task.key] = {"task": task, "since": time.monotonic(), "epoch": 0, "score": None}

    def epoch(self, key: Key, row: Epoch) -> None:
        """A trial has done one more epoch."""
        if key in self.running:
            self.running[key] |= {"epoch": row.epoch + 1, "score": row.valid_score}

    def ended(self, key: Key, outcome: Outcome) -> None:
        """A trial is over."""
        task = self.running.pop(key)["task"]
        if self.live is None:
            outcome = self._settings_text(outcome)
            said = f"{outcome.score:.4f}" if outcome.score is not None else f"{outcome.status}: {outcome.error}"
            cost = "known already" if outcome.shared else f"{outcome.seconds:.0f} s"
            progress.say(f"{task.name}: {said}  ({cost}; {len(self.ladder.results) if self.ladder else 0} done)")

    def table(self):
        """What is shown: running trials, then finished ones, the highest rung and the best score first."""
        from rich.table import Table as RichTable

        drawn = RichTable(
            title=f"{self.plan.recipe.competition}: {len(self.ladder.results)} trials done", title_justify="left"
        )
        for name in ("trial", "rung", "epoch", "score", "time", "settings"):
            drawn.add_column(
                name,
                justify="right" if name in ("trial", "score", "time") else "left",
                overflow="ellipsis",
                no_wrap=True,
            )
        for key, state in list(self.running.items()):  # the other thread goes on meanwhile
            epochs = self.plan.rungs[key[0]].epochs
            drawn.add_row(
                str(key[1]), str(self.plan.rungs[key[0]]), f"{state['epoch']}/{epochs}", _score(state["score"]),
                f"{time.monotonic() - state['since']:.0f} s", self._settings(key[1]), style="bold",
            )  # fmt: skip
        sign, results = self.ladder.sign, self.ladder.results.copy()
        done = sorted(
            ((key, self._settings_text(outcome)) for key, outcome in results.items()),
            key=lambda p: (-p[0][0], p[1].score is None, -sign * (p[1].score or 0)),
        )
        for key, outcome in done[:SHOWN]:
            said = _score(outcome.score) if outcome.status == "done" else outcome.status
            drawn.add_row(
                str(key[1]), str(self.plan.rungs[key[0]]), "", said, f"{outcome.seconds:.0f} s", self._settings(key[1])
            )
        return drawn

    def _settings_text(self, outcome: Outcome) -> Outcome:
        return scored_with(outcome, best_settings([outcome], self.ladder.sign if self.ladder else 1))

    def _settings(self, number: int) -> str:
        if self.ladder is None:
            return ""
        config = self.ladder.configs[number]
        if config.origin == "recipe":
            return "the recipe"
        return ", ".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in sorted(config.params.items()))


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
