"""The ladder on planted objectives: what runs, who climbs, what is recorded, how it goes on."""

import itertools
import resource
import time

import pytest
from optuna.distributions import FloatDistribution

from kagglekit.errors import RunError
from kagglekit.search.ladder import Ladder
from kagglekit.search.summary import pick_winner, summarize
from kagglekit.search.trial_store import Outcome, Trials, retire_outside
from tests.search.planted import SPACE, THREE, objective, plan, quality, search, table


def test_every_rung_holds_the_trials_of_the_plan(tmp_path):
    ladder = search(tmp_path, plan(THREE, trials=16, promote=1))
    assert [len(ladder.scores(rung)) for rung in range(3)] == [
        16,
        *map(len, (ladder.trials.climbs(1), ladder.trials.climbs(2))),
    ]
    whys = [list(ladder.trials.climbs(rung).values()) for rung in (1, 2)]
    assert whys[0].count("merit") == 3 and whys[0].count("control") == whys[0].count("recipe") == 1
    assert whys[1].count("merit") == 1 and "control" not in whys[1]
    assert 0 in ladder.trials.climbs(1) and 0 in ladder.trials.climbs(2)  # the recipe climbs to the top


def test_trials_of_a_rung_have_its_fidelity_and_climb_with_their_settings(tmp_path):
    seen = []

    def watching(task, report):
        seen.append(task)
        return objective(task, report)

    search(tmp_path, plan(THREE, trials=8), watching)
    for task in seen:
        rung, number, _ = task.key
        assert task.recipe["fidelity"] == [
            {"image_size": 64, "fraction": 0.25, "epochs": 2},
            {"image_size": 96, "fraction": 0.5, "epochs": 4},
            {"image_size": 128, "fraction": 1.0, "epochs": 8},
        ][rung]  # fmt: skip
        assert task.last == (rung == 2)
        first = next(t for t in seen if t.key == (0, number, 0))
        assert task.params == first.params and task.recipe["lr"] == first.recipe["lr"]


def test_a_horizon_shrinks_with_the_epochs_of_a_rung(tmp_path):
    from kagglekit.recipe import Recipe

    chosen = plan(THREE, recipe=Recipe(competition="toy", horizon=16.0))
    ladder = Ladder(chosen, Trials(tmp_path, "c"))
    ladder.next()
    assert [ladder.task((rung, 0, 0)).recipe["horizon"] for rung in range(3)] == [4.0, 8.0, 16.0]


def test_the_search_never_ends_below_the_recipe_it_began_with(tmp_path):
    for seed in range(8):
        ladder = search(tmp_path / str(seed), plan(trials=6, promote=1, seed=seed))
        final = ladder.scores(1)
        assert 0 in final and final[pick_winner(ladder)] >= final[0]


def test_the_last_rung_holds_another_trial_than_the_recipe_even_where_the_recipe_leads(tmp_path):
    def loyal(task, report):
        return Outcome("done", 1.0 if task.key[1] == 0 else quality(task.recipe) - 9, 1.0)

    for promoted in (1, 2):
        ladder = search(tmp_path / str(promoted), plan(THREE, trials=8, promote=promoted), loyal)
        whys = ladder.trials.climbs(2)
        assert whys[0] == "recipe" and list(whys.values()).count("merit") == promoted
        assert pick_winner(ladder) == 0


def test_a_recipe_whose_trial_failed_does_not_climb(tmp_path):
    def broken(task, report):
        return Outcome("failed") if task.key[1] == 0 else objective(task, report)

    ladder = search(tmp_path, plan(THREE, trials=8), broken)
    assert 0 not in ladder.trials.climbs(1) and list(ladder.trials.climbs(2).values()) == ["merit"]


def test_without_prior_the_recipe_is_no_trial(tmp_path):
    ladder = search(tmp_path, plan(trials=8, prior=False))
    assert all(c.origin in ("random", "near best") for c in ladder.configs)


def test_seeds_of_the_last_rung_differ_and_their_mean_counts(tmp_path):
    def by_seed(task, report):
        return Outcome("done", float(task.recipe["seed"]) + task.key[1], 1.0)

    ladder = search(tmp_path, plan(trials=4, promote=1, repeats=3, controls=0, prior=False), by_seed)
    assert [key for key in ladder.results if key[0] == 1] == [(1, 3, 0), (1, 3, 1), (1, 3, 2)]
    assert ladder.scores(1) == {3: 3 + 1.0}


def test_less_is_better_where_the_metric_says_so(tmp_path):
    def error(task, report):
        return Outcome("done", -quality(task.recipe), 1.0)

    ladder = search(tmp_path, plan(trials=12, greater_is_better=False, controls=0), error)
    low = ladder.scores(0)
    assert min(low, key=low.get) in ladder.trials.climbs(1)
    assert pick_winner(ladder) == min(ladder.scores(1), key=ladder.scores(1).get)


def test_failed_trials_do_not_climb_and_are_listed(tmp_path):
    def fragile(task, report):
        return Outcome("failed", error="too hot") if task.key[1] % 2 else objective(task, report)

    ladder = search(tmp_path, plan(trials=8, promote=2), fragile)
    result = summarize(ladder)
    assert {f["number"] for f in result["failed"]} == {1, 3, 5, 7} and result["failed"][0]["error"] == "too hot"
    assert all(number % 2 == 0 for number in ladder.trials.climbs(1))
    assert ladder.finished


def test_a_search_in_which_everything_fails_ends_without_a_winner(tmp_path):
    ladder = search(tmp_path, plan(trials=5), lambda task, report: Outcome("failed", error="no"))
    result = summarize(ladder)
    assert ladder.finished and result["winner"] is None and len(result["failed"]) == 5


@pytest.mark.parametrize("stop", range(0, 23, 3))
def test_a_search_that_is_cut_short_goes_on_to_the_same_table(tmp_path, stop):
    chosen = plan(THREE, trials=12, promote=2)
    undisturbed = search(tmp_path / "whole", chosen)
    ran, counter = [], itertools.count()

    class Cut(Exception):
        """The power fails."""

    def cut(task, report):
        if next(counter) == stop:
            raise Cut
        ran.append(task.key)
        return objective(task, report)

    (tmp_path / "cut").mkdir()
    trials = Trials(tmp_path / "cut", "code")
    try:
        from kagglekit.search.local import climb

        climb(Ladder(chosen, trials), cut)
    except Cut:
        trials.connection.close()  # as a killed process would leave it
    again = search(tmp_path / "cut", chosen, lambda task, report: ran.append(task.key) or objective(task, report))
    assert table(again) == table(undisturbed)
    assert len(ran) == len(set(ran)) == len(again.results)  # nothing lost, nothing run twice


def test_two_workers_make_the_same_table_as_one(tmp_path):
    chosen = plan(THREE, trials=12, promote=2)
    one = search(tmp_path / "one", chosen)
    (tmp_path / "two").mkdir()
    two = Ladder(chosen, Trials(tmp_path / "two", "code"))
    running = []
    while not two.finished or running:
        while len(running) < 3 and (task := two.next()):
            running.append(task)
        if running:
            task = running.pop(len(running) // 2)  # they end in another order than they began
            two.take(task.key, objective(task, lambda row: None))
    assert table(two) == table(one)


def test_an_eager_ladder_promotes_before_a_rung_is_complete_and_ends_complete(tmp_path):
    chosen = plan(THREE, trials=16, promote=1, eager=True)
    ladder = Ladder(chosen, Trials(tmp_path, "c"))
    running, early = [], 0
    while not ladder.finished or running:
        while len(running) < 6 and (task := ladder.next()):
            running.append(task)
            early += task.key[0] == 1 and len(ladder.scores(0)) < 16
        if running:
            task = running.pop(0)
            ladder.take(task.key, objective(task, lambda row: None))
    assert early > 0 and len(ladder.scores(0)) == 16 and ladder.scores(2)


def test_pruning_stops_what_falls_behind_but_never_the_recipe(tmp_path):
    chosen = plan("64:50%:6,128:100%:8", trials=16, prune=True)
    ladder = Ladder(chosen, Trials(tmp_path, "c"))
    for number in range(4):
        task = ladder.next()
        assert task.bars == ()  # nobody to compare with yet
        ladder.take(task.key, Outcome("done", 0.5, 1.0, tuple(0.1 * number + 0.01 * e for e in range(6))))
    bars = ladder.next().bars
    assert len(bars) == 6 and bars[:3] == (-float("inf"),) * 3
    assert bars[3:] == pytest.approx((0.23, 0.24, 0.25))  # the median of what the others had reached
    assert ladder.task((0, 0, 0)).bars == () and ladder.task((1, 5, 0)).bars == ()


def test_a_spent_limit_ends_the_proposals_but_not_the_climb(tmp_path):
    ladder = search(tmp_path, plan(trials=32, promote=1), limit=5.0)
    assert len(ladder.scores(0)) == 8 and ladder.scores(1) and ladder.finished  # whole waves


def test_trials_of_other_code_do_not_count_and_are_listed(tmp_path):
    first = search(tmp_path, plan(trials=6), code="old")
    first.trials.close()
    later = search(tmp_path, plan(trials=6), lambda task, report: Outcome("done", 0.5, 1.0), code="new")
    assert set(later.scores(0).values()) == {0.5}
    stale = summarize(later)["stale"]
    assert len(stale) == len(first.results) and {"rung": 0, "number": 0, "repeat": 0} in stale


def test_trials_outside_a_changed_space_are_retired_and_replaced(tmp_path):
    search(tmp_path, plan(trials=12)).trials.close()
    narrow = SPACE | {"lr": FloatDistribution(1e-4, 1e-2, log=True)}
    trials = Trials(tmp_path, "code")
    outside = retire_outside(trials, narrow, prior=True)
    assert outside and 0 not in outside
    from kagglekit.search.local import climb

    ladder = Ladder(plan(trials=12, space=narrow), trials)
    climb(ladder, objective)
    alive = [c for c in ladder.configs if c.origin != "retired"]
    assert len(alive) == 12 and not {c.number for c in alive} & set(outside)
    assert all(1e-4 <= c.params["lr"] <= 1e-2 for c in alive)
    assert not set(outside) & set(ladder.trials.climbs(1))


def test_more_trials_extend_a_search(tmp_path):
    search(tmp_path, plan(trials=6)).trials.close()
    trials, ran = Trials(tmp_path, "code"), []
    trials.forget_climbs()
    from kagglekit.search.local import climb

    ladder = Ladder(plan(trials=10), trials)
    climb(ladder, lambda task, report: ran.append(task.key) or objective(task, report))
    assert len(ladder.scores(0)) == 10 and {k[1] for k in ran if k[0] == 0} == {6, 7, 8, 9}


def test_a_record_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "trials.db").mkdir()
    with pytest.raises(RunError, match=r"trials\.db: .*choose another --name"):
        Trials(tmp_path, "c")


@pytest.mark.slow
def test_ten_thousand_trials_over_four_rungs_cost_little_time_and_no_memory(tmp_path):
    chosen = plan("64:25%:1,64:50%:2,128:50%:4,128:100%:8", trials=10_000, promote=100)
    marks = []

    def cheap(task, report):
        if task.key[1] % 2500 == 0:
            marks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return Outcome("done", quality(task.recipe), 1.0, (0.1, 0.2))

    started = time.process_time()
    ladder = search(tmp_path, chosen, cheap)
    each = (time.process_time() - started) / len(ladder.results)
    assert len(ladder.results) > 12_000 and each < 0.005
    assert marks[-1] - marks[0] < 80_000  # kB: the table itself, not the details of every trial
