"""Draw the charts of a search: who climbed, how trials learnt, and what scores cost. Up is better on all of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from kagglekit.report import figures
from kagglekit.report.figures import ACCENT, INK, MUTED, SECOND, SURFACE, THIRD

# Colour, line and marker together: a colour-blind reader and a grey printer tell them apart, too.
WAYS = {"merit": (ACCENT, "-", "o"), "recipe": (SECOND, (0, (5, 2)), "D"), "control": (THIRD, (0, (1.2, 1.6)), "s")}
SHAPES = ("o", "s", "^", "D", "v", "P")  # of rungs, the cheapest first
WIDE, NARROW = (10.4, 4.4), (4.6, 4.3)  # inches: a card on a desk, and one on a phone
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
COARSE, FINE = (1, 3, 10, 30), (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 50)  # of a unit, for ticks of time


@dataclass(frozen=True)
class Spot:
    """What one trial did on one rung: its mean score and seconds over seeds, and why it ran there."""

    number: int
    rung: int
    score: float
    seconds: float
    why: str


@dataclass(frozen=True)
class Window:
    """The part of the scores that a chart shows, from `worst` to `best`; `sign` is -1 where smaller is better."""

    worst: float
    best: float
    sign: int

    def hold(self, score: float) -> float:
        """The score, or the edge where it lies beyond."""
        return max(score, self.worst) if self.sign > 0 else min(score, self.worst)

    def hides(self, score: float) -> bool:
        """Is the score too bad to be shown where it is?"""
        return self.hold(score) != score


def window(scores: Sequence[float], sign: int) -> Window:
    """Choose what to show: all, or without the hopeless ones that would flatten the rest to a line."""
    merits = [sign * score for score in scores]
    best, middle, worst = max(merits), statistics.median(merits), min(merits)
    if best > middle:
        worst = max(worst, best - 4 * (best - middle))
    return Window(sign * worst, sign * best, sign)


def two_sizes(name: str, draw: Callable[[Any, bool], None], label: str, wide=WIDE, narrow=NARROW) -> dict[str, str]:
    """Draw a chart for a desk and once more for a phone; `draw` takes the axes and whether there is room."""
    return {
        "wide": figures.svg_chart(f"{name}-wide", lambda axes: draw(axes, True), label, wide),
        "narrow": figures.svg_chart(f"{name}-narrow", lambda axes: draw(axes, False), label, narrow),
    }


def climb_chart(spots: Sequence[Spot], rungs: Sequence[str], sign: int, names: dict[int, str]) -> dict[str, str]:
    """Draw every trial over the rungs: a line for each that climbed, a dot for each that stayed; `names` are labels.

    `rungs` says in short what each rung is.
    """
    view = window([spot.score for spot in spots], sign)
    paths: dict[int, list[Spot]] = {}
    for spot in sorted(spots, key=lambda s: (s.number, s.rung)):
        paths.setdefault(spot.number, []).append(spot)

    def draw(axes, roomy: bool) -> None:
        figures.dress(axes)
        for path in paths.values():
            _draw_path(axes, path, view, "winner" in names.get(path[0].number, ""))
        last = len(rungs) - 1
        _label_ends(axes, [path[-1] for path in paths.values() if path[-1].rung == last], view, names, roomy)
        axes.set_xlim(-0.12 if roomy else -0.2, last + (0.16 if roomy else 0.62))
        axes.set_xticks(
            range(len(rungs)), [f"rung {i}\n{text}" if roomy else f"{i}" for i, text in enumerate(rungs, 1)]
        )
        axes.set_xlabel("" if roomy else "rung", color=MUTED)
        _score_axis(axes, view)

    return two_sizes("climb", draw, "Score of every trial on each rung")


def order_chart(spots: Sequence[Spot], sign: int, winner: int | None) -> dict[str, str]:
    """Draw the scores of a search with one rung in the order of its trials, with the best so far as a line."""
    view = window([spot.score for spot in spots], sign)
    ordered = sorted(spots, key=lambda s: s.number)
    best: list[float] = []
    for spot in ordered:
        best.append(sign * max(sign * spot.score, sign * best[-1]) if best else spot.score)

    def draw(axes, roomy: bool) -> None:
        from matplotlib.ticker import MaxNLocator

        figures.dress(axes)
        axes.step([s.number for s in ordered], best, where="post", color=ACCENT, linewidth=2)
        for spot in ordered:
            color, marker = (ACCENT, "o") if spot.number == winner else (MUTED, "v" if view.hides(spot.score) else "o")
            style = {"color": color, "markersize": 7, "markeredgecolor": SURFACE}
            axes.plot([spot.number], [view.hold(spot.score)], marker, **style)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10 if roomy else 6, min_n_ticks=1))
        axes.set_xlabel("trial", color=MUTED)
        axes.margins(x=0.04)
        _score_axis(axes, view)

    return two_sizes("climb", draw, "Score of every trial in order, and the best so far")


def curves_chart(name: str, curves: dict[int, Sequence[float | None]], view: Window, marked: dict[int, str]) -> str:
    """Draw the validation scores over the epochs of one rung; `marked` are winner and recipe, the others stay pale."""

    def draw(axes) -> None:
        from matplotlib.ticker import MaxNLocator

        figures.dress(axes)
        for number, curve in sorted(curves.items(), key=lambda pair: (pair[0] in marked, pair[0])):
            points = [(epoch, score) for epoch, score in enumerate(curve, 1) if score is not None]
            style = {"color": MUTED, "linewidth": 1.1, "alpha": 0.45}
            if number in marked:
                color, line = (ACCENT, "-") if marked[number] == "winner" else (SECOND, (0, (4, 1.8)))
                style = {"color": color, "linewidth": 2.6, "linestyle": line, "zorder": 4}
            if len(points) == 1:
                style |= {"marker": "o", "markersize": 5}
            axes.plot(*zip(*points, strict=True), solid_capstyle="round", **style)
        axes.set_xlabel("epoch", color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.margins(x=0.06)
        _score_axis(axes, view)

    return figures.svg_chart(name, draw, "Validation score by epoch, winner and recipe highlighted", (3.8, 2.9))


def cost_chart(spots: Sequence[Spot], rungs: int, sign: int, names: dict[int, str]) -> dict[str, str]:
    """Draw the score of each trial over the device seconds it took, with a marker and a tone for each rung."""
    view = window([spot.score for spot in spots], sign)
    seconds = [spot.seconds for spot in spots]

    def draw(axes, roomy: bool) -> None:
        figures.dress(axes)
        for spot in spots:
            position, last = (spot.seconds, view.hold(spot.score)), spot.rung == rungs - 1
            style = {"color": ACCENT, "alpha": tone(spot.rung, rungs), "markersize": 8, "markeredgewidth": 0}
            axes.plot(*position, SHAPES[spot.rung % len(SHAPES)], **style)
            if last and spot.number in names:
                axes.plot(
                    *position, "o", markersize=14, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.4
                )
                # One to the left and one to the right: winner and recipe often lie close together.
                aside, align = (-12, "right") if "winner" in names[spot.number] else (12, "left")
                axes.annotate(names[spot.number], position, (aside, 0), textcoords="offset points", ha=align,
                              va="center",
                              color=INK, fontweight="bold")  # fmt: skip
        axes.set_xscale("log")
        low, high = min(seconds) / 1.5, max(seconds) * (1.6 if roomy else 4)
        axes.set_xlim(low, high)
        ticks = _duration_ticks(low, high, 8 if roomy else 4)
        axes.set_xticks(ticks, [short_duration(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("device time of the trial on that rung", color=MUTED)
        _score_axis(axes, view)

    return two_sizes("cost", draw, "Score of each trial over the device time it took", (10.4, 3.8))


def tone(rung: int, rungs: int) -> float:
    """How strong a rung's colour is: the cheapest is pale, the full one solid."""
    return 1.0 if rungs < 2 else round(0.4 + 0.6 * rung / (rungs - 1), 2)


def short_duration(seconds: float) -> str:
    """Write a round time for an axis: 30 s, 3 min, 10 h, 3 d."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _draw_path(axes, path: Sequence[Spot], view: Window, strong: bool) -> None:
    for left, right in pairwise(path):
        color, line, _ = WAYS.get(right.why, WAYS["merit"])
        ends = [view.hold(left.score), view.hold(right.score)]
        axes.plot(
            [left.rung, right.rung], ends, color=color, linestyle=line, linewidth=3.6 if strong else 1.8, zorder=3
        )
    climbed = len(path) > 1
    for index, spot in enumerate(path):
        # A dot on the way is coloured as the step that leaves it; the last one as the step that led there.
        color, _, marker = WAYS.get(path[min(index + 1, len(path) - 1)].why, WAYS["merit"])
        fill, edge = (color, SURFACE) if climbed else (SURFACE, MUTED)
        marker = "v" if view.hides(spot.score) else marker if climbed else "o"
        # Those that stayed stand a little aside, not under the lines of those that climbed.
        position = spot.rung if climbed else spot.rung - 0.03
        axes.plot([position], [view.hold(spot.score)], marker, markersize=7.5 if climbed else 5.5,
                  markerfacecolor=fill, markeredgecolor=edge, markeredgewidth=1.3, zorder=4)  # fmt: skip


def _label_ends(axes, ends: Sequence[Spot], view: Window, names: dict[int, str], roomy: bool) -> None:
    """Write beside the last rung who is who: from best to worst, pushed apart where they would overlap."""
    ordered = sorted(ends, key=lambda s: -view.sign * s.score)
    if len(ordered) > 10:
        ordered = [spot for spot in ordered if spot.number in names][:10]
    room = abs(view.best - view.worst) * (0.055 if roomy else 0.06)
    above = None
    for spot in ordered:
        at = view.hold(spot.score)
        if above is not None and view.sign * (above - at) < room:
            at = above - view.sign * room
        above = at
        strong = spot.number in names
        axes.annotate(
            f"{spot.number} {names.get(spot.number, '')}".strip(), (spot.rung, at), (11, 0),
            textcoords="offset points", va="center", color=INK if strong else MUTED,
            fontweight="bold" if strong else "normal", annotation_clip=False,
        )  # fmt: skip


def _score_axis(axes, view: Window) -> None:
    from matplotlib.ticker import MaxNLocator

    span = abs(view.best - view.worst) or max(abs(view.best), 1e-6) * 0.1
    bottom, top = view.worst - view.sign * 0.08 * span, view.best + view.sign * 0.08 * span
    axes.set_ylim(bottom, top)  # where smaller is better, the axis is upside down: up is better on every chart
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def _duration_ticks(low: float, high: float, most: int) -> list[float]:
    limits = {"d": math.inf, "h": 24, "min": 60, "s": 60}
    for steps in (COARSE, FINE):
        ticks = sorted(step * size for size, unit in UNITS for step in steps if step < limits[unit])
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            break
    while len(inside) > most:
        inside = inside[::-2][::-1]
    return inside or [(low * high) ** 0.5]
