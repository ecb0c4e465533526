"""The plugins that come with the project keep every law that strangers are asked to keep."""

import numpy as np
import pytest
from PIL import Image

from kagglekit.clean.decisions import Decision, Decisions
from kagglekit.data.fingerprint import fingerprint
from kagglekit.plugin.registry import discover
from kagglekit.testing import examine
from kagglekit.testing.fixtures import TASKS, dataset_for
from kagglekit.types import untracked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
# Training on many draws would take minutes; what the laws ask shows with few.
CHEAP = {
    "techniques.co-teaching.epochs": 1,
    "techniques.co-teaching.encoder_weights": "none",
    "techniques.co-teaching.image_size": 32,
}
WINDOWS = {"techniques": [{"name": "random-windows", "settings": {"per_epoch": 24}}]}
SETTINGS = {"techniques": CHEAP, "glomeruli": WINDOWS}
NEED_FILES = {"decisions", "pseudo-labels", "weighted-draws"}


@pytest.mark.parametrize(
    "name", ["clouds", "contrast", "dense-crf", "glomeruli", "hair-seg", "recycling", "techniques"]
)
def test_a_plugin_of_ours_keeps_every_law(name):
    verdicts = list(examine(name, SETTINGS.get(name)))
    assert [v for v in verdicts if v.status == "fail"] == []
    assert len(verdicts) >= (15 if name == "dense-crf" else 53)  # which brings one technique and no competition
    asking = {v.subject.removeprefix("technique ") for v in verdicts if "asks for settings" in v.reason}
    assert asking <= NEED_FILES
    if name not in ("techniques", "dense-crf"):
        assert {v.law: v.status for v in verdicts}["the_whole_path_ends_in_a_scored_submission"] == "pass"


def test_no_plugin_is_left_out_of_this():
    assert set(discover().plugins) >= {
        "clouds",
        "contrast",
        "dense-crf",
        "glomeruli",
        "hair-seg",
        "recycling",
        "techniques",
    }


def test_techniques_that_need_files_keep_every_law_with_files(tmp_path):
    weights = tmp_path / "weights.csv"
    names = [s.id for s in dataset_for(TASKS["binary"]).train]
    weights.write_text("sample,weight\n" + "".join(f"{name},{i + 1}\n" for i, name in enumerate(names)))
    mark = fingerprint(tmp_path, [], tmp_path / "cache", untracked)  # discs are drawn in memory, no file is read
    decided = tmp_path / "decisions.toml"
    decided.write_text(Decisions("drawn-binary", mark, (Decision(names[0], "drop"),)).to_toml())
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for folder, shape in ((images, (48, 64, 3)), (masks, (48, 64))):
        Image.fromarray(np.full(shape, 255, np.uint8)).save(folder / "more.png")
    (masks / "index.csv").write_text("picture,mask,sure\nmore.png,more.png,0.99\n")
    given = {
        "weighted-draws": {"techniques.weighted-draws.file": str(weights)},
        "decisions": {"techniques.decisions.file": str(decided)},
        "pseudo-labels": {"techniques.pseudo-labels.masks": str(masks), "techniques.pseudo-labels.images": str(images)},
    }
    assert set(given) == NEED_FILES
    for name, settings in given.items():
        verdicts = list(examine(name, settings))
        assert [v for v in verdicts if v.status == "fail"] == []
        assert sum(v.status == "pass" for v in verdicts) >= 9, verdicts
