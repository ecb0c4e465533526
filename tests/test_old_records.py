"""Records of before they had a schema: `old_records` holds a run, a search and an ablation, without weights."""

import json
import shutil

import pytest

from kagglekit.errors import RunError
from kagglekit.plugin.registry import discover
from kagglekit.publish.compare import compare
from kagglekit.publish.export.records import chosen, record_of
from kagglekit.publish.reproduce import read_evidence
from kagglekit.publish.writeup.facts import gather
from kagglekit.runs import folder as folders
from kagglekit.runs import reading, record
from kagglekit.runs.history import read_history
from kagglekit.runs.ledger import Ledger, describe
from kagglekit.runs.search_record import (
    SHOWN,
    SearchResult,
    read_ablation,
    read_ablation_plan,
    read_search,
    read_search_plan,
)
from tests.helpers import ROOT

RUN, SEARCH, ABLATION = "hair-seg/fba91d6f49ef", "searches/old", "ablations/oldabl"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The runs of then, as the folder of runs."""
    shutil.copytree(ROOT / "tests" / "old_records", tmp_path / "runs")
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("place", "reader"),
    [
        (f"{RUN}/manifest.json", lambda path: record.read_manifest(path.parent, record.WHOLE_MANIFEST)),
        (f"{RUN}/result.json", lambda path: record.read_result(path.parent, record.WRITTEN)),
        (f"{RUN}/validated.json", lambda path: record.read_validated(path.parent, record.WHOLE_VALIDATED)),
        (f"{SEARCH}/search.json", read_search_plan),
        (f"{SEARCH}/result.json", lambda path: read_search(path, SHOWN)),
        (f"{ABLATION}/ablation.json", read_ablation_plan),
        (f"{ABLATION}/result.json", read_ablation),
    ],
)
def test_a_record_of_before_the_schema_is_read_whole_and_written_with_the_same_keys_and_the_schema(home, place, reader):
    path = home / place
    before, found = json.loads(path.read_text()), reader(path)
    assert found.schema == 0 and "schema" not in before
    written = record.stamped(path, found)
    assert json.loads(path.read_text()) == before | {"schema": reading.SCHEMA}
    assert reader(path) == written


def test_commands_read_a_run_of_before_the_schema(home):
    run = home / RUN
    assert Ledger(home).rebuild() == 1
    row = describe(run)
    assert (row["status"], row["seconds"]) == ("done", 36.35) and row["score"] == pytest.approx(0.0946, abs=1e-4)
    assert record_of(run).final["test"] == row["test_score"] and len(read_history(run)) == 2
    assert record.read_predicting(run).members[1].file == "checkpoints/epoch-001.safetensors"
    facts = gather(discover(), run)
    assert facts["metric"]["name"] == "mean IoU" and facts["cost"]["seconds"]["total"] == 36.35
    assert facts["ablation"]["id"] == "oldabl" and facts["search"] is None
    other = shutil.copytree(run, run.with_name("b" * 12))
    assert compare(run, other)["scores"]["validation"] == [row["score"]] * 2
    assert read_evidence(run).validated.observed["lr"] == 0.001
    with pytest.raises(RunError, match=r"none of its trials has a run folder"):
        chosen("old", False)


@pytest.mark.parametrize("name", [folders.MANIFEST, folders.RESULT])
def test_a_record_of_a_later_schema_is_refused_in_a_sentence_that_says_what_to_do(home, name):
    record.amend(home / RUN / name, schema=reading.SCHEMA + 1, validation="of another kind")
    with pytest.raises(RunError, match=rf"{name}: was written by a newer kagglekit \(schema 2.*update kagglekit$"):
        describe(home / RUN)


@pytest.mark.parametrize("schema", ["1", None, 1.5])
def test_a_schema_that_is_no_number_is_damage(home, schema):
    record.amend(home / RUN / folders.RESULT, schema=schema)
    with pytest.raises(RunError, match=r"result\.json: damaged: expected int"):
        describe(home / RUN)


def test_a_search_without_its_winner_has_defaults_for_all_else(home):
    folders.write_json(home / SEARCH / folders.RESULT, {"competition": "toy", "trials": []})
    found = read_search(home / SEARCH / folders.RESULT, ("competition", "trials"))
    assert found == SearchResult(competition="toy") and found.winner is None
