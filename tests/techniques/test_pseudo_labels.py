"""Pseudo-labels: learned from as they were predicted, never held out, and from no images that are not allowed."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kagglekit import RecipeError, Sample, Tiling
from kagglekit.pipeline.loaded_run import sure_part
from kagglekit.pipeline.prepare import prepare
from kagglekit_techniques.pseudo_labels import PseudoLabels, cut, inside
from tests.helpers import bringing, build, competition, solution, techniques_of, wrapped
from tests.toy_data import discs


def predicted(folder: Path, sure=(0.9, 0.5, 0.95), task: str = "binary") -> tuple[Path, Path]:
    """A folder of images, and one as `kk predict` writes it; images are 48x64."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    rows = []
    for i, part in enumerate(sure):
        Image.fromarray(np.full((48, 64, 3), 10 * i, np.uint8)).save(images / f"p{i}.png")
        mask = np.zeros((48, 64), np.uint8)
        mask[: 10 + i] = 2 if task == "multiclass" else 255
        names = [f"p{i}-a.png", f"p{i}-b.png"] if task == "multilabel" else [f"p{i}.png"]
        for k, name in enumerate(names):
            Image.fromarray(mask if k == 0 else mask * 0).save(masks / name)
        rows.append([f"p{i}.png", f"p{i}.png", part, 0.2])
    with (masks / "index.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["picture", "mask", "sure", "thing"], *rows])
    return masks, images


def joined(technique: PseudoLabels, data=None, **changes):
    return wrapped(technique, "kk_dataset", data or discs(8), competition=competition("toy", **changes))


def test_images_that_the_network_is_sure_of_join_the_training_part_as_extra(tmp_path):
    masks, images = predicted(tmp_path)
    data = joined(PseudoLabels(str(masks), str(images)))
    extra = [s for s in data.train if s.extra]
    assert [s.id for s in extra] == ["pseudo/p0.png", "pseudo/p2.png"] and len(data.train) == 10
    assert data.read_mask(extra[1]).tolist() == [[1] * 64] * 12 + [[0] * 64] * 36
    assert data.read_image(extra[1])[0, 0].tolist() == [20, 20, 20]
    assert (data.read_mask(data.train[0]) == discs(8).read_mask(discs(8).train[0])).all()
    assert len([s for s in joined(PseudoLabels(str(masks), str(images), sure=0.0)).train if s.extra]) == 3


def test_class_indices_are_taken_as_they_were_written(tmp_path):
    masks, images = predicted(tmp_path, task="multiclass")
    data = joined(PseudoLabels(str(masks), str(images)), task="multiclass", classes=("a", "b", "c"))
    assert set(np.unique(data.read_mask(data.train[-1]))) == {0, 2}, "an index that moves by one teaches another class"


def test_a_mask_per_class_becomes_planes(tmp_path):
    masks, images = predicted(tmp_path, task="multilabel")
    data = joined(PseudoLabels(str(masks), str(images)), task="multilabel", classes=("a", "b"))
    mask = data.read_mask(data.train[-1])
    assert mask.shape == (48, 64, 2) and mask[..., 0].sum() == 12 * 64 and mask[..., 1].sum() == 0


def test_what_was_predicted_is_never_held_out(tmp_path):
    masks, images = predicted(tmp_path, sure=(0.9,) * 6)
    registry = build(toy=bringing("toy", competition=competition("toy"), __file__=__file__),
                     extra=techniques_of(PseudoLabels))  # fmt: skip
    solved = solution(registry, folds=4, fold="all", fidelity={"image_size": 32, "epochs": 1})
    data = joined(PseudoLabels(str(masks), str(images)), discs(24))
    found = prepare(solved, data, "mark")
    assert len(found.splits) == 4
    for part in found.splits:
        assert not any(s.extra for s in part.validation) and sum(s.extra for s in part.train) == 6
    held = [s.id for part in found.splits for s in part.validation]
    assert sorted(held) == sorted(s.id for s in data.train if not s.extra)


def test_extra_images_of_a_group_that_is_held_out_leave_training():
    data = discs(24)
    groups = sorted({s.group for s in data.train})
    extra = [Sample(f"e{i}", data.train[0].image, data.train[0].size, data.train[0].label, group, extra=True)
             for i, group in enumerate(groups)]  # fmt: skip
    registry = build(toy=bringing("toy", competition=competition("toy"), __file__=__file__))
    data.samples += extra
    (part,) = prepare(solution(registry, folds=4, fidelity={"image_size": 32, "epochs": 1}), data, "mark").splits
    assert not {s.group for s in part.train} & {s.group for s in part.validation}
    assert 0 < sum(s.extra for s in part.train) < len(groups)


def test_test_images_are_refused_unless_they_are_allowed(tmp_path):
    masks, images = predicted(tmp_path)
    data = discs(8)
    data.test = [Sample("t", images / "p0.png", (48, 64))]
    with pytest.raises(RecipeError, match=r"p0\.png is a test image; if the host allows .*allow_test=true"):
        joined(PseudoLabels(str(masks), str(images)), data)
    assert any(s.extra for s in joined(PseudoLabels(str(masks), str(images), allow_test=True), data).train)


def test_the_content_of_the_index_is_part_of_the_recipe(tmp_path):
    masks, images = predicted(tmp_path)
    one = PseudoLabels(str(masks), str(images))
    assert len(one.content) == 16 and PseudoLabels(str(masks), str(images), content=one.content) == one
    (masks / "index.csv").write_text((masks / "index.csv").read_text().replace("0.95", "0.96"))
    assert PseudoLabels(str(masks), str(images)).content != one.content
    with pytest.raises(RecipeError, match="has changed since this recipe was made"):
        joined(PseudoLabels(str(masks), str(images), content=one.content))
    (masks / "index.csv").unlink()
    assert PseudoLabels(str(masks), str(images), content=one.content) == one, "whoever predicts needs no masks"


HEAD = "picture,mask,sure\n"


@pytest.mark.parametrize(
    ("gone", "index", "message"),
    [
        ("masks/index.csv", None, r"index\.csv does not exist; kk predict RUN --images writes it"),
        ("images/p0.png", None, "images must be the folder that was predicted"),
        (None, "a,b\n1,2\n", "index.csv: column picture is missing"),
        (None, HEAD + "../x.png,x.png,1\n", "must lie in the folder"),
        (None, HEAD + "p0.png,../p0.png,1\n", "must lie in the folder"),
        (None, HEAD + "p0.png,p0.png,0.1\n", "of no image is the network sure"),
    ],
)
def test_masks_that_are_not_usable_are_said(tmp_path, gone, index, message):
    masks, images = predicted(tmp_path)
    if gone:
        (tmp_path / gone).unlink()
    if index:
        (masks / "index.csv").write_text(index)
    with pytest.raises(RecipeError, match=message):
        joined(PseudoLabels(str(masks), str(images)))


def test_without_folders_it_says_how_to_make_them():
    with pytest.raises(RecipeError, match=r"needs masks and images; first kk predict RUN --images IMAGES --out MASKS"):
        PseudoLabels()
    with pytest.raises(ValueError, match=r"sure must lie in 0\.\.1"):
        PseudoLabels("a", "b", sure=2.0)


def test_slides_are_refused(tmp_path):
    masks, images = predicted(tmp_path)
    data = discs(8)
    data.tiling = Tiling()
    with pytest.raises(RecipeError, match="are looked at by window; use --without pseudo-labels"):
        joined(PseudoLabels(str(masks), str(images)), data)


def test_names_cannot_leave_their_folder_and_boxes_are_cut(tmp_path):
    assert inside(tmp_path, "a.png", "x") == tmp_path / "a.png"
    for name in ("../a.png", "/etc/passwd", "b/../a.png"):
        with pytest.raises(RecipeError, match="must lie in the folder"):
            inside(tmp_path, name, "x")
    from kagglekit import Box

    array = np.arange(20).reshape(4, 5)
    assert cut(array, None) is array and cut(array, Box(1, 2, 2, 2)).tolist() == [[7, 8], [12, 13]]


def test_a_network_is_sure_where_every_class_is_clear():
    probs = np.array([[[0.95, 0.5], [0.05, 0.79]]], np.float32)
    assert sure_part(probs, "binary") == 0.5
    both = np.concatenate([probs, np.full_like(probs, 0.5)])
    assert sure_part(both, "multilabel") == 0.0
    assert sure_part(np.array([[[0.9, 0.5]], [[0.1, 0.5]]], np.float32), "multiclass") == 0.5
