"""`kk plugins`: what is installed, what is broken, who answers a hook; and the version of the plugin API."""

import json

import pytest

from kagglekit.cli.plugins import answers
from kagglekit.plugin.registry import API, build
from tests.helpers import bringing, competition, kk, module, toy, write_plugin
from tests.search.toy import path_of

GOOD = """
from dataclasses import dataclass
from typing import ClassVar

from kagglekit import Competition, hookimpl
from kagglekit.metrics import MeanIoU

KAGGLEKIT_API = 1


@hookimpl
def kk_competition():
    return Competition("toy", "Toy", ("thing",), "binary", (64, 64), MeanIoU(), recipe={"techniques": ["twice"]})


@dataclass(frozen=True)
class Twice:
    '''Everything twice.'''

    name: ClassVar[str] = "twice"

    @hookimpl(wrapper=True)
    def kk_clean(self):
        '''Twice as many findings.'''
        found = yield
        return [*found, *found]


@hookimpl
def kk_techniques():
    return [Twice]
"""


@pytest.fixture
def place(tmp_path):
    """A folder with a good plugin and one of another API version, and what makes `kk` find them."""
    write_plugin(tmp_path / "p", "good", GOOD, "1.2")
    write_plugin(tmp_path / "p", "future", "KAGGLEKIT_API = 2\n", "9.0")
    return tmp_path, {"PYTHONPATH": path_of(tmp_path / "p"), "KAGGLEKIT_PLUGINS": "good,future"}


def test_the_table_shows_what_each_plugin_brings_and_why_one_is_broken(place):
    folder, path = place
    done = kk(folder, "plugins", **path)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["plugin", "distribution", "version", "competitions", "techniques"]
    assert ["good", "good", "1.2", "toy", "twice"] in [line.split() for line in lines]
    assert (
        "BROKEN future: it is made for version 2 of kagglekit's plugin API, this is version 1; upgrade kagglekit"
        in (done.stdout)
    )


def test_the_same_comes_as_one_document(place):
    folder, path = place
    document = json.loads(kk(folder, "plugins", "--json", **path).stdout)
    assert document["api"] == API
    by_name = {row["plugin"]: row for row in document["plugins"]}
    assert by_name["good"]["broken"] is None and by_name["good"]["techniques"] == ["twice"]
    assert by_name["future"]["version"] == "9.0" and "version 2" in by_name["future"]["broken"]


def test_without_plugins_the_table_says_how_to_get_one(tmp_path):
    done = kk(tmp_path, "plugins", KAGGLEKIT_PLUGINS="")
    assert done.returncode == 0 and "kk new competition NAME" in done.stdout


def test_why_lists_who_answers_a_hook_in_the_order_of_asking(place):
    folder, path = place
    done = kk(folder, "plugins", "why", "kk_clean", "--recipe", "toy", **path)
    assert done.returncode == 0, done.stderr
    assert "Which labels do you distrust?" in done.stdout
    rows = [line.split("  ") for line in done.stdout.splitlines() if line[:1].isdigit()]
    shown = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert shown == [
        ["1", "twice", "wraps", "good 1.2", "Twice as many findings."],
        ["2", "defaults", "answers", "kagglekit", "Distrust no label."],
    ]
    without = json.loads(
        kk(folder, "plugins", "why", "kk_clean", "--recipe", "toy", "--without", "twice", "--json", **path).stdout
    )
    assert [row["who"] for row in without["answers"]] == ["defaults"]


def test_the_competition_is_asked_before_the_engine():
    from kagglekit import hookimpl

    @hookimpl
    def kk_tta():
        """Mine."""

    rows = answers(toy(kk_tta=kk_tta), "kk_tta")
    assert [(row["who"], row["how"]) for row in rows] == [
        ("toy", "answers"),
        ("defaults", "if those above return None"),
    ]


def test_why_refuses_what_is_no_hook_and_suggests_one(place):
    folder, path = place
    done = kk(folder, "plugins", "why", "kk_augmnt", "--recipe", "toy", **path)
    assert done.returncode == 2 and "kk: kk_augmnt is no hook; did you mean kk_augment?" in done.stderr


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (API + 1, f"made for version {API + 1} of kagglekit's plugin API, this is version {API}; upgrade kagglekit"),
        (API - 1, f"made for version {API - 1} of kagglekit's plugin API, this is version {API}; upgrade the plugin"),
        ("1", "KAGGLEKIT_API is '1'; expected the whole number of a version"),
        (True, "KAGGLEKIT_API is True; expected the whole number of a version"),
    ],
)
def test_a_plugin_of_another_api_version_is_refused_with_a_sentence(stated, message):
    found = build([("other", "dist 1.0", lambda: bringing("toy", KAGGLEKIT_API=stated))])
    assert message in found.broken["other"].error and not found.competitions


def test_a_plugin_of_this_api_version_or_none_loads():
    same = ("same", "dist 1.0", lambda: bringing("toy", KAGGLEKIT_API=API))
    silent = ("silent", "dist 1.0", lambda: bringing("other", competition=competition("other")))
    empty = ("empty", "dist 1.0", lambda: module("made_empty"))
    found = build([same, silent, empty])
    assert not found.broken and set(found.competitions) == {"toy", "other"}
