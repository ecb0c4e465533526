"""A whole search, in-process: its folder, its winner, its resume, what changed since, a second home."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution

from kagglekit.errors import RunError, UsageError
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import compose, load
from kagglekit.runs import folder as folders
from kagglekit.search import tune as tuning
from kagglekit.search.ladder import Plan
from kagglekit.search.local import climb
from kagglekit.search.rungs import parse_rungs
from kagglekit.search.space import default_space
from kagglekit.search.tune import Search, known, search_of, tune
from tests.search.planted import objective


def wanted(data: Path, resume: bool = False, storage: str = "", **changes) -> Search:
    """A search of the toy competition."""
    registry = discover()
    recipe, _ = compose([("", {"competition": "discs"}), ("", registry.competition("discs")[1].recipe)])
    solution = resolve(recipe, registry)
    space = {key: d for key, d in default_space(solution).items() if key in ("lr", "loss.dice")}
    facts = {"name": "mine", "trials": 6, "rungs": parse_rungs("32:50%:1,64:100%:2"), "space": space}
    plan = Plan(recipe=solution.recipe, **facts | changes)
    return search_of(plan, solution, data, command="kk tune discs", resume=resume, storage=storage)


def planted(ladder, place):
    """Runs no training."""

    def quick(task, report):
        outcome = objective(Fake(task), report)
        return replace(outcome, run=f"run{task.key}")

    climb(ladder, quick)


class Fake:
    """A task as the planted objective wants it."""

    def __init__(self, task):
        self.key, self.recipe = task.key, task.recipe | {"decoder": "unet"}


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(tuning.progress, "say", lines.append)
    return lines


def test_a_search_ends_with_a_recipe_a_page_and_a_result(toy):
    search = wanted(toy)
    result, folder = tune(search, planted), search.folder
    assert folder == folders.home() / "searches" / "mine" and (folder / "report.html").stat().st_size > 5000
    assert json.loads((folder / "result.json").read_text())["winner"]["number"] == result.winner.number
    layer = load(folder / "winner.toml")
    recipe, _ = compose([("file", layer)])
    assert resolve(recipe, discover()).recipe.lr == result.winner.params["lr"]
    assert (recipe.fidelity.image_size, recipe.fidelity.epochs) == (64, 2)


def test_the_same_search_is_not_run_twice(toy, said):
    first = tune(wanted(toy), planted)

    assert known(wanted(toy)) == first
    assert known(wanted(toy, trials=7)) is None and known(wanted(toy, name="another")) is None

    def nobody(ladder, place):
        climb(ladder, lambda task, report: pytest.fail("a trial ran again"))

    assert tune(wanted(toy), nobody).trials == first.trials


@pytest.mark.parametrize("text", ["{}", "[]", '{"done": ', "[" * 3000, '{"winner": 5}'])
def test_records_of_a_search_that_are_damaged_say_what_to_do(toy, text):
    folder = wanted(toy).folder
    tune(wanted(toy), planted)
    kept = (folder / "result.json").read_text()
    (folder / "result.json").write_text(text)
    with pytest.raises(RunError, match=r"result\.json: damaged: "):
        known(wanted(toy))
    (folder / "result.json").write_text(kept)
    (folder / "search.json").write_text(text)
    for act in (known, lambda search: tune(search, planted)):
        with pytest.raises(RunError, match=r"search\.json: damaged: "):
            act(wanted(toy))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"not a database at all" * 200),
        lambda path: (
            sqlite3.connect(path, isolation_level=None).execute("update trials set detail = '{'").connection.close()
        ),
        lambda path: (
            sqlite3.connect(path, isolation_level=None).execute("update trials set detail = '[1]'").connection.close()
        ),
        lambda path: (
            sqlite3.connect(path, isolation_level=None).execute("update configs set params = 5").connection.close()
        ),
        lambda path: (
            sqlite3.connect(path).executescript("drop table trials; create table trials (a)").connection.close()
        ),
    ],
)
def test_a_table_of_trials_that_is_damaged_says_what_to_do(toy, spoil):
    tune(wanted(toy), planted)
    spoil(wanted(toy).folder / "trials.db")
    with pytest.raises(RunError, match=r"trials\.db: .*; .*choose another --name"):
        tune(wanted(toy), planted)


def test_a_name_that_another_search_has_is_refused(toy):
    tune(wanted(toy), planted)
    with pytest.raises(
        UsageError, match="search mine exists and is another one, with other rungs; choose another --name"
    ):
        tune(wanted(toy, rungs=parse_rungs("32:50%:1,64:100%:3")), planted)
    with pytest.raises(UsageError, match="with other seed; choose"):
        tune(wanted(toy, seed=3), planted)
    with pytest.raises(UsageError, match="exists with other trials; --resume goes on with the new ones"):
        tune(wanted(toy, trials=8), planted)


def test_resume_without_a_search_says_so(toy):
    with pytest.raises(UsageError, match="--resume: there is no search mine"):
        tune(wanted(toy, resume=True), planted)


def test_two_processes_cannot_be_at_one_search(toy):
    with tuning.alone(wanted(toy).folder), pytest.raises(RunError, match="under way in another process; wait"):
        tune(wanted(toy), planted)


def test_a_search_grows_by_resume(toy, said):
    tune(wanted(toy), planted)
    result = tune(wanted(toy, resume=True, trials=10, promote=2), planted)
    assert result.rungs[0].done == 10 and any("promotions are decided anew" in line for line in said)


def test_changed_code_is_said_stale_trials_are_listed_and_run_again(toy, said, monkeypatch):
    first = tune(wanted(toy), planted)
    monkeypatch.setattr(tuning, "code_version", lambda solution: "another")
    result = tune(wanted(toy), planted)
    [line] = [line for line in said if "the code has changed" in line]
    finished = sum(rung.done for rung in first.rungs)
    assert f"{finished} finished trial(s) are stale" in line and "rung 1, trial 0" in line
    assert len(result.stale) == finished and result.rungs[0].done == 6


def test_a_changed_space_is_said_and_keeps_what_still_lies_in_it(toy, said):
    tune(wanted(toy, trials=12), planted)
    space = wanted(toy).plan.space | {"lr": FloatDistribution(5e-3, 5e-2, log=True)}
    result = tune(wanted(toy, resume=True, trials=12, space=space), planted)
    [line] = [line for line in said if "the space has changed" in line]
    outside = int(line.split(": ")[1].split()[0])
    assert 0 < outside < 12 and f"{outside} trial(s) lie outside it" in line
    lrs = [t.params["lr"] for t in result.trials]
    assert len(lrs) == 12 and all(5e-3 <= lr <= 5e-2 for lr in lrs)


def test_weights_of_losers_are_removed_and_those_of_the_last_rung_kept(toy):
    from kagglekit.search.local import objective_at

    def really(ladder, place):
        climb(ladder, objective_at(place))

    result = tune(wanted(toy, trials=4, controls=0), really)
    kept = {f.parent.name for f in (folders.home() / "discs").glob("*/checkpoints")}
    last = {s.run for t in result.trials for s in t.steps if s.rung == 1}
    assert kept == last and last
    assert all((folders.home() / "discs" / s.run / "validated.json").exists()
               for t in result.trials for s in t.steps)  # fmt: skip


def test_a_storage_holds_enough_to_go_on_elsewhere(toy, tmp_path, monkeypatch):
    storage = tmp_path / "bucket"
    first = tune(wanted(toy, storage=str(storage)), planted)
    with sqlite3.connect(storage / "mine" / "trials.db") as copy:
        assert copy.execute("select count(*) from trials").fetchone()[0] == sum(r.trials for r in first.rungs)
    assert (storage / "mine" / "winner.toml").exists()
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "another machine"))

    def nobody(ladder, place):
        climb(ladder, lambda task, report: pytest.fail("a trial ran again"))

    second = tune(wanted(toy, resume=True, storage=f"file://{storage}"), nobody)
    assert second.winner.score == first.winner.score


def test_a_storage_in_memory_works_as_any_url_does(toy):
    import fsspec

    tune(wanted(toy, storage="memory://searches"), planted)
    assert fsspec.filesystem("memory").exists("/searches/mine/result.json")


def test_a_storage_that_fails_in_the_middle_does_not_end_the_search_but_a_missing_copy_is_no_success(
    toy, tmp_path, monkeypatch, said
):
    def full(self, *words, **more):
        raise OSError("no space left")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.put", full)
    with pytest.raises(
        RunError, match=r"the search is done and lies in .*, but could not be copied: OSError: no space"
    ):
        tune(wanted(toy, storage=str(tmp_path / "bucket")), planted)
    assert any("no space left; tried again later" in line for line in said)
    monkeypatch.undo()


@pytest.mark.parametrize("storage", ["nosuch://bucket", "/proc/nothing/here"])
def test_a_storage_that_cannot_be_written_is_refused_first(toy, storage):
    with pytest.raises((UsageError, RunError), match=f"--storage {storage}: "):
        tune(wanted(toy, storage=storage), lambda ladder, place: pytest.fail("trained before"))
