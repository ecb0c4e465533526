"""Settings that act after training cost no training, so trials do not differ in them until the last rung.

Below it every network is judged with the recipe's own: what a mirrored view or a bridge is worth would else hide what
the training was worth. On the last rung it is judged with some of those that were sampled as well, and the best stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kagglekit.runs.identity import acts_after_training
from kagglekit.search.propose import Config
from kagglekit.search.space import Params, Space
from kagglekit.solution import Solution

if TYPE_CHECKING:
    from kagglekit.protocols import Metric
    from kagglekit.search.trials import Outcome

LOOKS = 4  # sampled sets of such settings that a network of the last rung is judged with


def after_training(space: Space, solution: Solution) -> tuple[str, ...]:
    """The keys of a space that change nothing of what is trained; none where no other key is left to search."""
    heads = {key: key.split(".") for key in space if key.startswith("techniques.")}
    kinds = {name: solution.registry.technique(name)[1] for name in {head[1] for head in heads.values()}}
    after = tuple(key for key, head in heads.items() if acts_after_training(kinds[head[1]]))
    return after if len(after) < len(space) else ()


def looks_of(configs: Sequence[Config], number: int, recipes: Params) -> dict[str, Params]:
    """Name -> settings that act after training to judge a network with: its own first, then those of other trials.

    `recipes` are the recipe's, which it is judged with anyway.
    """
    found: dict[str, Params] = {}
    known = [_acting(recipes)]
    for config in (configs[number], *(c for c in configs if c.origin != "retired")):
        look = {key: config.params[key] for key in recipes if key in config.params}
        if _acting(look) not in known:
            known.append(_acting(look))
            found[f"trial {config.number}"] = look
        if len(found) == LOOKS:
            break
    return found


def _acting(look: Params) -> Params:
    """Without the settings of techniques that are off."""
    return {key: value for key, value in look.items() if look.get(".".join(key.split(".")[:2]), True)}


def best_look(outcome: Outcome, looks: dict[str, Params], sign: int, metric: Metric) -> Outcome:
    """The outcome with the score of the best way to judge its network; the recipe's stays where none is better."""
    import numpy as np

    def score_of(name: str) -> float:
        return sign * outcome.variants[name]["score"]

    best = max(outcome.variants, key=score_of)
    if score_of(best) <= sign * outcome.score:
        return outcome
    verdict: dict[str, Any] = outcome.variants[best]
    said = f"judged with what {best} has after training, +{score_of(best) - sign * outcome.score:.4f}"
    pictures = tuple(metric.reduce(np.asarray(one)[None]) for one in verdict["counts"])
    return replace(outcome, score=verdict["score"], pictures=pictures, look=looks[best], notes=(*outcome.notes, said))
