"""What a run is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.pipeline.sample_data import is_drawn
from kagglekit.plugin.solution import Solution
from kagglekit.train.trained import Epoch


@dataclass(frozen=True)
class Request:
    """A solution on a data folder, as asked for; `fidelity` is the preset's name, `command` what was typed.

    `begun` is told the name of the run. `report` gets each epoch; it may raise to end the run. `approve` is told after
    validation what live objects said of the recipe's settings; it may raise, and then no result is written.
    More than one of `workers` train through Ray, at `address` or on this machine; `report` then hears of all epochs at
    the end.
    """

    solution: Solution
    data: Path
    fidelity: str = ""
    command: str = ""
    again: bool = False
    resume: bool = False
    workers: int = 1
    address: str = ""
    begun: Callable[[str], None] = lambda run: None
    report: Callable[[Epoch], None] = lambda row: None
    approve: Callable[[Mapping[str, float]], None] = lambda observed: None

    def recorded(self) -> dict[str, Any]:
        """The fields of the manifest that it fills."""
        return {
            "data": str(self.data),
            "fidelity": self.fidelity,
            "command": self.command,
            "workers": self.workers,
            "drawn": is_drawn(self.data),
        }
