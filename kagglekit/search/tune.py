"""A search from its plan to its winner: one folder below the runs, which is all that a resume needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from kagglekit import progress
from kagglekit.data.fingerprint import fingerprint
from kagglekit.errors import RunError, UsageError
from kagglekit.files import locked, write_text
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.protocols import Dataset
from kagglekit.recipe import Recipe, digest
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import code_version, hardware
from kagglekit.runs.record import amend, stamped
from kagglekit.runs.search_record import SHOWN, SearchPlan, SearchResult, read_search, read_search_plan
from kagglekit.search.estimate import windows
from kagglekit.search.ladder import Ladder, Plan
from kagglekit.search.post_training import after_training
from kagglekit.search.rungs import default_rungs
from kagglekit.search.space import to_json
from kagglekit.search.storage import RESULT, SEARCH, WINNER, Storage
from kagglekit.search.summary import summarize
from kagglekit.search.trial_runner import TrialContext
from kagglekit.search.trial_store import Trials, retire_outside

FIXED = ("competition", "recipe", "rungs", "seed", "prior", "warm", "data")  # may not differ on a resume
ADVICE = "remove the folder of the search, or choose another --name"
LOOSE = {"space": "space", "trials": "trials", "promote": "promote", "controls": "controls", "repeats": "seeds"}
Executor = Callable[[Ladder, TrialContext], None]


@dataclass(frozen=True)
class Search:
    """A named plan on data that are indexed; `mark` is their fingerprint, `limit` is in seconds of devices."""

    plan: Plan
    solution: Solution
    data: Path
    dataset: Dataset
    data_fingerprint: str
    command: str = ""
    resume: bool = False
    limit: float | None = None
    storage: str = ""

    @property
    def folder(self) -> Path:
        """Where the search lies."""
        return folders.home() / "searches" / self.plan.name


def search_of(plan: Plan, solution: Solution, data: Path, **more: Any) -> Search:
    """A search of the data folder `data`; without a name of its own it has one that equal searches share.

    A plan without rungs gets those that suit the recipe and the data.
    """
    dataset = solution.dataset(data)
    if not plan.rungs:
        drawn, _ = windows(dataset, plan.recipe.fidelity.image_size)
        learned = drawn * (1 - 1 / plan.recipe.folds)
        plan = replace(plan, rungs=default_rungs(solution.competition, plan.recipe, learned))
    data_fingerprint = fingerprint(data, dataset.files, folders.cache(), progress.track)
    # Sizes and space may change on a resume, so that they are no part of the name.
    kept = {name: value for name, value in describe(plan).items() if name not in LOOSE}
    plan = replace(plan, after=after_training(plan.space, solution))
    plan = replace(plan, name=plan.name or f"{plan.recipe.competition}-{digest([kept, data_fingerprint])[:6]}")
    return Search(plan, solution, data, dataset, data_fingerprint, **more)


def describe(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-like values."""
    return {
        "competition": plan.recipe.competition,
        "recipe": plan.recipe.model_dump(mode="json"),
        "space": to_json(plan.space),
        "rungs": [asdict(rung) for rung in plan.rungs],
        **{
            name: getattr(plan, name)
            for name in ("trials", "promote", "controls", "seed", "repeats", "prior", "warm", "prune")
        },
    }


def tune(search: Search, execute: Executor) -> SearchResult:
    """Run the search, or go on with it; returns its result. Raises KagglekitError."""
    started, folder, code = time.time(), search.folder, code_version(search.solution)
    with alone(folder):
        storage = Storage(search.storage, folder) if search.storage else None
        if storage:
            storage.fetch()
        before = evidence(search, code)
        if before and search.limit is not None:  # what a budget suffices for is decided once, not by each probe
            search = replace(search, plan=replace(search.plan, trials=before.trials))
        plan = search.plan
        fixed = [
            code,
            search.data_fingerprint,
            plan.recipe.identity(),
            [asdict(rung) for rung in plan.rungs],
            plan.seed,
            plan.warm,
        ]
        trials = Trials(folder, digest(fixed))
        try:
            if before:
                say_what_changed(before, plan, code, trials)
            ladder = Ladder(plan, trials, limit=search.limit)
            if storage:
                ladder.after = lambda: storage.push_soon(trials.connection)
            try:
                execute(ladder, TrialContext(search.data.absolute(), search.command))
            except KeyboardInterrupt:
                conclude(ladder, search, time.time() - started)
                progress.say(f"search {plan.name} was interrupted; the same command goes on with it")
                raise
            result = conclude(ladder, search, time.time() - started)
            runs = folders.home() / search.solution.competition.id
            drop_losers(ladder, runs)
            if storage:
                storage.push_last(trials.connection, runs / result.winner.run if result.winner else None)
        finally:
            trials.close()
    return result


def known(search: Search) -> SearchResult | None:
    """The result of the search if it was done before, by the same code; None if there is anything to do."""
    path = search.folder / SEARCH
    if not path.exists():
        return None
    before, now = read_search_plan(path, ADVICE), contents(search, code_version(search.solution))
    if differ(before, now, ("code", *FIXED, *LOOSE)) or not before.done:
        return None
    return read_search(search.folder / RESULT, SHOWN, ADVICE)


def differ(before: SearchPlan, now: SearchPlan, names: Iterable[str]) -> list[str]:
    """Those of the names in which two plans differ."""
    return [name for name in names if getattr(before, name) != getattr(now, name)]


@contextmanager
def alone(folder: Path, record: str = SEARCH):
    """Hold the search of a folder; raises RunError while another living process does.

    A folder without `record`, the file that says what lies there, goes away again.
    """

    def busy() -> None:
        who = f"{Path(record).stem} {folder.name} is under way in another process"
        raise RunError(f"{who}; wait for it, or choose a --name")

    with locked(folder / ".lock", busy):
        try:
            yield
        finally:
            if not (folder / record).exists():  # refused before it began
                shutil.rmtree(folder, ignore_errors=True)


def contents(search: Search, code: str) -> SearchPlan:
    """What a search says of itself in its folder."""
    return SearchPlan(
        name=search.plan.name,
        **describe(search.plan),
        data=search.data_fingerprint,
        code=code,
        folder=str(search.data),
        command=search.command,
        hardware=hardware(),
        metric=search.solution.competition.metric.name,
    )


def evidence(search: Search, code: str) -> SearchPlan | None:
    """Write what the search is, or compare it with what lies there, which is returned; UsageError where they differ."""
    content, path, name = contents(search, code), search.folder / SEARCH, search.plan.name
    before = read_search_plan(path, ADVICE) if path.exists() else None
    if before is None:
        if search.resume:
            raise UsageError(f"--resume: there is no search {name}; leave --resume out to begin")
        stamped(path, content)
        return None
    if other := differ(before, content, FIXED):
        raise UsageError(
            f"search {name} exists and is another one, with other {' and '.join(other)}; choose another --name"
        )
    if search.limit is not None:
        content = msgspec.structs.replace(content, trials=before.trials)
    loose = [LOOSE[name] for name in differ(before, content, LOOSE)]
    if loose and not search.resume:
        raise UsageError(
            f"search {name} exists with other {' and '.join(loose)}; --resume goes on with the new ones, "
            "or choose another --name"
        )
    stamped(path, msgspec.structs.replace(content, done=before.done and not loose))
    return before


def say_what_changed(before: SearchPlan, plan: Plan, code: str, trials: Trials) -> None:
    """Say what is no longer as it was when trials ran, and keep those out that it makes stale."""
    now = describe(plan)
    if before.code != code:
        trials.forget_climbs()
        stale = trials.stale()
        progress.say(f"the code has changed since: {len(stale)} finished trial(s) are stale and run again"
                     + "".join(f"\n  rung {rung + 1}, trial {number}" for rung, number, _ in stale[:20]))  # fmt: skip
    if before.space != now["space"]:
        outside = retire_outside(trials, plan.space, plan.prior)
        progress.say(f"the space has changed since: {len(outside)} trial(s) lie outside it and no longer count"
                     + "".join(f"\n  trial {number}" for number in outside[:20]))  # fmt: skip
    if any(getattr(before, name) != now[name] for name in ("trials", "promote", "controls")):
        trials.forget_climbs()
        progress.say("the size of the search has changed since: promotions are decided anew")
    else:
        progress.say(f"search {trials.folder.name}: going on after {len(trials.light())} finished trial(s)")


def conclude(ladder: Ladder, search: Search, seconds: float) -> SearchResult:
    """Write result, the winner's recipe and the page; returns the result."""
    from kagglekit.report.tune_page import write_tune_page

    folder, competition = search.folder, search.solution.competition
    found = {
        "name": ladder.plan.name,
        "competition": competition.id,
        "title": competition.title,
        "metric": competition.metric.name,
        "greater_is_better": competition.metric.greater_is_better,
        "command": search.command,
        "data": str(search.data),
        "clock_seconds": round(seconds, 1),
        "hardware": hardware(),
        "plan": describe(ladder.plan),
        "complete": ladder.finished,
        **summarize(ladder),
    }
    result = msgspec.convert(found, SearchResult)
    if result.winner:
        write_text(folder / WINNER, winning_recipe(ladder, result.winner.number, search.solution))
        winner = msgspec.structs.replace(result.winner, recipe=str(folder / WINNER))
        result = msgspec.structs.replace(result, winner=winner)
    write_tune_page(folder, result)
    result = stamped(folder / RESULT, result)
    amend(folder / SEARCH, done=ladder.finished)  # last: whoever finds it done reads the result
    return result


def winning_recipe(ladder: Ladder, number: int, solution: Solution) -> str:
    """The TOML text of a recipe that `kk run` takes: what ran on the last rung, and how it is best judged."""
    return resolve(Recipe.model_validate(ladder.winning_tree(number)), solution.registry).recipe.to_toml()


def drop_losers(ladder: Ladder, runs: Path) -> None:
    """Remove the weights and probabilities of trials that won nothing; scores, curves and recipes stay.

    Runs that `kk run` finished, or is at, are left alone. The last rung is kept: it is what one would ensemble.
    """
    last = len(ladder.plan.rungs) - 1
    # Runs whose weights those of the last rung began with: what `kk run` needs to repeat them.
    kept = {Path(ladder.task(key).warm).parts[-3:-2] for key in ladder.results if key[0] == last}
    for (rung, _, _), outcome in ladder.results.items():
        folder = runs / outcome.run
        won = rung == last and outcome.status == "done"
        if won or (outcome.run,) in kept or not outcome.run or outcome.shared:
            continue
        if folders.is_done(folder) or folders.is_running(folder):
            continue
        for part in ("checkpoints", "validation"):
            shutil.rmtree(folder / part, ignore_errors=True)
