"""Settings that act after training cost no training, so trials do not differ in them until the last rung.

Below it every network is judged with the recipe's own: what a mirrored view or a bridge is worth would else hide what
the training was worth. On the last rung it is judged with some of those that were sampled as well, and the best stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kagglekit.plugin.solution import Solution
from kagglekit.runs.identity import acts_after_training
from kagglekit.search.propose import Config
from kagglekit.search.space import Params, Space

if TYPE_CHECKING:
    from kagglekit.protocols import Metric
    from kagglekit.search.trial_store import Outcome

SAMPLED_SETS = 4  # sampled sets of such settings that a network of the last rung is judged with


def after_training(space: Space, solution: Solution) -> tuple[str, ...]:
    """The keys of a space that change nothing of what is trained; none where no other key is left to search."""
    heads = {key: key.split(".") for key in space if key.startswith("techniques.")}
    kinds = {name: solution.registry.technique(name)[1] for name in {head[1] for head in heads.values()}}
    after = tuple(key for key, head in heads.items() if acts_after_training(kinds[head[1]]))
    return after if len(after) < len(space) else ()


def settings_of(configs: Sequence[Config], number: int, recipes: Params) -> dict[str, Params]:
    """Name -> settings that act after training to judge a network with: its own first, then those of other trials.

    `recipes` are the recipe's, which it is judged with anyway.
    """
    found: dict[str, Params] = {}
    known = [_acting(recipes)]
    for config in (configs[number], *(c for c in configs if c.origin != "retired")):
        settings = {key: config.params[key] for key in recipes if key in config.params}
        if _acting(settings) not in known:
            known.append(_acting(settings))
            found[f"trial {config.number}"] = settings
        if len(found) == SAMPLED_SETS:
            break
    return found


def _acting(settings: Params) -> Params:
    """Without the settings of techniques that are off."""
    return {key: value for key, value in settings.items() if settings.get(".".join(key.split(".")[:2]), True)}


def with_settings_scores(outcome: Outcome, settings_tried: dict[str, Params], metric: Metric) -> Outcome:
    """The outcome with what each way to judge its network comes to, in place of counts."""
    import numpy as np

    found = {}
    for name, params in settings_tried.items():
        counts = outcome.variants[name]["counts"]
        images = [metric.reduce(np.asarray(one)[None]) for one in counts]
        found[name] = {"score": outcome.variants[name]["score"], "images": images, "params": params}
    return replace(outcome, variants={}, settings_tried=found)


def best_settings(outcomes: Iterable[Outcome], sign: int) -> str:
    """How the networks of a configuration, one for each seed, are best judged; empty: with the recipe's own settings.

    `sign` is 1 where a higher score is better, else -1. The recipe's stay unless the mean over seeds is better.
    """
    done = [outcome for outcome in outcomes if outcome.score is not None]
    names = [name for name in done[0].settings_tried if all(name in one.settings_tried for one in done)] if done else []
    means = {name: sum(sign * one.settings_tried[name]["score"] for one in done) for name in names}
    best = max(means, key=means.__getitem__, default="")
    return best if best and means[best] > sum(sign * (one.score or 0.0) for one in done) else ""


def scored_with(outcome: Outcome, settings_name: str) -> Outcome:
    """The outcome with the score of a way to judge its network; empty: as it is."""
    if not settings_name or outcome.score is None:
        return outcome
    found: dict[str, Any] = outcome.settings_tried[settings_name]
    said = f"best with post-training settings of {settings_name}, {found['score'] - outcome.score:+.4f}"
    images = tuple(found.get("images", ()))
    return replace(outcome, score=found["score"], images=images, notes=(*outcome.notes, said))
