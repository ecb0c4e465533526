"""Two runs side by side: what differs, by how much, and whether that is more than noise."""

import pytest

from kagglekit.cli.compare import summary
from kagglekit.compare import compare, runs_of
from kagglekit.errors import RunError, UsageError
from kagglekit.runs import folder as folders
from tests.search.world import at_hand
from tests.test_reproduce import edit, trained

pytestmark = pytest.mark.slow


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs of the toy competition that differ in their learning rate and a setting of a technique."""
    toy = at_hand(tmp_path, monkeypatch)
    return trained(toy), trained(toy, lr=0.0001, **{"techniques.toy-tta.identity": 0.5})


def test_what_differs_is_named_with_both_values_and_the_rest_is_not(runs):
    found = compare(*runs)
    assert found["recipe"] == {"lr": [0.02, 0.0001], "techniques.toy-tta.settings.identity": [0.75, 0.5]}
    assert found["same_data"] and found["same_code"] and found["common"] == 8


def test_the_difference_is_that_of_the_common_pictures_and_turns_its_sign_with_the_order(runs):
    found, turned = compare(*runs), compare(*runs[::-1])
    a, b = (folders.read_json(run / folders.VALIDATED)["scores"] for run in runs)
    assert found["difference"]["value"] == pytest.approx(sum(b) / len(b) - sum(a) / len(a))
    assert found["difference"]["value"] == pytest.approx(-turned["difference"]["value"])
    assert found["difference"]["low"] <= found["difference"]["value"] <= found["difference"]["high"] < 0
    gaps = [abs(one["scores"][1] - one["scores"][0]) for one in found["most"]]
    assert gaps == sorted(gaps, reverse=True) and gaps
    text = summary(found)
    assert f"{runs[0].name} is better" in text and "lr" in text and "they differ most on" in text


def test_a_run_against_its_like_is_within_noise(runs):
    edit(runs[1] / folders.MANIFEST, lambda m: m.update(recipe=folders.read_json(runs[0] / folders.MANIFEST)["recipe"]))
    same = folders.read_json(runs[0] / folders.VALIDATED)["scores"]
    edit(runs[1] / folders.VALIDATED, lambda v: v.update(scores=same))
    found = compare(*runs)
    assert found["recipe"] == {} and found["difference"]["value"] == 0 and found["most"] == []
    assert "the recipes are equal" in summary(found) and "within noise" in summary(found)


def test_runs_without_a_common_picture_have_no_difference(runs):
    edit(runs[1] / folders.VALIDATED, lambda v: v.update(pictures=[f"x{i}" for i in range(8)]))
    found = compare(*runs)
    assert found["difference"] is None and "no two pictures were held out by both" in summary(found)


def test_what_cannot_be_compared_is_said(runs):
    with pytest.raises(UsageError, match="takes two different runs"):
        runs_of((runs[0].name, runs[0].name))
    edit(runs[1] / folders.MANIFEST, lambda m: m.update(competition="other"))
    with pytest.raises(UsageError, match=r"is a run of discs, .* of other; compare runs of one competition"):
        compare(*runs)
    (runs[1] / folders.RESULT).unlink()
    with pytest.raises(RunError, match="has not finished"):
        compare(*runs)
