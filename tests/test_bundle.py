"""Bundles: what goes in comes out and predicts the same; what is hostile is refused before a byte is written."""

import io
import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kagglekit.clean.decisions import Decision, Decisions
from kagglekit.errors import DataError, RunError, UsageError
from kagglekit.plugin.registry import discover
from kagglekit.publish.pack import pack
from kagglekit.runs import bundle
from kagglekit.runs import folder as folders
from tests.helpers import ROOT, run_folder
from tests.search.toy import at_hand


@pytest.fixture
def finished(tmp_path) -> Path:
    """A run folder with made-up weights of two members."""
    folder = run_folder(tmp_path, "0" * 12)
    result = folders.read_json(folder / folders.RESULT)
    result["members"] = [{"file": f"checkpoints/epoch-00{i}.safetensors", "epoch": i, "fold": 0, "weight": 0.5}
                         for i in range(2)]  # fmt: skip
    result |= {
        "views": [{"name": "identity", "weight": 1.0}],
        "pictures": {"channels": 3, "depth": "uint8", "tiling": None},
        "postprocess": {"name": "Plain", "settings": {}},
    }
    folders.write_json(folder / folders.RESULT, result)
    (folder / folders.RECIPE).write_text('competition = "toy"\n')
    (folder / "checkpoints").mkdir(exist_ok=True)
    for i in range(3):
        (folder / "checkpoints" / f"epoch-00{i}.safetensors").write_bytes(np.random.default_rng(i).bytes(50_000))
    return folder


def test_a_bundle_holds_the_record_and_the_weights_that_predict_and_nothing_else(finished, tmp_path):
    (finished / "submission.csv").write_text("rows")
    (finished / "report.html").write_text("<html>")
    path = pack(finished, tmp_path)
    assert path.suffix == ".kkbundle"
    names = set(zipfile.ZipFile(path).namelist())
    assert {"recipe.toml", "manifest.json", "result.json", "checkpoints/epoch-001.safetensors"} <= names
    assert not names & {"submission.csv", "report.html", "checkpoints/epoch-002.safetensors", "log.txt"}
    folder = bundle.unpack(path)
    assert folder.parent == folders.home() / "bundles"
    for name in names:
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    assert bundle.unpack(path) == folder == bundle.find(str(path)), "the same file is not unpacked twice"


def test_two_processes_may_unpack_one_bundle_at_once(finished):
    from concurrent.futures import ThreadPoolExecutor

    path = pack(finished)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(bundle.unpack, [path] * 6))
    assert len(set(found)) == 1 and folders.is_done(found[0])
    assert not list(found[0].parent.glob(".*")), "no half-unpacked folder is left"


def test_an_unfinished_run_or_one_without_its_weights_makes_no_bundle(finished):
    (finished / "checkpoints" / "epoch-001.safetensors").unlink()
    with pytest.raises(RunError, match=r"epoch-001\.safetensors is gone; run it again with --again"):
        pack(finished)
    (finished / folders.RESULT).unlink()
    with pytest.raises(RunError, match="has not finished"):
        pack(finished)


def test_files_that_techniques_name_come_along_and_are_found(finished, tmp_path):
    decided = tmp_path / "decisions.toml"
    decided.write_text("x = 1\n")
    spec = {"name": "decisions", "settings": {"file": str(decided), "content": "abc"}}
    manifest = folders.read_json(finished / folders.MANIFEST)
    manifest["recipe"] = {"competition": "toy", "techniques": [spec]}
    folders.write_json(finished / folders.MANIFEST, manifest)
    path = pack(finished)
    decided.unlink()
    folder = bundle.unpack(path)
    (now,) = folders.read_json(folder / folders.MANIFEST)["recipe"]["techniques"]
    assert Path(now["settings"]["file"]).read_text() == "x = 1\n" and now["settings"]["content"] == "abc"
    assert now["settings"]["file"] in (folder / folders.RECIPE).read_text()


def test_masks_of_relabelled_samples_are_data_and_stay_at_home(finished, tmp_path, capsys):
    (tmp_path / "m.png").write_bytes(b"pixels")
    some = (Decision("a", "relabel", mask="m.png"), Decision("b", "relabel", who="Kim", mask="m.png"))
    decided = tmp_path / "decisions.toml"
    decided.write_text(Decisions("toy", "mark", some).to_toml())
    manifest = folders.read_json(finished / folders.MANIFEST)
    spec = {"name": "decisions", "settings": {"file": str(decided)}}
    folders.write_json(finished / folders.MANIFEST, manifest | {"recipe": {"competition": "toy", "techniques": [spec]}})
    path = pack(finished)
    assert "decisions.file: the masks of 2 relabelled samples stay here: masks are data" in capsys.readouterr().err
    with zipfile.ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".png")]
    assert (bundle.unpack(path) / "attached" / "decisions.file.toml").read_text() == decided.read_text()


def hostile(path: Path, entries: dict[str, bytes], finished: Path, kind=zipfile.ZIP_DEFLATED) -> Path:
    """A bundle with more in it than there should be."""
    path.write_bytes(pack(finished).read_bytes())
    with zipfile.ZipFile(path, "a", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../outside.json", "is no name that a bundle may hold"),
        ("/etc/cron.d/x.json", "is no name that a bundle may hold"),
        ("checkpoints/../../x.json", "is no name that a bundle may hold"),
        ("a\\..\\b.json", "is no name that a bundle may hold"),
        ("<script>.json", "is no name that a bundle may hold"),
        (".hidden.json", "is no name that a bundle may hold"),
        ("model.pkl", "a bundle holds .toml, .json"),
        ("plugin.py", "a bundle holds .toml, .json"),
        ("report.html", "a bundle holds .toml, .json"),
        ("RECIPE.toml", "is there twice"),
    ],
)
def test_names_that_lead_elsewhere_or_are_no_record_are_refused(finished, tmp_path, name, message):
    path = hostile(tmp_path / "bad.kkbundle", {name: b"{}"}, finished)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message):
        bundle.unpack(path)
    assert set(tmp_path.rglob("*")) == before
    assert not list((folders.home() / "bundles").glob("*")) if (folders.home() / "bundles").exists() else True


def test_a_bundle_that_is_not_there_is_said_to_be_none(tmp_path):
    for take in (bundle.find, bundle.recipe_in):
        with pytest.raises(UsageError, match=r"gone\.kkbundle: no such bundle; kk bundle RUN makes one"):
            take(str(tmp_path / "gone.kkbundle"))


def test_links_are_refused(finished, tmp_path):
    path = tmp_path / "bad.kkbundle"
    path.write_bytes(pack(finished).read_bytes())
    entry = zipfile.ZipInfo("link.json")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match=r"link\.json is no plain file"):
        bundle.unpack(path)


def test_bombs_are_refused_by_what_they_say_and_by_what_they_do(finished, tmp_path):
    path = hostile(tmp_path / "bomb.kkbundle", {"bomb.json": b"\0" * 50_000_000}, finished)
    with pytest.raises(DataError, match=r"bomb\.json would grow to 50,000,000 bytes; that is no record of a run"):
        bundle.unpack(path)
    path = hostile(tmp_path / "heavy.kkbundle", {"checkpoints/x.safetensors": b"\0" * 50_000_000}, finished)
    with pytest.raises(DataError, match="weights do not"):
        bundle.unpack(path)
    entry = zipfile.ZipInfo("x.json")
    entry.file_size = 3

    class Longer:
        """An archive whose entry holds more than it says."""

        @staticmethod
        def open(entry):
            return io.BytesIO(b"longer than three")

    with pytest.raises(DataError, match=r"x\.json is larger than it says"):
        bundle._extract(path, Longer, entry, tmp_path / "part")


def test_too_many_files_and_what_is_no_archive_are_refused(finished, tmp_path):
    path = hostile(tmp_path / "many.kkbundle", {f"x{i}.json": b"{}" for i in range(2001)}, finished)
    with pytest.raises(DataError, match=r"holds 20.. files, more than the 2000 of any bundle"):
        bundle.unpack(path)
    (tmp_path / "none.kkbundle").write_bytes(b"no archive at all")
    with pytest.raises(DataError, match="is damaged, or no bundle"):
        bundle.unpack(tmp_path / "none.kkbundle")
    whole = pack(finished).read_bytes()
    (tmp_path / "half.kkbundle").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is damaged, or no bundle"):
        bundle.unpack(tmp_path / "half.kkbundle")


def test_a_record_that_points_outside_is_refused(finished, tmp_path):
    result = folders.read_json(finished / folders.RESULT)
    path = tmp_path / "bad.kkbundle"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (folders.RECIPE, folders.MANIFEST):
            archive.write(finished / name, name)
        result["members"][0]["file"] = "../../../etc/passwd"
        archive.writestr(folders.RESULT, json.dumps(result))
    with pytest.raises(DataError, match=r"its record is damaged: .*is no file of this run"):
        bundle.unpack(path)
    with zipfile.ZipFile(tmp_path / "empty.kkbundle", "w"):
        pass
    with pytest.raises(DataError, match=r"has no recipe\.toml; it is no bundle of a run"):
        bundle.unpack(tmp_path / "empty.kkbundle")


@pytest.mark.parametrize("name", ["../../../x", "/x", "..", "", None, ["toy"]])
def test_a_record_whose_competition_is_no_plain_name_is_refused(finished, tmp_path, name):
    path = pack(finished, tmp_path / "bad.kkbundle")
    manifest = folders.read_json(finished / folders.MANIFEST) | {"competition": name}
    with zipfile.ZipFile(path, "w") as archive:
        for kept in (folders.RECIPE, folders.RESULT):
            archive.write(finished / kept, kept)
        archive.writestr(folders.MANIFEST, json.dumps(manifest))
    with pytest.raises(DataError, match=r"its record is damaged: .*is no plain name"):
        bundle.unpack(path)
    assert not list((folders.home() / "bundles").glob("*"))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"members": []}, "members: nobody predicts"),
        ({"members": [{"file": "a\0b", "epoch": 0, "fold": 0, "weight": 1.0}]}, "is no file of this run"),
        ({"members": [{"file": "a" * 5000, "epoch": 0, "fold": 0, "weight": 1.0}]}, "is no file of this run"),
        (
            {"members": [{"file": 7, "epoch": 0, "fold": 0, "weight": 1.0}]},
            r"members\[0\]\.file: expected str, got int",
        ),
        ({"members": "all"}, "members: expected array, got str"),
        ({"views": [{}]}, r"views\[0\]: object missing required field name"),
        ({"pictures": None}, "pictures: expected object, got null"),
        ({"pictures": {"channels": True, "depth": "uint8", "tiling": None}}, "channels: expected int, got bool"),
        ({"pictures": {"channels": 3, "depth": "uint7", "tiling": None}}, "depth: invalid enum value 'uint7'"),
        ({"pictures": {"channels": 3, "depth": "uint8", "tiling": {"step": "x"}}}, r"tiling\.step: expected float"),
        ({"seconds": {}}, "seconds: object missing required field total"),
        ({"validation": {"value": "0.5"}}, "validation.value: expected float, got str"),
        ({"deep": json.loads("[" * 900 + "]" * 900)}, "nested more than 64 levels"),
    ],
)
def test_a_record_of_wrong_types_is_refused_with_its_key(finished, tmp_path, changes, fault):
    path = tmp_path / "bad.kkbundle"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (folders.RECIPE, folders.MANIFEST, "checkpoints/epoch-000.safetensors"):
            archive.write(finished / name, name)
        archive.writestr(folders.RESULT, json.dumps(folders.read_json(finished / folders.RESULT) | changes))
    with pytest.raises(DataError, match=rf"bad\.kkbundle: its record is damaged: .*{fault}"):
        bundle.unpack(path)
    assert not list((folders.home() / "bundles").glob("*"))


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bundle_with_damaged_bytes_is_refused_whatever_it_was_packed_with(finished, tmp_path, kind):
    path = tmp_path / "bad.kkbundle"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(folders.RECIPE, "competition = 'toy'\n" + "# some words of a recipe\n" * 40)
    data = bytearray(path.read_bytes())
    start = 30 + len(folders.RECIPE)
    data[start + 12 : start + 60] = bytes(48)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"bad\.kkbundle: is damaged, or no bundle: "):
        bundle.unpack(path)


def test_attached_files_without_a_recipe_to_name_them_are_no_fault(finished, tmp_path):
    path = pack(finished, tmp_path / "one.kkbundle")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("attached/some.file.txt", "x")
    assert folders.is_done(bundle.unpack(path))


def test_a_record_of_another_competition_than_its_recipe_is_refused(finished, tmp_path):
    path = tmp_path / "bad.kkbundle"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (folders.RECIPE, folders.RESULT):
            archive.write(finished / name, name)
        manifest = folders.read_json(finished / folders.MANIFEST) | {"competition": "other"}
        archive.writestr(folders.MANIFEST, json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest\.json: says competition other, recipe\.toml beside it says toy"):
        bundle.unpack(path)


def test_what_a_killed_process_left_is_gone_when_a_bundle_is_unpacked_or_packed_next(finished, tmp_path):
    path = pack(finished, tmp_path / "one.kkbundle")
    kill = "import os, sys; from pathlib import Path; from kagglekit.files import unfinished\n"
    kill += "with unfinished(Path(sys.argv[1]), folder=sys.argv[2] == 'folder'):\n    os.kill(os.getpid(), 9)\n"
    for place, kind in ((folders.home() / "bundles" / "x", "folder"), (tmp_path / "two" / "two.kkbundle", "file")):
        subprocess.run([sys.executable, "-c", kill, str(place), kind], cwd=ROOT, check=False)
        assert len(list(place.parent.glob(".*.part"))) == 1
    assert folders.is_done(bundle.unpack(path))
    pack(finished, tmp_path / "two" / "two.kkbundle")
    assert list(tmp_path.rglob("*.part")) == [] and list(folders.home().rglob("*.part")) == []


@pytest.mark.parametrize("kept", [folders.MANIFEST, folders.RESULT])
def test_a_record_that_is_no_object_is_refused(finished, tmp_path, kept):
    path = tmp_path / "bad.kkbundle"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (folders.RECIPE, folders.MANIFEST, folders.RESULT):
            archive.writestr(name, "[]" if name == kept else (finished / name).read_text())
    with pytest.raises(DataError, match=r"its record is damaged: .*holds list, not an object"):
        bundle.unpack(path)


@pytest.mark.slow
def test_a_bundle_predicts_and_is_checked_as_its_run_is(tmp_path, monkeypatch):
    from kagglekit.pipeline.loaded_run import load
    from kagglekit.publish.reproduce import reproduce
    from tests.test_reproduce import trained

    toy = at_hand(tmp_path, monkeypatch)
    run = trained(toy)
    path = pack(run, tmp_path / "theirs.kkbundle")
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "elsewhere"))
    folder = bundle.find(str(path))
    ours, theirs = load(discover(), run), load(discover(), folder)
    import torch

    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert np.array_equal(ours.predictor(images)[0], theirs.predictor(images)[0])
    verdict = reproduce(discover(), folder, toy)
    assert verdict.passed, verdict.first
    assert bundle.recipe_in(str(path)) == str(folder / folders.RECIPE) and bundle.recipe_in("hair-seg") == "hair-seg"
