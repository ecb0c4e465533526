"""Decisions as a part of a recipe: keep, drop and relabel, their hash in the recipe, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kagglekit import RecipeError, hookimpl
from kagglekit.clean import decisions
from kagglekit.clean.decisions import Decision, Decisions
from kagglekit.data.codecs.mask_png import from_text
from kagglekit.data.fingerprint import fingerprint
from kagglekit.data.store import open_store
from kagglekit.errors import DataError
from kagglekit.plugin.solution import make_technique
from kagglekit.runs.identity import reader_version
from kagglekit.types import Box, Tiling
from kagglekit_techniques import Decide
from kagglekit_techniques.decisions import Relabelled
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.techniques.flawed import CLASSES, Flawed, huge
from tests.techniques.test_near_duplicates import distrusting


@pytest.fixture
def data(tmp_path):
    """A folder with one file, which is all that is hashed."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "index.txt").write_text("12")
    return folder


def toy(data, file, task="binary", dataset=None, **settings):
    """A solution that follows the decisions in `file`, after a rule that distrusts s001 and s002."""
    made = dataset or Flawed(12, task=task, files=(data / "index.txt",))

    @hookimpl
    def kk_dataset(root):
        return made

    plugin = bringing(
        "toy", competition=competition(task=task, classes=CLASSES[task]), kk_dataset=kk_dataset, __file__=__file__
    )
    registry = build(toy=plugin, extra=techniques_of(distrusting("s001", "s002"), Decide))
    specs = [{"name": "distrust"}, {"name": "decisions", "settings": {"file": str(file), **settings}}]
    return solution(registry, techniques=specs)


def write(data, *some: Decision, mark: str = "", competition: str = "toy"):
    """A file of decisions on the data of `data`."""
    mark = mark or fingerprint(data, [data / "index.txt"])
    path = data.parent / "decisions.toml"
    path.write_text(Decisions(competition, mark, some).to_toml(), encoding="utf-8")
    return path


def test_drop_distrusts_and_keep_takes_back_what_rules_found_before(data):
    path = write(
        data,
        Decision("s002", "keep"),
        Decision("s005", "drop", "ugly", "looks wrong"),
        Decision("s007", "drop", who="Kim"),
    )
    one = toy(data, path)
    found = {f.sample: f for f in one.clean(one.dataset(data))}
    assert set(found) == {"s001", "s005", "s007"}
    assert (found["s005"].rule, found["s005"].detail) == ("ugly", "looks wrong")
    assert (found["s007"].rule, found["s007"].detail) == ("decisions", "decided by Kim")


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_a_relabelled_sample_has_the_mask_of_its_png_whole_and_in_boxes_and_is_used_again(data, task):
    dataset = Flawed(12, {1: huge}, task=task, files=(data / "index.txt",))
    new = np.zeros(dataset.size, np.uint8)
    new[10:40, 20:90] = 2 if task == "multiclass" else 5 if task == "multilabel" else 1
    Image.fromarray(new).save(data.parent / "better.png")
    one = toy(data, write(data, Decision("s001", "relabel", who="Kim", mask="better.png")), task, dataset)
    read = one.dataset(data)
    first, second = read.train[1], read.train[2]
    expected = np.stack([(new >> k) & 1 for k in range(3)], -1) if task == "multilabel" else new
    assert np.array_equal(read.read_mask(first), expected)
    assert np.array_equal(read.read_mask(first, Box(5, 15, 20, 30)), expected[5:25, 15:45])
    assert np.array_equal(read.read_truth(first), expected)
    assert np.array_equal(read.read_mask(second), dataset.read_mask(second))
    assert np.array_equal(read.read_image(first), dataset.read_image(first))
    assert {f.sample for f in one.clean(read)} == {"s002"}


def test_a_mask_that_nobody_signed_is_learned_from_and_not_validated_against(data):
    Image.fromarray(np.full((96, 128), 255, np.uint8)).save(data.parent / "guess.png")
    signed, unsigned = (Decision("s001", "relabel", "r", "w", who, "guess.png") for who in ("Kim", ""))
    one = toy(data, write(data, unsigned))
    dataset = one.dataset(data)
    assert not dataset.read_mask(dataset.train[1]).all() and not dataset.read_truth(dataset.train[1]).all()
    findings = {f.sample: f for f in one.clean(dataset)}
    assert set(findings) == {"s001", "s002"}, "what a rule found of it before is taken back"
    found = findings["s001"]
    assert (found.action, found.rule, found.detail) == ("relabel", "r", "w")
    assert from_text(found.mask, "", (96, 128), "binary", 1).all()
    identity = one.recipe.identity()
    assert toy(data, write(data, signed)).recipe.identity() != identity, "another validation is another experiment"


def test_a_mask_of_a_slide_needs_somebody_who_answers_for_it(data):
    Image.fromarray(np.ones((96, 128), np.uint8)).save(data.parent / "m.png")
    slides = Flawed(12, files=(data / "index.txt",), tiling=Tiling(reduce=1))
    one = toy(data, write(data, Decision("s001", "relabel", mask="m.png")), dataset=slides)
    with pytest.raises(DataError, match=r"s001: a mask .* look at it and add who = \"NAME\""):
        one.dataset(data)


def test_the_truth_of_a_relabelled_sample_has_the_size_of_the_truth_and_a_test_image_keeps_its_own(tmp_path):
    inner = Flawed(3)
    inner.train[0] = replace(inner.train[0], truth_size=(48, 64))
    new = np.zeros(inner.size, np.uint8)
    new[:48] = 1
    Image.fromarray(new).save(tmp_path / "m.png")
    read = Relabelled(inner, {"s000": tmp_path / "m.png"}, "binary", 1)
    assert read.read_truth(read.train[0]).tolist() == ([[1] * 64] * 24 + [[0] * 64] * 24)
    assert read.read_truth(read.train[0], Box(20, 0, 10, 8)).sum() == 4 * 8
    namesake = replace(inner.train[0], image=tmp_path / "test.png")
    assert np.array_equal(read.read_mask(namesake), inner.read_mask(namesake))
    assert read.regions(namesake, (4, 4)) == {} and read.group_size == inner.group_size


def test_bands_of_a_large_image_decode_its_png_once(tmp_path):
    inner = Flawed(2, size=(200, 100), tiling=Tiling(reduce=2))
    Image.fromarray(np.ones((200, 100), np.uint8)).save(tmp_path / "m.png")
    read = Relabelled(inner, {"s000": tmp_path / "m.png"}, "binary", 1)
    bands = [read.read_mask(read.train[0], Box(top, 0, 50, 100)) for top in range(0, 200, 50)]
    assert np.concatenate(bands).all() and read._decoded.cache_info().misses == 1


def test_a_store_holds_the_new_masks_and_another_png_makes_another_store(data, tmp_path):
    path = write(
        data, Decision("s003", "relabel", who="Kim", mask="m.png"), mark=fingerprint(data, [data / "index.txt"])
    )
    versions = []
    for value in (0, 1):
        Image.fromarray(np.full((96, 128), value, np.uint8)).save(data.parent / "m.png")
        one = toy(data, path)
        dataset = one.dataset(data)
        versions.append(reader_version(one))
        store = open_store(tmp_path / "cache", versions[-1], dataset, 32, "binary", 1)
        assert store.fill(dataset, dataset.train) == {}
        assert (store.read(dataset.train[3])[1] == value).all()
    assert versions[0] != versions[1]


def test_the_content_becomes_part_of_the_recipe_and_must_stay_what_it_was(data):
    path = write(data, Decision("s005", "drop"))
    recipe = toy(data, path).recipe
    content = recipe.techniques[1].settings["content"]
    assert content == decisions.read(path).content()
    assert toy(data, path, content=content).recipe.identity() == recipe.identity()
    write(data, Decision("s005", "keep"))
    assert toy(data, path).recipe.identity() != recipe.identity()
    with pytest.raises(RecipeError, match=rf"has changed since this recipe was made \(content .*, not {content}\)"):
        toy(data, path, content=content).dataset(data)
    path.unlink()
    assert toy(data, path, content=content).recipe == recipe, "whoever predicts with a run needs no decisions"


def test_a_technique_without_a_file_or_with_a_faulty_one_is_refused_at_once(tmp_path):
    with pytest.raises(RecipeError, match="no file; add --with decisions:file=PATH"):
        make_technique(Decide, {})
    with pytest.raises(DataError, match="no such file"):
        make_technique(Decide, {"file": str(tmp_path / "none.toml")})


def test_decisions_on_other_data_other_samples_or_another_competition_are_refused(data):
    with pytest.raises(DataError, match="made for data with the fingerprint 0000"):
        toy(data, write(data, mark="0000")).dataset(data)
    with pytest.raises(DataError, match="no training image s999"):
        toy(data, write(data, Decision("s999", "drop"))).dataset(data)
    with pytest.raises(DataError, match="made for hair, not for toy"):
        toy(data, write(data, competition="hair")).dataset(data)
    path = write(data, Decision("s005", "drop"))
    (data / "index.txt").write_text("changed since")
    with pytest.raises(DataError, match=r"fingerprint .*, these have .*write data = "):
        toy(data, path).dataset(data)
