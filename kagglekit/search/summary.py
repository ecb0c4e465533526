"""From the record of a search to what people want to know: who won, by how much, and whether to believe it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kagglekit.search.ladder import Ladder
from kagglekit.search.post_training import scored_with
from kagglekit.search.space import Space, contains, values_of
from kagglekit.search.stats import Agreement, Estimate, agreement, importances, paired, regret
from kagglekit.search.trial_store import Key, Outcome

ORIGINS = ("recipe", "near recipe", "near best", "random")


def summarize(ladder: Ladder) -> dict[str, Any]:
    """Everything that the page, the table and `--json` show, JSON-like. Scores as the metric has them."""
    outcomes = {key: scored_with(one, ladder.settings_name(key[1])) if ladder.plan.is_last(key[0]) else one
                for key, one in ladder.trials.all().items()}  # fmt: skip
    winner = pick_winner(ladder)
    agreements = [_agreement(ladder, rung) for rung in range(len(ladder.plan.rungs) - 1)]
    return {
        "rungs": [_rung(ladder, outcomes, rung) for rung in range(len(ladder.plan.rungs))],
        "trials": [_trial(ladder, outcomes, config) for config in ladder.configs if config.origin != "retired"],
        "winner": None if winner is None else _winner(ladder, winner),
        "runner_up": None if winner is None else _runner_up(ladder, outcomes, winner),
        "prior": _prior(ladder, outcomes, winner),
        "agreement": [one for one in agreements if one],
        "importance": {key: asdict(one) for key, one in _importance(ladder).items()},
        "cost": _cost(ladder, outcomes),
        "failed": [
            {"number": number, "rung": rung, "repeat": repeat, "error": outcome.error}
            for (rung, number, repeat), outcome in outcomes.items()
            if outcome.status == "failed"
        ],
        "stale": [{"rung": rung, "number": number, "repeat": repeat} for rung, number, repeat in ladder.trials.stale()],
        "warnings": [one["warning"] for one in agreements if one and one["warning"]],
    }


def pick_winner(ladder: Ladder) -> int | None:
    """The configuration with the best score on the last rung (its mean over seeds), the earlier one of equals."""
    scores = ladder.scores(len(ladder.plan.rungs) - 1)
    return min(scores, key=lambda number: (-ladder.sign * scores[number], number), default=None)


def _rung(ladder: Ladder, outcomes: dict[Key, Outcome], rung: int) -> dict[str, Any]:
    step, here = ladder.plan.rungs[rung], [o for (r, _, _), o in outcomes.items() if r == rung]
    seconds = [o.seconds for o in here if o.status == "done"]
    return {
        **asdict(step),
        "text": str(step),
        "trials": len(here),
        "done": len(seconds),
        "seconds": sum(seconds) / len(seconds) if seconds else None,
    }


def _trial(ladder: Ladder, outcomes: dict[Key, Outcome], config) -> dict[str, Any]:
    why = [ladder.trials.climbs(rung) for rung in range(len(ladder.plan.rungs))]
    steps = []
    for (rung, number, repeat), outcome in outcomes.items():
        if number == config.number:
            steps.append(
                {
                    "rung": rung,
                    "repeat": repeat,
                    "why": why[rung].get(number, config.origin),
                    **{
                        name: getattr(outcome, name)
                        for name in ("status", "score", "seconds", "run", "error", "shared")
                    },
                    "curve": list(outcome.curve),
                    "notes": list(outcome.notes),
                    "weights": list(outcome.weights),
                }
            )
    params = {key: value for key, value in config.params.items() if key not in ladder.plan.default_settings}
    return {"number": config.number, "origin": config.origin, "params": params, "steps": steps}


def _winner(ladder: Ladder, number: int) -> dict[str, Any]:
    start, params = values_of(ladder.plan.recipe, ladder.plan.space), ladder.settled(number)
    last = len(ladder.plan.rungs) - 1
    return {
        "number": number,
        "origin": ladder.configs[number].origin,
        "score": ladder.scores(last)[number],
        "run": ladder.results[last, number, 0].run,
        "params": params,
        "changes": {key: [start.get(key), params[key]] for key in params if params[key] != start.get(key)},
    }


def _images(ladder: Ladder, outcomes: dict[Key, Outcome], number: int) -> list[Sequence[float]]:
    last = len(ladder.plan.rungs) - 1
    found = (outcomes.get((last, number, repeat)) for repeat in range(ladder.plan.repeats))
    return [outcome.images for outcome in found if outcome and outcome.status == "done"]


def _against(ladder: Ladder, outcomes: dict[Key, Outcome], ours: int, theirs: int) -> Estimate | None:
    """By how much one configuration beats another on the last rung, higher being better."""
    a, b = _images(ladder, outcomes, ours), _images(ladder, outcomes, theirs)
    if not a or len(a) != len(b) or any(len(x) != len(y) or not x for x, y in zip(a, b, strict=True)):
        return None
    found = paired(a, b)
    return found if ladder.sign > 0 else Estimate(-found.value, -found.high, -found.low)


def _runner_up(ladder: Ladder, outcomes: dict[Key, Outcome], winner: int) -> dict[str, Any] | None:
    scores = ladder.scores(len(ladder.plan.rungs) - 1)
    others = sorted((n for n in scores if n != winner), key=lambda n: (-ladder.sign * scores[n], n))
    if not others:
        return None
    lead = _against(ladder, outcomes, winner, others[0])
    return {
        "number": others[0],
        "score": scores[others[0]],
        "lead": asdict(lead) if lead else None,
        "tie": lead is None or lead.low <= 0,
    }


def _prior(ladder: Ladder, outcomes: dict[Key, Outcome], winner: int | None) -> dict[str, Any]:
    """What the recipe that the search began with scores on the last rung, and what searching near it brought."""
    scores = ladder.scores(len(ladder.plan.rungs) - 1)
    low = ladder.scores(0)
    best: dict[str, float] = {}
    for config in ladder.configs:
        if config.number in low:
            score = low[config.number]
            best[config.origin] = max(best.get(config.origin, score), score, key=lambda s: ladder.sign * s)
    gain = _against(ladder, outcomes, winner, 0) if ladder.plan.prior and winner else None
    return {
        "used": ladder.plan.prior,
        "score": scores.get(0) if ladder.plan.prior else None,
        "gain": asdict(gain) if gain else None,
        "best_by_origin": {origin: best[origin] for origin in ORIGINS if origin in best},
    }


def _agreement(ladder: Ladder, rung: int) -> dict[str, Any] | None:
    low, high = ladder.scores(rung), ladder.scores(rung + 1)
    both = [number for number in low if number in high]
    numbers = list(low)
    found: Agreement | None = agreement(
        [ladder.sign * low[n] for n in numbers], [numbers.index(n) for n in both], [ladder.sign * high[n] for n in both]
    )
    leader = max(low, key=lambda n: ladder.sign * low[n], default=None)
    missed = regret({n: ladder.sign * high[n] for n in both}, leader) if leader is not None and both else None
    if found is None and missed is None:
        return None
    return {
        "low": rung,
        "high": rung + 1,
        "spearman": asdict(found.spearman) if found else None,
        "kendall": asdict(found.kendall) if found else None,
        "count": len(both),
        "total": len(low),
        "regret": missed,
        "warning": f"rung {rung + 1} to {rung + 2}: {found.warning}" if found and found.warning else "",
    }


def _importance(ladder: Ladder) -> dict[str, Estimate]:
    scores = ladder.scores(0)
    space: Space = {key: d for key, d in ladder.plan.space.items() if key not in ladder.plan.default_settings}
    rows = [c for c in ladder.configs if c.number in scores and _inside(space, c.params)]
    return importances([c.params for c in rows], space, [ladder.sign * scores[c.number] for c in rows])


def _inside(space: Space, params: dict[str, Any]) -> bool:
    return all(key in params and contains(space[key], params[key]) for key in space)


def _cost(ladder: Ladder, outcomes: dict[Key, Outcome]) -> dict[str, Any]:
    """Seconds of devices: spent, and what all configurations at full fidelity would have taken."""
    last = len(ladder.plan.rungs) - 1
    full = [o.seconds for (rung, _, _), o in outcomes.items() if rung == last and o.status == "done"]
    tried = len({number for _, number, _ in outcomes})
    everything = tried * ladder.plan.repeats * sum(full) / len(full) if full else None
    spent = sum(o.seconds for o in outcomes.values() if not o.shared)  # of others, somebody else has paid
    extra = [o.overhead for o in outcomes.values() if o.overhead is not None]
    return {
        "seconds": spent,
        "full_seconds": everything,
        "share": spent / everything if everything else None,
        "tried": tried,
        "shared": sum(o.shared for o in outcomes.values()),
        "overhead": statistics.median(extra) if len(extra) > 2 else None,  # the first of each worker starts it
    }
