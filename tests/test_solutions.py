"""Solutions at hand: claims stand beside what was measured here, and neither is ever taken for the other."""

import json
import shutil

import pytest
from click.testing import CliRunner

from kagglekit import Published
from kagglekit.cli import kk
from kagglekit.cli.common import compose_recipe
from kagglekit.cli.solutions import CAVEAT, block
from kagglekit.errors import UsageError
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.publish.solutions import data_words, named, offers, recipe_of, run_key, score_words
from kagglekit.recipe import compose, layers_of
from tests.helpers import bringing, build, competition, run_folder

FIRST = Published("1st", "Ada", "example.org/a", "mean IoU", {"private": 0.81, "public": 0.83}, "full", ("no CRF",))
SECOND = Published("2nd", "Bob", "example.org/b", "mean IoU", note="no source states its score")
PRESETS = {"full": {"lr": 0.001}, "demo": {"lr": 0.002, "fidelity.epochs": 2}}


def contest(**changes):
    """A competition with two published solutions, the first of which its full recipe stands for."""
    return competition("toy", **({"published": (FIRST, SECOND), "presets": PRESETS, "labelled": 5000} | changes))


def registry(**changes):
    """The registry that has it alone."""
    return build(toy=bringing("toy", competition=contest(**changes)))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty runs folder."""
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def ran(home, name: str, preset: str, place: str = "toy", value: float = 0.5, seed: int = 0, **manifest):
    """A finished run of a preset of the toy competition."""
    found = registry()
    recipe = recipe_of(found, contest(), preset) | {"seed": seed}
    more = {"recipe": recipe, "data": "/d/mine", "data_fingerprint": "f0", "drawn": False} | manifest
    folder = run_folder(home, name, place, value=value, **more)
    content = json.loads((folder / "manifest.json").read_text()) | {"competition": "toy"}
    (folder / "manifest.json").write_text(json.dumps(content))
    result = json.loads((folder / "result.json").read_text()) | {"counts": {"train": 27, "validation": 3, "test": 4}}
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def by_preset(found=None) -> dict:
    [offer] = offers(found or registry())
    return {one["preset"]: one for one in offer["recipes"]}


def test_nothing_that_was_not_run_here_has_a_score_of_here(home):
    [offer] = offers(registry())
    assert [one["runs"] for one in offer["recipes"]] == [[], []] and offer["bundles"] == []
    text = block(offer, True)
    assert text.count("not run here") == 2 and "no recipe here" in text
    assert "0.81 private, 0.83 public" in text and "no score in its sources" in text
    assert "- no CRF" in text and "no source states its score" in text and "example.org/b" in text


def test_a_run_counts_for_the_recipe_that_it_is_equal_to_whatever_its_seed(home):
    ran(home, "a" * 12, "full", value=0.6)
    ran(home, "b" * 12, "full", value=0.7, seed=3)
    ran(home, "c" * 12, "demo", value=0.4)
    recipes = by_preset()
    assert sorted((one["validation"]["value"], one["seed"]) for one in recipes["full"]["runs"]) == [(0.6, 0), (0.7, 3)]
    assert [one["validation"]["value"] for one in recipes["demo"]["runs"]] == [0.4]
    assert recipes["full"]["stands_for"] == ["1st"] and recipes["demo"]["stands_for"] == []


def test_a_changed_recipe_an_unfinished_run_and_a_damaged_one_check_no_claim(home):
    changed = ran(home, "a" * 12, "full")
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["recipe"]["lr"] = 0.5
    (changed / "manifest.json").write_text(json.dumps(manifest))
    (ran(home, "b" * 12, "full") / "result.json").unlink()
    (ran(home, "c" * 12, "full") / "manifest.json").write_text("{")
    run_folder(home, "d" * 12)  # of an older version, which kept no recipe
    assert [one["runs"] for one in by_preset().values()] == [[], []]


def test_the_key_of_a_recipe_leaves_out_the_seed_and_nothing_else():
    plain, _ = compose([("t", {"competition": "toy"})])
    keys = {}
    for key, value in plain.model_dump(mode="json").items():
        other = plain.model_dump(mode="json") | {key: [value, "changed"]}
        keys[key] = run_key(other)
    mine = run_key(plain.model_dump(mode="json"))
    assert [key for key, found in keys.items() if found == mine] == ["seed"] and len(keys) >= 20
    assert run_key({}) == ""


def test_a_score_on_drawn_images_says_so_and_one_on_others_says_of_how_many(home):
    ran(home, "a" * 12, "demo", drawn=True)
    ran(home, "b" * 12, "full")
    recipes = by_preset()
    [drawn], [mine] = recipes["demo"]["runs"], recipes["full"]["runs"]
    assert data_words(drawn, "validation") == "3 of 30 drawn images, held out"
    assert data_words(mine, "validation") == "3 of 30 images, held out; the host labelled 5,000"
    mine["test"] = {"value": 0.5, "low": 0.4, "high": 0.6, "count": 4}
    assert data_words(mine, "test") == "4 test images with answers at hand"
    [offer] = offers(registry())
    lines = [line for line in block(offer, False).splitlines() if "0.5000" in line]
    assert len(lines) == 2 and all("held out" in line and "0.4000 .. 0.6000" in line for line in lines)


ODD = {
    "result.json": (
        {"validation": {"value": "x", "low": 0.4, "high": 0.6}},
        {"validation": {"value": 0.5, "low": 0.4}},
        {"validation": {"value": 0.5, "low": None, "high": True}},
        {"test": [0.5]},
        {"counts": [1, 2]},
        {"counts": {"train": "many"}},
    ),
    "manifest.json": (
        {"recipe": "odd"},
        {"data": 5},
        {"data_fingerprint": ["f0"]},
        {"fidelity": 3},
        {"competition": 5},
    ),
}


@pytest.mark.parametrize(("file", "change"), [(file, one) for file, some in ODD.items() for one in some])
def test_an_odd_bundle_is_passed_over_and_hides_no_other(home, file, change):
    odd = ran(home, "d" * 12, "demo", place="bundles")
    ran(home, "e" * 12, "demo", place="bundles", value=0.9)
    (odd / file).write_text(json.dumps(json.loads((odd / file).read_text()) | change))
    [offer] = offers(registry())
    assert [one["bundle"] for one in offer["bundles"]] == ["e" * 12]
    assert "claims 0.9000" in block(offer, True)


@pytest.mark.parametrize("content", ["[]", "null", "5", "{"])
@pytest.mark.parametrize("file", ["manifest.json", "result.json"])
def test_a_bundle_whose_record_is_no_object_is_passed_over(home, file, content):
    (ran(home, "d" * 12, "demo", place="bundles") / file).write_text(content)
    [offer] = offers(registry())
    assert offer["bundles"] == []


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_recipe_that_is_looked_for_is_the_one_that_kk_run_computes(preset):
    found = registry()
    composed, _, _ = compose_recipe(found, "toy", preset, (), (), (), None)
    assert recipe_of(found, contest(), preset) == resolve(composed, found).recipe.model_dump(mode="json")


@pytest.mark.parametrize("name", sorted(discover().competitions))
def test_layers_of_every_contest_are_those_of_the_command_line_with_their_origins(name):
    found = discover()
    _, contest = found.competition(name)
    for preset in contest.presets:
        mine, origins = compose(layers_of(contest, preset))
        theirs, same, used = compose_recipe(found, name, preset, (), (), (), None)
        assert (mine, origins, preset) == (theirs, same, used) and mine.competition == name


@pytest.mark.parametrize(
    ("folder", "drawn"), [("/s/toy-240-seed0", True), ("/s/toy-240-seed0x", False), ("/s/toys-2-seed0", False)]
)
def test_of_older_runs_the_name_of_the_folder_tells_whether_data_were_drawn(home, folder, drawn):
    run = ran(home, "a" * 12, "full", data=folder)
    manifest = json.loads((run / "manifest.json").read_text())
    for noted in ({}, {"drawn": False}):  # a folder that was there before the marks was noted as not drawn
        rest = {key: value for key, value in manifest.items() if key != "drawn"}
        (run / "manifest.json").write_text(json.dumps(rest | noted))
        [one] = by_preset()["full"]["runs"]
        assert one["data"]["drawn"] is drawn


def test_runs_on_other_data_have_lines_of_their_own_and_seeds_share_one(home):
    for i, mark in enumerate(("f0", "f0", "f1")):
        ran(home, str(i) * 12, "full", seed=i, data_fingerprint=mark, started=f"2026-01-0{i + 1}T00:00:00Z")
    [offer] = offers(registry())
    lines = [line for line in block(offer, False).splitlines() if "held out" in line]
    assert len(lines) == 2 and lines[0].endswith("toy/222222222222")
    assert lines[1].endswith("toy/111111111111 and 1 more")


def test_a_bundle_claims_and_only_a_run_of_here_answers_even_after_the_ledger_was_rebuilt(home):
    ran(home, "e" * 12, "demo", place="bundles", value=0.9)
    [offer] = offers(registry())
    [bundle] = offer["bundles"]
    assert bundle["claims"]["validation"]["value"] == 0.9 and bundle["runs"] == []
    assert by_preset()["demo"]["runs"] == []
    text = block(offer, False)
    assert "bundle eeeeeeeeeeee" in text and "claims 0.9000 on 3 of 30 images, held out" in text
    ran(home, "f" * 12, "demo", value=0.88)
    (home / "ledger.db").unlink()
    [bundle] = offers(registry())[0]["bundles"]
    assert [one["validation"]["value"] for one in bundle["runs"]] == [0.88]
    shutil.rmtree(home / "bundles")
    assert offers(registry())[0]["bundles"] == []


def test_a_recipe_that_cannot_be_resolved_hides_no_other(home):
    recipes = by_preset(registry(presets=PRESETS | {"odd": {"techniques": ["nowhere"]}}))
    assert "no technique is named nowhere" in recipes["odd"]["error"] and recipes["full"]["error"] == ""
    [offer] = offers(registry(presets=PRESETS | {"odd": {"techniques": ["nowhere"]}}))
    assert "no technique is named nowhere" in block(offer, False)


def test_a_published_solution_is_found_by_name_and_a_misspelled_one_is_answered(home):
    found = registry()
    assert named(found, "toy/1st")[1] is FIRST and named(found, "0123") is None and named(found, "toys/1st") is None
    with pytest.raises(UsageError, match=r"no run and no published solution is named toy/1rst.*did you mean toy/1st"):
        named(found, "toy/1rst")
    ran(home, "a" * 12, "full")
    assert named(found, "toy/aaaa") is None


@pytest.mark.parametrize(
    ("published", "error"),
    [
        ((FIRST, FIRST), "be there once"),
        ((Published("a b", "", "", ""),), "must be one word"),
        ((Published("x", "", "", "", preset="ful"),), "there is no preset ful; did you mean full"),
    ],
)
def test_a_plugin_that_declares_published_solutions_wrongly_is_broken_with_a_reason(published, error):
    found = registry(published=published)
    assert error in found.broken["toy"].error and not found.competitions


def test_every_contest_here_declares_where_each_solution_stands_and_what_its_recipe_lacks():
    swept = scored = 0
    for _, contest in discover().competitions.values():
        for one in contest.published:
            assert one.by and one.url and one.metric and all(0 < score < 1 for score in one.scores.values()), one.name
            assert set(one.scores) <= {"public", "private", "leaderboard"}
            assert bool(one.preset) == bool(one.differs), f"{contest.id}/{one.name}"
            swept, scored = swept + 1, scored + bool(one.scores)
        assert not contest.published or (contest.labelled > 0 and sum(bool(p.preset) for p in contest.published) == 1)
    assert swept >= 10 and scored >= 6


def test_scores_are_told_with_their_part_of_the_leaderboard():
    assert score_words({"private": 0.66385, "public": 0.67574}) == "0.66385 private, 0.67574 public"
    assert score_words({"leaderboard": 0.9424293569}) != score_words({"leaderboard": 0.942395571})
    assert score_words({}) == "no score in its sources"


def test_the_verb_lists_all_or_one_and_always_says_that_test_parts_differ(home, monkeypatch):
    id = next(c.id for _, c in discover().competitions.values() if c.published)
    everything, one = (CliRunner().invoke(kk, ["solutions", *words]).stdout for words in ([], [id]))
    assert CAVEAT in everything and CAVEAT in one and "not the same:" in one and "not the same:" not in everything
    found = json.loads(CliRunner().invoke(kk, ["solutions", "--json"]).stdout)
    assert {offer["competition"] for offer in found} == set(discover().competitions)
    [alone] = json.loads(CliRunner().invoke(kk, ["solutions", id, "--json"]).stdout)
    assert alone == next(offer for offer in found if offer["competition"] == id)
    with pytest.raises(UsageError, match=f"no competition is named {id}x; did you mean {id}"):
        CliRunner().invoke(kk, ["solutions", f"{id}x"], catch_exceptions=False)
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "")
    assert "No competition is installed" in CliRunner().invoke(kk, ["solutions"]).stdout


def test_drawn_folders_carry_a_mark_and_their_runs_note_it(home, tmp_path, monkeypatch):
    from kagglekit.pipeline.sample_data import draw, is_drawn, sample_folder
    from tests.search.toy import at_hand
    from tests.test_reproduce import trained

    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    mine = at_hand(tmp_path, monkeypatch)
    recipe, _ = compose([("t", {"competition": "discs", "fidelity.image_size": 64, "fidelity.epochs": 1})])
    solution = resolve(recipe, discover())
    draw(solution, tmp_path / "drawn", 32, 0)
    assert is_drawn(sample_folder(solution, 8, 1)) and is_drawn(tmp_path / "drawn") and not is_drawn(mine)
    for data, drawn in ((tmp_path / "drawn", True), (mine, False)):
        run = trained(data, **{"fidelity.epochs": 1, "seed": int(drawn)})
        assert json.loads((run / "manifest.json").read_text())["drawn"] is drawn


@pytest.mark.slow
def test_a_real_bundle_claims_what_its_run_scored_and_a_real_run_of_its_recipe_answers(home, tmp_path, monkeypatch):
    from kagglekit.publish.pack import pack
    from kagglekit.runs.bundle import unpack
    from kagglekit.runs.ledger import Ledger
    from tests.search.toy import at_hand
    from tests.test_reproduce import trained

    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    run = trained(at_hand(tmp_path, monkeypatch))
    score = json.loads((run / "result.json").read_text())["validation"]["value"]
    bundle = unpack(pack(run, tmp_path / "theirs.kkbundle"))
    shutil.rmtree(run)
    Ledger(home).rebuild()
    [offer] = offers(discover(), "discs")
    [one] = offer["bundles"]
    assert one["bundle"] == bundle.name and one["claims"]["validation"]["value"] == score and one["runs"] == []
    again = trained(tmp_path / "data", seed=1)
    [one] = offers(discover(), "discs")[0]["bundles"]
    assert [(found["run"], found["seed"]) for found in one["runs"]] == [(f"discs/{again.name}", 1)]
    text = block(offers(discover(), "discs")[0], False)
    assert f"claims {score:.4f} on" in text and f"discs/{again.name}" in text and "drawn" not in text
