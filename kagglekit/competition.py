"""What a plugin says of its competition, and of the solutions that others published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kagglekit.protocols import Metric
from kagglekit.types import Size, Task


@dataclass(frozen=True)
class Published:
    """A published solution of a competition, as far as its sources tell.

    `name` is one word, unique within the competition. `scores` are the host's, by part of the leaderboard ("public",
    "private", or "leaderboard" where the source does not say), on a test part whose truth is not public; empty where no
    source states one. `preset` is the preset whose recipe stands for the solution, "" for none; `differs` says what
    that recipe leaves out or does otherwise. `note` is for what is told but not confirmed.
    """

    name: str
    by: str
    url: str
    metric: str
    scores: Mapping[str, float] = field(default_factory=dict)
    preset: str = ""
    differs: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Competition:
    """Who a competition is and how it is usually solved.

    `recipe` holds what this competition changes of the engine's default recipe (dotted keys), `presets` what each
    named fidelity ("demo", "trial", "full") changes on top. `settings` is a frozen dataclass of the competition's own
    settings, or None. `space` returns the search space: dotted key -> optuna distribution. `also` are further scores
    to report, which reduce the counts of `metric`. `published` are others' solutions, `labelled` is the number of
    images that the host gave a truth for, 0 where it is not known.
    """

    id: str
    title: str
    classes: tuple[str, ...]
    task: Task
    image_size: Size
    metric: Metric
    recipe: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: type | None = None
    space: Callable[[], Mapping[str, Any]] = dict
    summary: str = ""
    layout: str = ""
    references: tuple[str, ...] = ()
    sample_count: int = 240
    also: tuple[Metric, ...] = ()
    published: tuple[Published, ...] = ()
    labelled: int = 0
