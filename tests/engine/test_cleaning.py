"""What `kk clean` does around the rules: which it asks, what it writes, and what a person decided stays."""

import csv
import dataclasses
import io
import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from kagglekit import Finding, hookimpl
from kagglekit.clean import decisions
from kagglekit.clean.cleaning import CleanRequest, by_rule, clean, mask_file, proposed, table, with_rules
from kagglekit.clean.findings import findings_of
from kagglekit.data.codecs.mask_png import from_text, to_text
from kagglekit.errors import DataError, UsageError
from kagglekit.runs import folder as folders
from kagglekit_techniques import Decide, LabelRules, NearDuplicates
from tests.helpers import Folder, bringing, build, competition, solution, techniques_of
from tests.techniques import flawed
from tests.techniques.flawed import Flawed
from tests.techniques.test_near_duplicates import distrusting


def toy(dataset, *kinds: type, techniques=()):
    """A solution of these techniques' names over a data set; all `kinds` are installed."""

    @hookimpl
    def kk_dataset(root):
        return dataset

    plugin = bringing("toy", competition=competition(), kk_dataset=kk_dataset, __file__=__file__)
    return solution(build(toy=plugin, extra=techniques_of(*kinds)), techniques=list(techniques))


@pytest.fixture
def data(tmp_path):
    """A folder whose one file stands for the data."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index.txt").write_text("1")
    return tmp_path / "data"


def world(data, spoilt=None):
    """A data set with a tiny label and a copy."""
    return Flawed(24, spoilt or {3: flawed.tiny}, {9: 8}, files=(data / "index.txt",))


ALL = (LabelRules, NearDuplicates, Decide)


def test_rules_of_the_recipe_are_asked_and_no_others():
    one = toy(Folder(), *ALL, techniques=["near-duplicates"])
    assert with_rules(one, Folder()) is one


def test_a_recipe_without_rules_is_given_those_that_offer_themselves_before_all_else():
    one = toy(Folder(), distrusting("a"), *ALL)
    assert [t.name for t in with_rules(one, Folder()).techniques] == ["label-rules", "near-duplicates"]


@dataclass(frozen=True)
class Moody:
    """Distrusts a sample that depends on the seed it is told."""

    name: ClassVar[str] = "moody"
    asked: ClassVar[list[int]] = []

    @hookimpl
    def kk_clean(self, dataset, recipe):
        """One finding."""
        self.asked.append(recipe.seed)
        return [Finding(f"s{recipe.seed:03}", "moody", 1.0)]


def test_labels_are_judged_once_for_all_seeds(data, monkeypatch):
    monkeypatch.setattr(Moody, "asked", [])
    dataset, plain = world(data), toy(world(data), Moody, techniques=["moody"])
    found = []
    for seed in (0, 5, 7):
        one = replace(plain, recipe=plain.recipe.model_copy(update={"seed": seed}))
        found.append(list(findings_of(one, dataset, "mark")))
    assert Moody.asked == [0] and found[0] == found[1] == found[2] == [Finding("s000", "moody", 1.0)]


@pytest.mark.parametrize(
    "kept", ["[]x", "{}", "[{}]", '[{"sample": 5, "rule": "a", "score": 1}]', "[" * 3000, "", "\xff"]
)
def test_what_was_kept_of_findings_is_found_anew_where_it_is_damaged(data, monkeypatch, kept):
    monkeypatch.setattr(Moody, "asked", [])
    dataset, plain = world(data), toy(world(data), Moody, techniques=["moody"])
    expected = [Finding("s000", "moody", 1.0, related=("a", "b"))]
    findings_of(plain, dataset, "mark")
    [place] = (folders.cache() / "findings").glob("*.json")
    place.write_text(kept)
    assert findings_of(plain, dataset, "mark") == [Finding("s000", "moody", 1.0)] and Moody.asked == [0, 0]
    place.write_text(json.dumps([dataclasses.asdict(one) for one in expected]))
    assert findings_of(plain, dataset, "mark") == expected and Moody.asked == [0, 0]


def test_where_no_rule_offers_itself_the_user_is_told_how_to_add_one():
    with pytest.raises(UsageError, match=r"no technique that cleans is in the recipe.* add one with --with"):
        with_rules(toy(Folder(), distrusting("a")), Folder())


def test_findings_are_written_as_a_table_a_page_a_document_and_decisions(data, tmp_path):
    dataset = world(data)
    folder, result = clean(CleanRequest(toy(dataset, *ALL), data, "kk clean toy"))
    assert folder.parent.name == "cleaning" and folder.name == f"toy-{result['data'][:8]}"
    with (folder / "findings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["sample"], row["rule"]) for row in rows} >= {("s003", "label-rules/tiny"), ("s009", "near-duplicates")}
    assert [row["related"] for row in rows if row["sample"] == "s009"] == ["s008"] and rows[0]["group"].startswith("g")
    saved = json.loads((folder / "findings.json").read_text())
    assert saved == json.loads(json.dumps(result)) and saved["distrusted"] == 2 and saved["train"] == 24
    assert "s003" in (folder / "findings.html").read_text()
    decided = decisions.read(folder / "decisions.toml")
    assert {(d.sample, d.action) for d in decided.decisions} == {("s003", "drop"), ("s009", "drop")}
    assert result["next"] == f"kk run toy --data {data} --with decisions:file={folder / 'decisions.toml'}"
    assert result["next"] in (folder / "decisions.toml").read_text()


def test_the_decisions_drop_in_a_run_what_the_rules_found_and_a_person_has_the_last_word(data):
    dataset = world(data)
    folder, _ = clean(CleanRequest(toy(dataset, *ALL), data))
    path = folder / "decisions.toml"
    path.write_text(path.read_text().replace('action = "drop"', 'action = "keep"', 1))
    one = toy(dataset, *ALL, techniques=["label-rules", {"name": "decisions", "settings": {"file": str(path)}}])
    assert {f.sample for f in one.clean(one.dataset(data))} == {"s009"}


def test_no_cell_of_the_table_is_a_formula_for_a_spreadsheet():
    found = [
        Finding("=1+1.png", "rule", -1.5, detail="-x", related=("@a",)),
        Finding("plain", "rule", 2.0, detail="a=b"),
    ]
    rows = list(csv.reader(io.StringIO(table(found, {"=1+1.png": "+g"}))))[1:]
    assert rows == [
        ["plain", "", "rule", "2.0", "drop", "a=b", ""],
        ["'=1+1.png", "'+g", "rule", "-1.5", "drop", "'-x", "'@a"],
    ]


def test_edited_decisions_stay_byte_by_byte_and_new_findings_are_appended(data):
    folder, _ = clean(CleanRequest(toy(world(data), *ALL), data))
    path = folder / "decisions.toml"
    edited = path.read_text().replace('action = "drop"', 'action = "keep"  # she is bald', 1)
    path.write_text(edited)
    clean(CleanRequest(toy(world(data), *ALL), data))
    assert path.read_text() == edited
    clean(CleanRequest(toy(world(data, {3: flawed.tiny, 14: flawed.huge}), *ALL, techniques=["label-rules"]), data))
    assert path.read_text().startswith(edited.rstrip("\n"))
    now = {d.sample: d.action for d in decisions.read(path).decisions}
    assert now == {"s003": "keep", "s009": "drop", "s014": "drop"}


def test_decisions_of_other_data_in_the_same_folder_are_not_overwritten(data, tmp_path):
    out = tmp_path / "out"
    clean(CleanRequest(toy(world(data), *ALL), data, out=out))
    before = (out / "decisions.toml").read_bytes()
    (data / "index.txt").write_text("2")
    with pytest.raises(DataError, match="they are not overwritten: give another folder with --out"):
        clean(CleanRequest(toy(world(data), *ALL), data, out=out))
    assert (out / "decisions.toml").read_bytes() == before


def test_a_file_where_the_results_should_go_is_told(data, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        clean(CleanRequest(toy(world(data), *ALL), data, out=tmp_path / "out"))


def test_one_decision_per_sample_tells_all_that_was_found_and_shown_ones_are_not_dropped():
    found = [Finding("b", "r", 1, detail="x"), Finding("a", "q", 1), Finding("b", "s", 1), Finding("c", "r", 1, "keep")]
    some = proposed(found)
    assert [(d.sample, d.action, d.rule, d.why) for d in some] == [("a", "drop", "q", "q"), ("b", "drop", "r", "x; s")]


def test_a_sample_is_relabelled_unless_a_rule_drops_it():
    found = [Finding(name, "m", 1, "relabel", mask="AAAA") for name in ("a", "b")] + [Finding("b", "r", 1)]
    assert [(d.sample, d.action, d.mask) for d in proposed(found)] == [
        ("a", "relabel", "masks/a.png"),
        ("b", "drop", ""),
    ]


@dataclass(frozen=True)
class Mend:
    """Proposes that one label is full."""

    name: ClassVar[str] = "mend"

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        """One finding more."""
        found = yield
        sample = dataset.train[5]
        mask = to_text(np.ones(sample.size, np.uint8), "binary")
        return [*found, Finding(sample.id, "mend", 1.0, "relabel", "half of it is missing", mask=mask)]


def test_a_proposed_mask_lies_beside_the_decisions_and_a_run_takes_it(data):
    one = toy(world(data), Mend, Decide, techniques=["mend"])
    folder, result = clean(CleanRequest(one, data))
    (decided,) = decisions.read(folder / "decisions.toml").decisions
    assert (decided.sample, decided.action, decided.mask) == ("s005", "relabel", "masks/s005.png")
    (told,) = result["findings"]
    assert told["mask"] == decided.mask and result["distrusted"] == 1, "the table holds no images"
    page = (folder / "findings.html").read_text()
    assert "new mask" in page and 'alt="s005 with the proposed mask outlined"' in page
    specs = [{"name": "decisions", "settings": {"file": str(folder / "decisions.toml")}}]
    taken = toy(world(data), Mend, Decide, techniques=specs)
    (found,) = taken.clean(taken.dataset(data))
    assert (found.sample, found.action, found.rule) == ("s005", "relabel", "mend")
    assert from_text(found.mask, "", world(data).size, "binary", 1).all()


def test_a_mask_that_somebody_painted_over_stays(data):
    one = toy(world(data), Mend, Decide, techniques=["mend"])
    folder, _ = clean(CleanRequest(one, data))
    (folder / "masks" / "s005.png").write_bytes(b"painted")
    (folder / "decisions.toml").unlink()
    clean(CleanRequest(one, data))
    assert (folder / "masks" / "s005.png").read_bytes() == b"painted"


@pytest.mark.parametrize("id", ["../../up", "a/b", "x" * 300, "머리" * 99, ".."])
def test_the_name_of_a_mask_stays_in_its_folder(id):
    folder, name = mask_file(id).split("/")
    assert folder == "masks" and name.endswith(".png") and len(name.encode()) < 256
    assert mask_file(id) != mask_file(id + "1")


def test_the_worst_of_each_rule_come_first_and_commas_do_not_break_the_table():
    found = [Finding("a", "r", 1.0), Finding("b,\n", "r", 2.0, related=("x", "y")), Finding("c", "q", 0.5)]
    assert [one.sample for one in by_rule(found)] == ["c", "b,\n", "a"]
    rows = list(csv.DictReader(table(found, {"a": "g"}).splitlines(keepends=True)))
    assert (
        [row["sample"] for row in rows] == ["c", "b,\n", "a"]
        and rows[1]["related"] == "x y"
        and rows[2]["group"] == "g"
    )


@dataclass(frozen=True)
class Training:
    """A rule that trains networks."""

    name: ClassVar[str] = "training"
    trains_networks: ClassVar[bool] = True

    @classmethod
    def by_default(cls, dataset):
        return True

    @hookimpl(wrapper=True)
    def kk_clean(self):
        return (yield)


@pytest.mark.parametrize("given", [(), ("training",)])
def test_cheap_rules_train_no_networks_whether_the_recipe_has_such_or_not(given):
    solved, folder = toy(Folder(["a"]), Training, NearDuplicates, techniques=given), Folder(["a"])
    assert [t.name for t in with_rules(solved, folder, cheap=True).techniques] == ["near-duplicates"]
    everything = [t.name for t in with_rules(solved, folder).techniques]
    assert everything == (list(given) or ["near-duplicates", "training"])


def test_cheap_rules_of_a_recipe_are_asked_alone():
    solved = toy(Folder(["a"]), Training, LabelRules, NearDuplicates, techniques=("label-rules", "training"))
    assert [t.name for t in with_rules(solved, Folder(["a"]), cheap=True).techniques] == ["label-rules"]
