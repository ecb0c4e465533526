"""What a run is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kagglekit.plugin.solution import Solution


@dataclass(frozen=True)
class Request:
    """A solution on a data folder, as asked for; `fidelity` is the preset's name, `command` what was typed.

    `only_validation`: the test part is left for later, as trials of a search do. `report` gets each epoch's row of the
    history; it may raise to end the run. `seen` is filled with what live objects say of the recipe's settings;
    `approve` may raise after validation, and then no result is written.
    More than one of `workers` train through Ray, at `address` or on this machine; `report` then hears of all epochs at
    the end.
    """

    solution: Solution
    data: Path
    fidelity: str = ""
    command: str = ""
    again: bool = False
    resume: bool = False
    only_validation: bool = False
    workers: int = 1
    address: str = ""
    report: Callable[[dict], None] = lambda row: None
    approve: Callable[[], None] = lambda: None
    seen: dict[str, Any] = field(default_factory=dict)
