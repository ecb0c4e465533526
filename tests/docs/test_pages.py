"""Pages for competitors: their blocks run, their commands exist, the messages they show are those that are given."""

import json
import re
import shlex
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from kagglekit import cli
from kagglekit.cli.common import solution_of
from kagglekit.plugin.registry import discover
from kagglekit.types import untracked
from tests.contrast import test_contrast as contrast
from tests.docs.test_docs import PAGES, ROOT, module_at
from tests.recycling import test_recycling as recycling

DOCS = ROOT / "docs"
QUICKSTART, OWN_DATA = DOCS / "quickstart.md", DOCS / "bring_your_own_data.md"
GENERATED = DOCS / "cli.md"


def blocks(page, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of these languages; "" is none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    return [text for language, text in found if language in languages]


def typed(page, *languages: str) -> list[list[str]]:
    """The command lines of a page's blocks as words."""
    lines = "\n".join(blocks(page, *languages)).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def kk(capsys, monkeypatch, *words) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `kk`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["kk", *map(str, words)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code, *capsys.readouterr()


def refuse_unknown(words: list[str]) -> None:
    """Raises click.UsageError for a verb or an option that `kk` does not have, or an option without its value."""
    command, ctx, rest = cli.kk, click.Context(cli.kk, info_name="kk", **cli.kk.context_settings), words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.get_command(ctx, rest[0]) or ctx.fail(f"no verb {rest[0]}")
        ctx, rest = click.Context(command, info_name=rest[0], parent=ctx), rest[1:]
    command.make_parser(ctx).parse_args(rest)


def test_every_command_of_kk_that_a_page_shows_has_that_verb_and_those_options():
    swept = 0
    for page in PAGES:
        for words in typed(page, "", "sh") if page != GENERATED else ():
            if words[0] == "kk":
                refuse_unknown([word for word in words if word != "..."])
                swept += 1
    assert swept >= 30


@pytest.mark.parametrize(
    "line", ["kk runn hair-seg", "kk data chek hair-seg", "kk run x --fidelty demo", "kk run x -o"]
)
def test_the_check_of_commands_refuses_what_kk_does_not_have(line):
    with pytest.raises(click.UsageError):
        refuse_unknown(line.split())


@pytest.mark.parametrize("page", [QUICKSTART, OWN_DATA], ids=lambda page: page.stem)
def test_other_programs_on_the_first_pages_get_files_and_names_that_exist(page):
    contests = set(re.findall(r"kaggle\.com/c/([\w-]+)", OWN_DATA.read_text(encoding="utf-8")))
    made = {"clouds", "glomeruli", ".venv/bin/activate"}
    lines = [words for words in typed(page, "sh") if words[0] != "kk"]
    for words in lines:
        assert words[0] in {"python3", "source", "pip", "kaggle", "unzip", "chmod", "rm"}, words
        if words[0] == "kaggle":
            assert words[1] == "competitions" and words[2] in {"download", "files"}
            assert words[words.index("-c") + 1] in contests
        for word in words[1:]:
            if "/" in word and word not in made and not word.startswith("~"):
                archive = re.fullmatch(r"(?:clouds|glomeruli)/([\w-]+)\.zip", word)
                assert archive[1] in contests if archive else (ROOT / word / "pyproject.toml").is_file(), word
    assert len(lines) >= 3 and len(contests) == 2


@pytest.mark.slow
def test_the_quickstart_runs_from_drawn_data_to_a_scored_page(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLEKIT_RUNS")  # so that runs lie where the page says
    monkeypatch.chdir(tmp_path)
    ran = 0
    for block in blocks(QUICKSTART, "console"):
        for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.M)[1:]:
            line, _, shown = part.partition("\n")
            code, out, err = kk(capsys, monkeypatch, *shlex.split(line)[1:])
            assert code == 0, f"{line}: {err}"
            if shown:
                assert shape(shown, line) == shape(out, line)
            ran += 1
    [page] = tmp_path.glob("runs/hair-seg/*/report.html")
    assert ran >= 6 and page.stat().st_size > 10_000


def shape(text: str, line: str) -> str:
    """What a command printed; of a training without its numbers, which differ from machine to machine."""
    text = text.replace(f"{Path.cwd()}/", "")
    return re.sub(r"[0-9a-f]{12}|\d+(\.\d+)?", "#", text).split() if line.startswith("kk run") else text.split()


@pytest.mark.slow
def test_every_block_about_one_image_runs_and_prints_what_stands_beside_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = module_at(DOCS / "one_image.py")
    names = page.computed()
    printed = capsys.readouterr().out.splitlines()
    told = [
        re.search(r"  # (.+)$", line) for line in "\n".join(page.blocks()).splitlines() if line.startswith("print(")
    ]
    assert len(told) == len(printed) >= 15
    for said, line in zip(told, printed, strict=True):
        assert said[1].startswith("about ") or said[1] == line
    assert names["score"] > 0.3  # learned something: all or nothing of an image as hair scores less
    assert (names["predicted"] != names["submitted"]).mean() < 0.01  # small regions and lines of bridges
    monkeypatch.setattr(page, "FOLDER", tmp_path / "images")
    page.draw(names)
    for path in (DOCS / "images" / "one_image").iterdir():
        assert cv2.imread(str(path)).shape == cv2.imread(str(tmp_path / "images" / path.name)).shape


def test_images_of_one_image_are_small_and_there():
    shown = re.findall(r"\]\((images/one_image/.+?)\)", (DOCS / "one_image.md").read_text(encoding="utf-8"))
    assert len(shown) == 2
    for name in shown:
        assert 5_000 < (DOCS / name).stat().st_size < 60_000, name


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight drawn photos with their labels, to copy."""
    return solution_of(discover(), "hair-seg").sample(tmp_path_factory.mktemp("drawn") / "hair", 8, 0, untracked)


def whole(folder, photos):
    """The drawn photos."""
    shutil.copytree(photos, folder)


def incomplete(folder, photos):
    """Photos of which three were never unpacked."""
    whole(folder, photos)
    for path in sorted(folder.glob("task02_train/images/*"))[:3]:
        path.unlink()


def cut_off(folder, photos):
    """Photos of which one ends early."""
    whole(folder, photos)
    path = folder / "task02_train/images/KHD00002-1.jpg"
    path.write_bytes(path.read_bytes()[:9000])


def files(*names: str):
    """A maker of a folder that holds these files, all empty."""

    def make(folder, photos):
        folder.mkdir()
        for name in names:
            (folder / name).touch()

    return make


def mixed(folder, photos):
    """Two editions of recycling in one folder."""
    folder.mkdir()
    for name, category in (("train", "UNKNOWN"), ("val", "Paper"), ("test", "Paper")):
        document = {"images": [], "annotations": [], "categories": [{"id": 0, "name": category}]}
        (folder / f"{name}.json").write_text(json.dumps(document))


def index_numbers(folder, photos):
    """16-bit images, one of whose masks holds numbers."""
    contrast.folder(folder, count=8)
    contrast.save(folder / "train/masks/p0.png", np.mgrid[:40, :48].sum(0).astype(np.uint8) % 3)


def small_answer(folder, photos):
    """16-bit images, one of whose answers has another size."""
    contrast.folder(folder, count=8)
    contrast.save(folder / "answers/p8.png", np.zeros((30, 48), np.uint8))


def box_of(folder, photos):
    """Recycling of which one object is a box where a polygon belongs."""
    recycling.folder(folder, train=13)

    def change(document):
        (image,) = [i["id"] for i in document["images"] if i["file_name"].endswith("0012.jpg")]
        document["annotations"][4] |= {"image_id": image, "segmentation": [[200, 200, 60, 60]]}

    recycling.edit(folder / "train_all.json", change)


CHECK, RUN = ("data", "check"), ("run", "--fidelity", "demo", "-o", "folds=2")
FAULTS = {
    "a folder that is not there": (lambda folder, photos: None, "clouds", CHECK),
    "a folder above the right one": (files(), "clouds", CHECK),
    "images still packed": (files("train.csv", "sample_submission.csv", "train_images.zip"), "clouds", CHECK),
    "another contest": (files("train.csv"), "hair-seg", CHECK),
    "no test part": (files("train_all.json"), "recycling", CHECK),
    "two editions": (mixed, "recycling", CHECK),
    "a part of the archive, checked": (incomplete, "hair-seg", CHECK),
    "a part of the archive, run": (incomplete, "hair-seg", RUN),
    "a download that was cut off": (cut_off, "hair-seg", CHECK),
    "masks of index numbers": (index_numbers, "contrast", CHECK),
    "a box that is no polygon": (box_of, "recycling", CHECK),
    "an answer that does not fit": (small_answer, "contrast", RUN),
    "a full disk": (whole, "hair-seg", RUN),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_message_that_the_page_on_data_shows_is_the_one_that_is_given(capsys, monkeypatch, tmp_path, photos, fault):
    make, id, verb = FAULTS[fault]
    root = tmp_path / "data"
    make(root, photos)
    if make is whole:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 0))
    code, out, err = kk(capsys, monkeypatch, *verb, id, *(["--data"] if verb == RUN else []), root)
    assert code == 1, out + err
    said = re.sub(r"in \S+, 0 MiB", "in CACHE, 0 MiB", (out + err).replace(str(root), "DATA"))
    shown = [text.strip() for text in blocks(OWN_DATA, "text") if re.search(r"^kk: |\(damaged\)", text, re.M)]
    assert len([text for text in shown if text in said]) == 1, f"not on the page:\n{said}"
    assert len(shown) == len(FAULTS)
