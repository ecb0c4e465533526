"""Searches without any training: objectives that are planted, on the real ladder."""

import math
from pathlib import Path

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution

from kagglekit.recipe import Recipe
from kagglekit.search.ladder import Ladder, Plan
from kagglekit.search.local import climb
from kagglekit.search.rungs import parse_rungs
from kagglekit.search.trial_store import Outcome, Trials

SPACE = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "decoder": CategoricalDistribution(["unet", "fpn", "manet"]),
    "loss.dice": FloatDistribution(0.0, 1.0),
}
TWO = "64:50%:2,128:100%:6"
THREE = "64:25%:2,96:50%:4,128:100%:8"


def plan(rungs: str = TWO, space=None, **changes) -> Plan:
    """A plan over the planted space."""
    facts = {"name": "planted", "recipe": Recipe(competition="toy"), "space": space or SPACE}
    return Plan(**{**facts, "rungs": parse_rungs(rungs), **changes})


def quality(params_or_recipe: dict) -> float:
    """What a trial is worth: best at a learning rate of 1e-3, better with Dice, worse as FPN."""
    dice = params_or_recipe["loss"]["dice"]
    return (
        0.9
        - 0.05 * (math.log10(params_or_recipe["lr"]) + 3) ** 2
        + 0.02 * dice
        - 0.1 * (params_or_recipe["decoder"] == "fpn")
    )


def objective(task, report) -> Outcome:
    """The quality, seen through noise that falls with each rung."""
    rung = task.key[0]
    score = float(quality(task.recipe) + np.random.default_rng(task.key).normal() * 0.02 / (1 + rung))
    for epoch in range(2):
        report({"epoch": epoch, "valid_score": score})
    return Outcome("done", score, 1.0 + rung, (score - 0.1, score), f"run{task.key[1]}", ("hash",), images=(score,) * 5)


def correlated(rho: float, seed: int):
    """An objective whose scores on two rungs have Spearman's `rho` over random configurations."""
    scores = planted_scores(rho, 100, seed)

    def run(task, report) -> Outcome:
        rung, number, _ = task.key
        return Outcome("done", scores[rung][number], 1.0)

    return run


def planted_scores(rho: float, count: int, seed: int) -> tuple[list[float], list[float]]:
    """Scores on two rungs of which Spearman's correlation is `rho`, the upper ones not at all normal."""
    plain, rng = 2 * math.sin(math.pi * rho / 6), np.random.default_rng([seed, 7])
    low, other = rng.normal(size=(2, count))
    return low.tolist(), (-np.exp(-(plain * low + math.sqrt(1 - plain * plain) * other))).tolist()


def search(folder: Path, chosen: Plan, run=objective, code: str = "code", **fields) -> Ladder:
    """A finished ladder."""
    folder.mkdir(parents=True, exist_ok=True)
    ladder = Ladder(chosen, Trials(folder, code), **fields)
    climb(ladder, run)
    return ladder


def table(ladder: Ladder) -> dict:
    """What a search came to, comparable between searches."""
    return {key: (o.status, o.score, o.curve) for key, o in sorted(ladder.results.items())}
