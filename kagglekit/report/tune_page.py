"""Write report.html of a search: who won and by how much, what it cost, and whether the cheap rungs told the truth."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kagglekit.files import write_bytes
from kagglekit.report import charts
from kagglekit.report.charts import Spot
from kagglekit.report.run_page import page_environment, score_text, setting_text
from kagglekit.runs.search_record import (
    CostRecord,
    EffectRecord,
    EstimateRecord,
    PairRecord,
    RungRecord,
    SearchResult,
    StepRecord,
    TrialRecord,
    WinnerRecord,
)

ORIGINS = {
    "recipe": "the recipe itself",
    "near recipe": "the recipe with a few settings changed",
    "near best": "the best so far with a few settings changed",
    "random": "drawn at random from the whole space",
}
WHY = {"merit": "by merit", "recipe": "as the recipe", "control": "as a control"}
STATUS = {"done": "done", "failed": "failed", "pruned": "stopped early"}
SHAPES = (  # the markers of charts.SHAPES, for the legend
    '<circle cx="7" cy="7" r="5.5"/>',
    '<rect x="2" y="2" width="10" height="10"/>',
    '<path d="M7 1.5 13 12.5H1z"/>',
    '<path d="M7 0.5 13.5 7 7 13.5 0.5 7z"/>',
    '<path d="M7 12.5 13 1.5H1z"/>',
    '<path d="M5 1h4v4h4v4H9v4H5V9H1V5h4z"/>',
)
Interval = EstimateRecord | EffectRecord | PairRecord


def write_tune_page(folder: Path, result: SearchResult) -> Path:
    """Write folder/report.html about a search over a ladder of fidelities, and return its path.

    `result` is what `kagglekit.search.tune.conclude` builds; what is None, empty or absent is told in words. Raises
    OSError when the page cannot be written, and then leaves an older one as it was.
    """
    environment = page_environment()
    environment.filters.update(value=value_text, percent=percent_text, rung=rung_text, score=signed_text)
    environment.filters["two"] = lambda value: f"{value:.2f}".replace("-", "−")
    environment.globals.update(span=span, around=around, tone=charts.tone)
    page = environment.get_template("tune.html.j2").render(page_context(finite(result)))
    target = Path(folder) / "report.html"
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(target, page.encode("utf-8", errors="backslashreplace"))
    return target


def page_context(result: SearchResult) -> dict[str, Any]:
    """Gather what the template shows from a result without numbers that are none."""
    trials, rungs, winner = result.trials, result.rungs, result.winner
    sign, number = 1 if result.greater_is_better else -1, winner.number if winner else None
    rows = trial_rows(trials, len(rungs), sign, number)
    names = _names(trials, number)
    spots = [spot for row in rows for spot in row["spots"]]
    timed = [spot for spot in spots if spot.seconds > 0]
    space = space_rows(result.plan.get("space") or {})
    return {
        "result": result,
        "rungs": rungs,
        "winner": winner,
        "command": run_command(winner, result.data),
        "cost": cost_words(result.cost, len(rungs)),
        "rows": rows,
        "recipe_is_first": bool(trials) and trials[0].origin == "recipe",
        "climb": climb(spots, rungs, sign, names),
        "spent": spent_by_rung(trials, len(rungs)),
        "ways": [why for why in charts.WAYS if any(spot.why == why and spot.rung for spot in spots)],
        "curves": curve_charts(trials, rungs, sign, names),
        "costs": charts.cost_chart(timed, len(rungs), sign, names) if timed else None,
        "hidden": sum(charts.window([s.score for s in spots], sign).hides(s.score) for s in spots) if spots else 0,
        "space": space,
        "logs": any("log scale" in text for _, text in space),
        "marks": list(dict.fromkeys(names.values())),
        "shapes": SHAPES,
        "origins": ORIGINS,
    }


def value_text(value: Any) -> str:
    """Write a value of a setting in short: numbers with four digits that count, others as in a recipe."""
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else setting_text(value)


def signed_text(value: float | None, sign: bool = False) -> str:
    """Write a score as the page of a run does, with a true minus: it often stands beside a plus here."""
    return score_text(value, sign).replace("-", "−")


def percent_text(share: float | None) -> str:
    """Write a share as a whole percentage, small ones with a digit more."""
    if share is None:
        return "–"
    return f"{100 * share:.1f} %" if 0 < abs(share) < 0.1 else f"{100 * share:.0f} %"


def rung_text(rung: RungRecord) -> str:
    """Write a fidelity in words: 128 px, 25 % of the images, 3 epochs."""
    epochs, fraction = rung.epochs, rung.fraction
    part = "all" if fraction == 1 else f"{100 * fraction:g} % of the" if fraction else "some"
    return f"{rung.image_size or '–'} px, {part} images, {epochs} {'epoch' if epochs == 1 else 'epochs'}"


def span(estimate: Interval | None, low: float, high: float) -> dict[str, float] | None:
    """Place an estimate and its interval on an axis from low to high: percents from the left; None without a value."""
    if not estimate or estimate.value is None or high <= low:
        return None

    def percent(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)

    point, left, right = percent(estimate.value), estimate.low, estimate.high
    if left is None or right is None:
        return {"point": point, "left": point, "width": 0.0}
    return {"point": point, "left": percent(left), "width": round(percent(right) - percent(left), 2)}


def around(estimate: Interval | None) -> dict[str, float] | None:
    """Place an estimate on an axis that has zero in its middle and just holds the interval."""
    ends = (estimate.low, estimate.value, estimate.high) if estimate else ()
    reach = 1.15 * max((abs(end) for end in ends if end is not None), default=0.0)
    return span(estimate, -reach, reach)


def run_command(winner: WinnerRecord | None, data: str) -> str | None:
    """Give the command that runs the winner's recipe, or None without one."""
    percent = f" --data {shlex.quote(data)}" if data else ""
    return f"kk run {shlex.quote(winner.recipe)}{percent}" if winner and winner.recipe else None


def cost_words(cost: CostRecord, rungs: int) -> dict[str, Any]:
    """Say what the ladder saved; `bar` is the spent share in percent of the longer of the two."""
    spent, full, share = cost.seconds, cost.full_seconds, cost.share
    words: dict[str, Any] = {**msgspec.structs.asdict(cost), "headline": None, "bar": None}
    if rungs > 1 and spent is not None and full and share is not None:
        saved = 1 - share
        words["headline"] = f"{percent_text(saved)} saved" if saved > 0 else "Nothing saved"
        words["bar"] = (round(100 * spent / max(spent, full), 1), round(100 * full / max(spent, full), 1))
    return words


def trial_rows(trials: Sequence[TrialRecord], rungs: int, sign: int, winner: int | None) -> list[dict[str, Any]]:
    """Turn trials into rows of a table: those that climbed furthest first, among them the best first."""
    first = trials[0] if trials else None
    base = first.params if first and first.origin == "recipe" else {}
    rows = []
    for trial in trials:
        steps, params = trial.steps, trial.params
        spots = _spots(trial.number, steps)
        last = max((step.rung for step in steps), default=-1)
        ends = [step.status for step in steps if step.rung == last]
        scores = {spot.rung: spot.score for spot in spots}
        missing = {step.rung: STATUS.get(step.status, step.status) for step in steps}
        rows.append(
            {
                "number": trial.number,
                "origin": trial.origin or "–",
                "won": trial.number == winner,
                "params": {key: value for key, value in params.items() if key not in base or base[key] != value},
                "same": bool(base) and trial is not first,
                "scores": [scores.get(rung, missing.get(rung, "")) for rung in range(rungs)],
                "seconds": sum(step.seconds or 0 for step in steps) if steps else None,
                "status": next((STATUS[end] for end in ("failed", "pruned", "done") if end in ends), "not run"),
                "why": [WHY[s.why] for s in spots if s.rung and s.why in WHY],
                "notes": list(dict.fromkeys(note for step in steps for note in step.notes)),
                "shared": any(step.shared for step in steps),
                "spots": spots,
                "merit": (last, sign * scores[last] if last in scores else -math.inf),
            }
        )
    return sorted(rows, key=lambda row: (not row["won"], -row["merit"][0], -row["merit"][1]))


def climb(
    spots: Sequence[Spot], rungs: Sequence[RungRecord], sign: int, names: dict[int, str]
) -> dict[str, str] | None:
    """Draw the scores over rungs, or over trials where there is one rung; None without a score."""
    if not spots:
        return None
    if len(rungs) > 1:
        return charts.climb_chart(spots, [rung_text(rung) for rung in rungs], sign, names)
    return charts.order_chart(spots, sign, next((n for n, name in names.items() if "winner" in name), None))


def curve_charts(
    trials: Sequence[TrialRecord], rungs: Sequence[RungRecord], sign: int, names: dict[int, str]
) -> list[dict[str, Any]]:
    """Draw the learning curves of each rung that has some, all on one scale of scores; of seeds, the first."""
    found: list[dict[int, Sequence[float | None]]] = [{} for _ in rungs]
    for trial in trials:
        for step in trial.steps:
            if step.rung < len(rungs) and any(score is not None for score in step.curve):
                found[step.rung].setdefault(trial.number, step.curve)
    everything = [s for curves in found for curve in curves.values() for s in curve if s is not None]
    # The first epochs would take the room in which the ends tell themselves apart.
    everything = sorted(everything, key=lambda score: sign * score)[len(everything) // 10 :]
    marked = {number: "winner" if "winner" in name else "recipe" for number, name in names.items()}
    drawn = []
    for index, curves in enumerate(found):
        if curves:
            svg = charts.curves_chart(f"curves{index}", curves, charts.window(everything, sign), marked)
            drawn.append({"rung": index, "svg": svg, "count": len(curves)})
    return drawn


def spent_by_rung(trials: Sequence[TrialRecord], rungs: int) -> list[dict[str, Any]]:
    """Add up the device seconds of each rung that took some."""
    spent = [0.0] * rungs
    for step in (step for trial in trials for step in trial.steps):
        if step.rung < rungs:
            spent[step.rung] += step.seconds or 0
    return [{"rung": rung, "seconds": seconds} for rung, seconds in enumerate(spent) if seconds > 0]


def space_rows(space: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Write the range of each searched setting: choices, or low to high."""
    rows = []
    for key, distribution in space.items():
        found = distribution.get("attributes") or {}
        if "choices" in found:
            text = ", ".join(value_text(choice) for choice in found["choices"])
        else:
            text = f"{value_text(found.get('low'))} to {value_text(found.get('high'))}"
            text += f", in steps of {value_text(found['step'])}" if found.get("step") not in (None, 1) else ""
            text += ", log scale" if found.get("log") else ""
        rows.append((key, text))
    return rows


def _spots(number: int, steps: Sequence[StepRecord]) -> list[Spot]:
    by_rung: dict[int, list[StepRecord]] = {}
    for step in steps:
        if step.status == "done" and step.score is not None:
            by_rung.setdefault(step.rung, []).append(step)
    return [
        Spot(
            number,
            rung,
            sum(step.score or 0.0 for step in some) / len(some),
            sum(step.seconds or 0.0 for step in some) / len(some),
            some[0].why,
        )
        for rung, some in sorted(by_rung.items())
    ]


def _names(trials: Sequence[TrialRecord], winner: int | None) -> dict[int, str]:
    """What charts call the winner and the recipe, which may be one."""
    recipe = {trial.number: "recipe" for trial in trials if trial.origin == "recipe"}
    if winner is None:
        return recipe
    return recipe | {winner: "winner, the recipe" if winner in recipe else "winner"}


def finite(result: SearchResult) -> SearchResult:
    """The same with None for numbers that are none, so that nothing downstream meets them."""
    return msgspec.convert(_finite(msgspec.to_builtins(result)), SearchResult)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
