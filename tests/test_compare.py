"""Two runs side by side: what differs, by how much, and whether that is more than noise."""

import json
import shutil
from pathlib import Path

import pytest

from kagglekit.cli.compare import summary, summary_beside
from kagglekit.errors import RunError, UsageError
from kagglekit.plugin.registry import discover
from kagglekit.publish.compare import beside, compare, on_test, runs_of, submissions_of, targets, write_page
from kagglekit.runs import folder as folders
from tests.search.toy import at_hand
from tests.test_reproduce import edit, trained

pytestmark = pytest.mark.slow

PUBLISHED = """

import dataclasses

from kagglekit import Published

plain = [kk_competition]


@hookimpl
def kk_competition():
    first = Published("1st", "Ada", "example.org/a", "IoU, averaged", {"private": 0.81}, "full", ("no CRF",))
    second = Published("2nd", "Bob", "example.org/b", "IoU, averaged", note="not confirmed")
    return dataclasses.replace(plain[0](), published=(first, second))


unscored = [kk_dataset]


@hookimpl
def kk_dataset(root):
    found = unscored[0](root)
    found.answers = {s.id: s.label for s in found.test}
    return found
"""


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """Two runs of the toy competition that differ in their learning rate and a setting of a technique."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KAGGLEKIT_RUNS", str(place / "runs"))
        patched.setenv("KAGGLEKIT_CACHE", str(place / "cache"))
        toy = at_hand(place, patched, more=PUBLISHED)
        yield trained(toy), trained(toy, lr=0.0001, **{"techniques.toy-tta.identity": 0.5})


@pytest.fixture
def runs(trained_once, tmp_path, monkeypatch):
    """Copies of the two runs, which a test may damage."""
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    return tuple(Path(shutil.copytree(run, tmp_path / "runs" / "discs" / run.name)) for run in trained_once)


def said_of(registry, runs, found) -> dict:
    """What is said of the test part."""
    return on_test(registry, found, submissions_of(registry, *runs, found))


def page_of(registry, runs, found) -> Path:
    """The page of a comparison."""
    return write_page(registry, found, submissions_of(registry, *runs, found))


def test_the_data_are_opened_once_for_numbers_and_page(runs, monkeypatch):
    from kagglekit.plugin.solution import Solution

    opened, plain = [], Solution.dataset
    monkeypatch.setattr(Solution, "dataset", lambda self, root: opened.append(root) or plain(self, root))
    registry, found = discover(), compare(*runs)
    submissions = submissions_of(registry, *runs, found)
    on_test(registry, found, submissions)
    write_page(registry, found, submissions)
    assert len(opened) == 1


def test_what_differs_is_named_with_both_values_and_the_rest_is_not(runs):
    found = compare(*runs)
    assert found["recipe"] == {"lr": [0.02, 0.0001], "techniques.toy-tta.settings.identity": [0.75, 0.5]}
    assert found["same_data"] and found["same_code"] and found["common"] == 8


def test_of_few_images_no_run_is_called_better(runs, monkeypatch):
    monkeypatch.setattr("kagglekit.publish.compare.FEW", 9)
    found = compare(*runs)
    assert found["verdict"] == "too few images to tell" and found["difference"]["high"] < 0
    assert "on 8 images that both held out: too few images to tell" in summary(found)


def test_the_difference_is_that_of_the_common_images_and_turns_its_sign_with_the_order(runs):
    found, turned = compare(*runs), compare(*runs[::-1])
    a, b = (folders.read_json(run / folders.VALIDATED)["scores"] for run in runs)
    assert found["difference"]["value"] == pytest.approx(sum(b) / len(b) - sum(a) / len(a))
    assert found["difference"]["value"] == pytest.approx(-turned["difference"]["value"])
    assert found["difference"]["low"] <= found["difference"]["value"] <= found["difference"]["high"] < 0
    gaps = [abs(one["scores"][1] - one["scores"][0]) for one in found["most"]]
    assert gaps == sorted(gaps, reverse=True) and gaps
    text = summary(found)
    assert f"{runs[0].name} is better" in text and "lr" in text and "they differ most on" in text


def test_the_difference_on_test_images_is_that_of_the_scores_of_both_submissions(runs):
    found, registry = compare(*runs), discover()
    test = said_of(registry, runs, found)
    a, b = found["scores"]["test"]
    assert test["difference"]["value"] == pytest.approx(b - a) and test["common"] > 0
    turned = said_of(registry, runs[::-1], compare(*runs[::-1]))
    assert turned["difference"]["value"] == pytest.approx(a - b)
    assert (
        f"test image{'s' * (test['common'] > 1)}: {test['verdict']}"
        in page_of(registry, runs, found | {"on_test": test}).read_text()
    )


def test_where_the_test_part_cannot_be_read_the_reason_is_said(runs):
    found = compare(*runs)
    with pytest.raises(RunError, match="test part not compared: the runs were made of other data"):
        said_of(discover(), runs, found | {"same_data": False})
    (runs[1] / "submission.csv").unlink()
    with pytest.raises(RunError, match="test part not compared: "):
        said_of(discover(), runs, found)


def test_a_run_against_its_like_is_within_noise(runs):
    edit(runs[1] / folders.MANIFEST, lambda m: m.update(recipe=folders.read_json(runs[0] / folders.MANIFEST)["recipe"]))
    same = folders.read_json(runs[0] / folders.VALIDATED)["scores"]
    edit(runs[1] / folders.VALIDATED, lambda v: v.update(scores=same))
    found = compare(*runs)
    assert found["recipe"] == {} and found["difference"]["value"] == 0 and found["most"] == []
    assert "the recipes are equal" in summary(found) and "within noise" in summary(found)


def test_runs_without_a_common_image_have_no_difference(runs):
    edit(runs[1] / folders.VALIDATED, lambda v: v.update(pictures=[f"x{i}" for i in range(8)]))
    found = compare(*runs)
    assert found["difference"] is None and "no two images were held out by both" in summary(found)


def test_what_cannot_be_compared_is_said(runs):
    with pytest.raises(UsageError, match="takes two different runs"):
        runs_of((runs[0].name, runs[0].name))
    with pytest.raises(UsageError, match="takes two different runs"):
        runs_of((runs[0].name[:6], str(runs[0])))  # two names of one run
    edit(runs[1] / folders.MANIFEST, lambda m: m.update(competition="other"))
    with pytest.raises(UsageError, match=r"is a run of discs, .* of other; compare runs of one competition"):
        compare(*runs)
    (runs[1] / folders.RESULT).unlink()
    with pytest.raises(RunError, match="has not finished"):
        compare(*runs)


def test_a_page_shows_where_the_submissions_differ_and_says_why_where_it_cannot(runs):
    registry, found = discover(), compare(*runs)
    path = page_of(registry, runs, found)
    text = path.read_text()
    assert path.parent.name == f"{runs[0].name}-{runs[1].name}" and text.count("<article") == text.count("% differ") > 0
    assert "No images" not in text
    assert (
        "No images: the runs were made of other data"
        in page_of(registry, runs, found | {"same_data": False}).read_text()
    )
    (runs[1] / "submission.csv").unlink()
    assert "No images: " in page_of(registry, runs, found).read_text()


def test_a_submission_outside_the_run_is_not_opened(runs, tmp_path):
    (runs[1] / "submission.csv").rename(tmp_path / "elsewhere.csv")
    edit(runs[1] / folders.RESULT, lambda r: r["submission"].update(file="../../../elsewhere.csv"))
    text = page_of(discover(), runs, compare(*runs)).read_text()
    assert f"No images: run {runs[1].name}: ../../../elsewhere.csv is no file of this run" in text


def test_the_page_names_what_a_plugin_failed_at(runs, monkeypatch):
    def fail(*words):
        raise ValueError("odd row")

    monkeypatch.setattr("kagglekit.report.disagreements.disagreements", fail)
    assert "No images: ValueError: odd row" in page_of(discover(), runs, compare(*runs)).read_text()


@pytest.mark.parametrize("fault", ["no plugin", "no place", "a fault"])
def test_the_numbers_stand_where_there_can_be_no_page_and_the_reason_with_them(runs, monkeypatch, fault):
    from click.testing import CliRunner

    from kagglekit.cli import kk

    def fail(*words):
        raise ValueError("odd mask")

    if fault == "no plugin":
        monkeypatch.setenv("KAGGLEKIT_PLUGINS", "")
    elif fault == "no place":
        (folders.home() / "comparisons").write_text("in the way")
    else:
        monkeypatch.setattr("kagglekit.report.compare_page.write_compare_page", fail)
    names = [run.name for run in runs]
    done = CliRunner().invoke(kk, ["compare", *names], catch_exceptions=False)
    last = done.stdout.splitlines()[-1]
    assert f"{names[0]} is better" in done.stdout and last.startswith("no page: ") and done.exit_code == 0
    found = json.loads(CliRunner().invoke(kk, ["compare", *names, "--json"], catch_exceptions=False).stdout)
    assert found["page"] is None and found["no_page"] == last and found["verdict"] == f"{names[0]} is better"
    assert {"no plugin": "discs", "no place": "comparisons", "a fault": "ValueError: odd mask"}[fault] in last


def test_a_score_of_zero_is_a_score_and_a_missing_one_is_not(runs):
    found = compare(*runs)
    text = summary(found | {"scores": {"validation": [0.0, 0.0], "test": [None, None]}})
    assert "validation" in text and "0.0000" in text and "test" not in text


def test_a_run_is_compared_from_within_its_own_folder(runs, monkeypatch):
    monkeypatch.chdir(runs[0])
    paths, solution = targets(discover(), (".", runs[1].name))
    assert paths == list(runs) and solution is None and compare(*paths)["runs"] == [run.name for run in runs]


def test_a_run_and_a_published_solution_stand_side_by_side_and_never_on_one_test_set(runs):
    registry = discover()
    for names in ((runs[1].name, "discs/1st"), ("discs/1st", runs[1].name)):
        [path], solution = targets(registry, names)
        found = beside(registry, path, *solution)
        assert (
            found["run"] == runs[1].name and found["same_test_set"] is False and found["published"] == {"private": 0.81}
        )
    assert found["recipe"]["lr"] == [0.0001, 0.02] and found["recipe"]["fidelity.epochs"] == [2, 3]
    text = summary_beside(found)
    for part in (
        "0.81 ",
        "the host's test images (private)",
        "not the same test set",
        "held out",
        "- no CRF",
        "Ada",
    ):
        assert part in text, part


def test_a_solution_that_no_recipe_stands_for_is_compared_by_score_alone(runs):
    registry = discover()
    [path], solution = targets(registry, (runs[0].name, "discs/2nd"))
    text = summary_beside(beside(registry, path, *solution))
    assert "no score in its sources" in text and "no recipe here stands for it" in text and "not confirmed" in text


def test_two_published_solutions_or_one_of_another_contest_are_refused(runs):
    registry = discover()
    with pytest.raises(UsageError, match="both are published solutions"):
        targets(registry, ("discs/1st", "discs/2nd"))
    with pytest.raises(UsageError, match="did you mean discs/1st"):
        targets(registry, (runs[0].name, "discs/1rst"))
    assert targets(registry, tuple(run.name for run in runs)) == (list(runs), None)
    edit(runs[0] / folders.MANIFEST, lambda m: m.update(competition="other"))
    with pytest.raises(UsageError, match="is a run of other, 1st a solution of discs"):
        beside(registry, runs[0], *targets(registry, (runs[1].name, "discs/1st"))[1])


def test_the_verb_prints_the_table_and_where_the_page_is_and_takes_a_published_solution(runs):
    from click.testing import CliRunner

    from kagglekit.cli import kk

    names = [run.name for run in runs]
    done = CliRunner().invoke(kk, ["compare", *names], catch_exceptions=False)
    page = Path(done.stdout.splitlines()[-1].removeprefix("page  "))
    assert page.is_file() and f"{names[0]} is better" in done.stdout
    found = json.loads(CliRunner().invoke(kk, ["compare", *names, "--json"]).stdout)
    assert found["page"] == str(page) and found["verdict"] == f"{names[0]} is better"
    assert found["on_test"]["common"] > 0 and found["no_test"] == "" and " test images: " in done.stdout
    done = CliRunner().invoke(kk, ["compare", names[0], "discs/1st"], catch_exceptions=False)
    assert "not the same test set" in done.stdout and "page" not in done.stdout
