"""Several runs as one: weights that validation chooses, the submission that is scored, and every way to ask wrongly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kagglekit.cli.blend import parse_weights, summary
from kagglekit.errors import UsageError
from kagglekit.pipeline.blend import blend, blended
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import compose
from kagglekit.types import Prediction
from tests.search.toy import at_hand

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    return at_hand(tmp_path, monkeypatch)


def trained(data: Path, **overrides) -> str:
    """The name of a finished run of the toy competition; a third of its images is held out."""
    registry = discover()
    layers = [("", {"competition": "discs"}), ("", registry.competition("discs")[1].recipe)]
    recipe, _ = compose([*layers, ("", {"fidelity.epochs": 2, "folds": 3} | overrides)])
    folder, _, _ = run(Request(resolve(recipe, registry), data))
    return folder.name


def test_a_blend_of_two_runs_is_scored_as_it_is_submitted_and_never_below_equal_weights(toy):
    names = [trained(toy), trained(toy, lr=0.0001, **{"fidelity.image_size": 32})]
    result = blend(discover(), names)
    assert [one.run for one in result.runs] == names
    assert sum(one.weight for one in result.runs) == pytest.approx(1)
    assert result.validation.count >= 10 and result.test is None
    assert Path(result.submission).is_file()
    equal = blend(discover(), names, weights="equal")
    assert result.validation.value >= equal.validation.value - 0.01
    hardly, good = sorted(result.runs, key=lambda one: one.validation)
    assert good.weight >= hardly.weight, "a network that learned nothing does not get the larger share"
    assert json.loads((Path(result.folder) / "blend.json").read_text())["how"] == "mean"
    assert "the mean" in summary(result) and names[0] in summary(result)


def test_all_the_weight_on_one_run_is_that_run(toy):
    names = [trained(toy), trained(toy, seed=0, lr=0.001)]
    result = blend(discover(), names, weights=[1.0, 0.0])
    alone = result.runs[0].validation
    assert result.validation.value == pytest.approx(alone, abs=2e-3)
    voted = blend(discover(), names, weights=[1.0, 0.0], voting=True)
    assert voted.how == "vote" and voted.validation.value == pytest.approx(alone, abs=2e-2)


def test_runs_that_do_not_fit_together_are_refused(toy, tmp_path):
    name = trained(toy)
    registry = discover()
    with pytest.raises(UsageError, match="needs at least two runs"):
        blend(registry, [name])
    with pytest.raises(UsageError, match="is named twice; give it a larger weight"):
        blend(registry, [name, name])
    other = tmp_path / "other"
    shutil.copytree(toy, other)
    (other / "discs.txt").write_text("36 1")
    with pytest.raises(UsageError, match=r"was made of other data than .*; name its folder with --data"):
        blend(registry, [name, name], other)
    with pytest.raises(UsageError, match="2 runs need 2 numbers of 0 or more"):
        blend(registry, [name, trained(toy, lr=0.002)], weights=[1.0])


def test_predictions_of_several_sizes_are_blended_at_the_largest():
    small = Prediction(np.full((1, 4, 4), 0.2, np.float32), (8, 8), "a", np.array([0.2], np.float32))
    large = Prediction(np.full((1, 8, 8), 0.8, np.float32), (8, 8), "a", np.array([0.6], np.float32))
    found = blended([small, large], [0.25, 0.75], voting=False)
    assert found.probs.shape == (1, 8, 8) and np.allclose(found.probs, 0.65) and np.allclose(found.classes, 0.5)
    assert np.allclose(blended([small, large], [1.0, 0.0], voting=False).probs, 0.2)
    votes = blended([small, large, large], [1 / 3] * 3, voting=True)
    assert (votes.probs > 0.5).all()


def test_weights_are_read_from_the_command_line():
    assert parse_weights("fit") == "fit" and parse_weights("0.5,1") == [0.5, 1.0]
    with pytest.raises(UsageError, match="expected fit, equal, or a number for each run"):
        parse_weights("a,b")
