"""`kk tune` as people type it: the plan, the summary, and every way to ask wrongly."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kagglekit.cli.tune import plan_text, seconds_of
from kagglekit.errors import UsageError
from kagglekit.search.estimate import Probe, counts, estimate, fit_budget, probe, windows
from kagglekit.search.rungs import Rung
from kagglekit.types import Sample, Tiling
from tests.helpers import kk as program
from tests.helpers import toy
from tests.search.planted import plan
from tests.search.toy import data_at, install, path_of
from tests.toy_data import discs


@pytest.fixture
def kk(tmp_path):
    """`kk` in a folder of its own, the toy competition installed and its data in `data`."""
    install(tmp_path / "plugins")
    data_at(tmp_path)
    paths = {"KAGGLEKIT_PLUGINS": "discs", "PYTHONPATH": path_of(tmp_path / "plugins")}
    return lambda *words, **changes: program(tmp_path, *words, **paths | changes)


SMALL = ("--data", "data", "--rungs", "32:50%:1,64:100%:2", "--trials", "4", "--local")


def test_the_plan_is_shown_and_nothing_is_trained(kk, tmp_path):
    done = kk("tune", "discs", *SMALL, "--plan")
    assert done.returncode == 0, done.stderr
    assert "search of 5 settings: loss.dice, lr, optimizer" in done.stderr
    assert "chosen after training, on the last rung: techniques.toy-tta, techniques.toy-tta.identity\n" in done.stderr
    assert "1     32:50%:1            4" in done.stderr and "memory about" in done.stderr
    assert not (tmp_path / "runs" / "searches").exists()
    content = json.loads(kk("tune", "discs", *SMALL, "--plan", "--json").stdout)
    assert content["plan"]["trials"] == 4 + 3


def test_the_only_competition_need_not_be_named_and_the_search_ends_with_a_recipe_that_runs(kk, tmp_path):
    done = kk("tune", *SMALL, "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert "Discs: mean IoU 0." in done.stdout
    assert f"next        kk run {tmp_path}/runs/searches/mine/winner.toml --data data" in done.stdout
    assert done.stderr.count(" on rung 1: ") == 4
    ran = kk("run", tmp_path / "runs/searches/mine/winner.toml", "--data", "data")
    # Where other post-training settings than its own won by a hair, the run is another one that trains nothing either.
    spared = ("was a trial of a search; going on with it", "reusing the checkpoints of run")
    assert ran.returncode == 0 and any(words in ran.stderr for words in spared)
    again = kk("tune", *SMALL, "--name", "mine", "--json")
    result = json.loads(again.stdout)
    assert result["winner"]["recipe"].endswith("winner.toml") and "was done before" in again.stderr


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--rungs", "64:100%:2,32:50%:1"], "--rungs: 32:50%:1 after 64:100%:2: image size must not fall; order rungs"),
        (["--promote", "5"], "--promote 5: there are only 4 trials; promote fewer, or try more (--trials)"),
        (["--budget", "soon"], "--budget soon: expected a time such as 8h, 30min or 90s"),
        (["--budget", "1s"], "is too little for 1 trial(s) on 2 rung(s), which take about"),
        (["--space", "none.toml"], "--space none.toml: cannot be read: No such file"),
        (["--space", "empty.toml"], "the search space is empty: nothing would vary; add settings with --space FILE"),
        (["--space", "wide.toml"], "space: lr = 100.0: recipe: lr: Input should be less than or equal to 10"),
        (["--gpus-per-trial", "0.5"], "--local trains in this process; leave out --address and --gpus-per-trial"),
        (["--name", "../up"], "--name ../up: use letters, digits, dots and dashes"),
        (["-o", "fold=all"], "fold=all: a search validates on one fold; use -o fold=0"),
        (["--storage", "/proc/none"], "--storage /proc/none: cannot be written"),
        (["--resume", "--name", "new"], "--resume: there is no search new; leave --resume out to begin"),
        (["--trials", "0"], "Invalid value for '--trials'"),
    ],
)
def test_asking_wrongly_ends_with_one_sentence_and_no_traceback(kk, tmp_path, words, fault):
    (tmp_path / "empty.toml").write_text("replace = true\n")
    (tmp_path / "wide.toml").write_text("lr = {low = 0.1, high = 100.0}\n")
    done = kk("tune", "discs", *SMALL, *words)
    assert done.returncode in (1, 2) and fault in done.stderr.replace("\n  ", " ") and "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--gpus-per-trial", "0.5"], "--gpus-per-trial 0.5: there is no free GPU; leave it out to train on the cores"),
        (["--address", "127.0.0.1:1"], "--address 127.0.0.1:1: nothing answers there"),
        (["--address", "nowhere"], "--address nowhere: expected HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_said_in_one_sentence(kk, words, fault):
    done = kk("tune", "discs", *SMALL[:-1], *words)
    assert done.returncode in (1, 2) and fault in done.stderr and "Traceback" not in done.stderr


def test_with_several_competitions_and_nobody_to_ask_they_are_listed(kk):
    done = kk("tune", KAGGLEKIT_PLUGINS="discs,hair-seg,techniques")
    assert done.returncode == 2 and "which competition? Name one: kk tune ID" in done.stderr
    assert "hair-seg" in done.stderr and "discs" in done.stderr


def test_settings_given_with_o_are_not_searched(kk):
    content = kk("tune", "discs", *SMALL, "--plan", "-o", "lr=0.01").stderr
    assert "search of 4 settings: loss.dice, optimizer" in content


def test_budgets_are_read_as_people_write_them():
    assert [seconds_of(t) for t in ("8h", "30min", "90s", "1.5 h", "2m", "1d")] == [28800, 1800, 90, 5400, 120, 86400]
    for text in ("8", "h", "-1h", "0h", ""):
        with pytest.raises(UsageError):
            seconds_of(text)


def test_an_estimate_counts_images_but_of_slides_the_windows_at_the_scale_they_are_stored_in():
    slides = [Sample(f"s{i}", Path("x"), (4096, 8192)) for i in range(3)]

    def looks(**tiling):
        return windows(SimpleNamespace(train=slides, tiling=Tiling(**tiling) if tiling else None), 256)

    assert looks() == (3, 3)
    assert looks(reduce=4, step=1.0) == (3 * 4 * 8, 3 * 4 * 8)
    assert looks(reduce=2, step=0.5) == (3 * 8 * 16, 4 * 3 * 8 * 16)
    assert looks(reduce=64, step=1.0) == (3, 3), "a slide smaller than a window is looked at once"


def test_an_estimate_grows_with_images_epochs_and_pixels_and_shrinks_with_workers():
    chosen, probed = plan("64:50%:2,128:100%:8", trials=8), Probe(1.0, 10**9, 10**6)
    found = toy()
    one = estimate(chosen, found, discs(80), 1, probed)
    assert counts(chosen) == [8, 3] == [r["trials"] for r in one["rungs"]]
    assert one["rungs"][0]["seconds"] < one["rungs"][1]["seconds"] / 8
    # 72 images of 80 in batches of 8, a second each, 8 epochs; validation of 8 images on top.
    assert 72 <= one["rungs"][1]["seconds"] <= 72 * 1.2
    two = estimate(chosen, found, discs(80), 2, probed)
    assert two["seconds"] < one["seconds"] * 0.7 and two["device_seconds"] == one["device_seconds"]
    assert "about" in plan_text(chosen, one) and "what all 8 take at the last rung" in plan_text(chosen, one)


def test_what_fewer_pixels_do_not_save_is_part_of_an_estimate():
    chosen, found = plan("64:50%:2,128:100%:8", trials=8), toy()
    assert Probe(1.0, 0, 0, fixed=0.4).seconds_at(1 / 4) == pytest.approx(0.4 + 0.6 / 4)
    plain, honest = (estimate(chosen, found, discs(80), 1, Probe(1.0, 0, 0, fixed=fixed)) for fixed in (0.0, 0.4))
    assert plain["rungs"][0]["seconds"] < honest["rungs"][0]["seconds"]
    assert plain["rungs"][1]["seconds"] == honest["rungs"][1]["seconds"]


def test_a_probe_times_the_lowest_and_the_last_size():
    found = toy()
    one = probe(found, discs(8), (Rung(64, 0.5, 2), Rung(128, 1.0, 8)))
    assert 0 <= one.fixed <= one.seconds and one.parameters > 0 and one.memory >= 0
    assert one.seconds_at(1 / 4) <= one.seconds == pytest.approx(one.seconds_at(1))
    assert probe(found, discs(8), (Rung(64, 1.0, 2),)).fixed == 0


def test_a_budget_takes_as_many_trials_as_fit_it():
    chosen, probed, found = plan("64:50%:2,128:100%:8", trials=64), Probe(1.0, 10**9, 10**6), toy()
    whole = estimate(chosen, found, discs(80), 1, probed)["seconds"]
    assert fit_budget(chosen, found, discs(80), 1, probed, whole) == 64
    fewer = fit_budget(chosen, found, discs(80), 1, probed, whole / 2)
    assert 1 <= fewer < 64
    with pytest.raises(UsageError, match="allow that much, or choose smaller --rungs"):
        fit_budget(chosen, found, discs(80), 1, probed, 5.0)
