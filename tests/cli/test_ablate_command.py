"""`kk ablate` as people type it: the plan, the summary, and every way to ask wrongly."""

import json

import pytest

from tests.helpers import kk as program
from tests.search.test_ablate import MORE
from tests.search.toy import data_at, install, path_of


@pytest.fixture
def kk(tmp_path):
    """`kk` in a folder of its own, the toy competition installed and its data in `data`."""
    install(tmp_path / "plugins", more=MORE)
    data_at(tmp_path)
    paths = {"KAGGLEKIT_PLUGINS": "discs", "PYTHONPATH": path_of(tmp_path / "plugins")}
    return lambda *words, **changes: program(tmp_path, *words, **paths | changes)


SMALL = ("--data", "data", "--with", "toy-epochs", "--with", "toy-blind", "--seeds", "2", "--local")


def test_the_plan_says_what_is_trained_and_what_is_judged_on_the_same_network(kk, tmp_path):
    done = kk("ablate", "discs", *SMALL, "--plan")
    assert done.returncode == 0, done.stderr
    assert "8 variants at 64:100%:3, 4 trainings" in done.stderr
    assert "without toy-tta, without toy-epochs, only toy-blind" in done.stderr
    assert not (tmp_path / "runs" / "ablations").exists()


@pytest.mark.slow
def test_an_ablation_ends_with_a_table_and_a_page_and_is_known_the_next_time(kk, tmp_path):
    done = kk("ablate", "discs", *SMALL, "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert "Discs: mean IoU, 2 seed(s), 8 images each" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("toy-blind"))
    assert row.count("hurts") == 2
    assert f"page        {tmp_path}/runs/ablations/mine/report.html" in done.stdout
    assert (tmp_path / "runs/ablations/mine/report.html").is_file()
    again = kk("ablate", "discs", *SMALL, "--name", "mine", "--json")
    result = json.loads(again.stdout)
    assert "going on after 4 training(s)" in again.stderr and result["cost"]["trainings"] == 4
    assert {one["axis"] for one in result["effects"]} == {"toy-tta", "toy-epochs", "toy-blind"}


@pytest.mark.long
def test_ray_comes_to_the_same_differences_as_one_process(kk):
    words = [word for word in SMALL if word != "--local"]
    alone, ray = (
        json.loads(kk("ablate", "discs", *some, "--name", name, "--json", KAGGLEKIT_RUNS=f"runs-{name}").stdout)
        for some, name in ((SMALL, "one"), (words, "ray"))
    )
    assert [e["left_out"]["value"] for e in ray["effects"]] == pytest.approx(
        [e["left_out"]["value"] for e in alone["effects"]], abs=1e-6
    )


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--technique", "toy-ta"], "--technique toy-ta: the recipe does not hold toy-ta; did you mean toy-tta?"),
        (["--without", "toy-tta", "--without", "toy-epochs", "--without", "toy-blind"], "--without toy-epochs"),
        (["--budget", "soon"], "--budget soon: expected a time such as 8h, 30min or 90s"),
        (["--budget", "1s"], "is too little for the 2 trainings of one seed, which take about"),
        (["--name", "../x"], "--name ../x: use letters, digits, dots and dashes"),
        (["--address", "here:1"], "--local trains in this process; leave out --address"),
        (["-o", "fold=all"], "fold=all: an ablation validates on one fold; use -o fold=0"),
        (["--fidelity", "ful"], "discs has no preset ful; did you mean full?"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_message(kk, words, fault):
    some = [*SMALL, *words]
    if "--without" in words:
        some = ["--data", "data", "--local", *words]
    done = kk("ablate", "discs", *some)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert fault in done.stderr


def test_a_budget_leaves_out_seeds_before_anything_else():
    from kagglekit.recipe import Recipe
    from kagglekit.search.ablation_plan import AblationPlan, Axis
    from kagglekit.search.estimate import Probe, ablation_costs, fit_seeds
    from tests.toy_data import discs

    class Solved:
        """What the estimate asks of a solution."""

        class competition:
            classes = ("disc",)

        @staticmethod
        def views():
            return (1, 2)

    plan = AblationPlan("x", Recipe(competition="discs"), (Axis("a", ("a",), False), Axis("b", ("b",), True)), seeds=4)
    data, probed = discs(400), Probe(1.0, 0, 1000)
    costs = ablation_costs(plan, Solved, data, 1, probed)
    assert costs["trainings"] == 8 and costs["seconds"] == pytest.approx(4 * sum(costs["jobs"]))
    assert fit_seeds(plan, Solved, data, 1, probed, costs["seconds"]) == 4
    assert fit_seeds(plan, Solved, data, 1, probed, 0.6 * costs["seconds"]) == 2
    assert ablation_costs(plan, Solved, data, 2, probed)["seconds"] == pytest.approx(costs["seconds"] / 2)


def test_networks_that_clean_count_once_and_are_told_unless_their_findings_are_known(monkeypatch):
    from kagglekit.cli.ablate import plan_text
    from kagglekit.recipe import Recipe
    from kagglekit.search.ablation_plan import AblationPlan, Axis
    from kagglekit.search.estimate import Probe, ablation_costs, with_cleaning
    from tests.toy_data import discs

    class Cleaner:
        """Learns from half of each image of 256 pixels."""

        def learned_pixels(self, images):
            return images * 256 * 128

    class Solved:
        """What the estimate asks of a solution."""

        class competition:
            classes = ("disc",)

        recipe = Recipe(competition="discs", batch_size=4)
        techniques = (object(), Cleaner())

        @staticmethod
        def views():
            return (1,)

    findings = set()
    monkeypatch.setattr("kagglekit.search.estimate.known", lambda solution, mark: mark in findings)
    plan = AblationPlan("x", Solved.recipe, (Axis("a", ("a",), False),), seeds=3)
    side, plain = plan.rungs[0].image_size, Probe(2.0, 0, 1000)
    probed = with_cleaning(plain, Solved, discs(10), "mark", side)
    assert probed.cleaning == pytest.approx(2.0 / 4 / side**2 * 10 * 256 * 128)
    before, after = (ablation_costs(plan, Solved, discs(10), 1, one) for one in (plain, probed))
    assert "cleaning" not in plan_text(plan, before)
    assert after["seconds"] == pytest.approx(before["seconds"] + after["cleaning"])
    assert "cleaning trains networks once, about" in plan_text(plan, after)
    findings.add("mark")
    assert with_cleaning(plain, Solved, discs(10), "mark", side) == plain
