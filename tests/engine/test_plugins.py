"""Discovery: a plugin may be wrong in any way without harm to the others, and is told who, what and what to do."""

import importlib.metadata
import os
import signal
import sys
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from itertools import permutations
from typing import ClassVar

import pytest

from kagglekit import PluginError, hookimpl
from kagglekit.errors import UsageError
from kagglekit.plugin.entry_points import entry_points
from kagglekit.plugin.registry import GROUP, SPECS, blame, discover, verify
from tests.helpers import answer, bringing, build, competition, module, placed, techniques_of, toy, write_plugin


@dataclass(frozen=True)
class Plain:
    """A technique that changes nothing."""

    name: ClassVar[str] = "plain"

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """As before."""
        return (yield)


def hook(name: str, *arguments: str, marked: bool = True):
    """A function of that name, marked as a hook; an argument is `name` or `name=`, the latter with a default."""

    def made(*_):
        """Never called."""

    kind = Parameter.POSITIONAL_OR_KEYWORD
    made.__name__ = name
    made.__signature__ = Signature(
        [Parameter(a.rstrip("="), kind, default=None if a.endswith("=") else Parameter.empty) for a in arguments]
    )
    return hookimpl(made) if marked else made


def raising(error):
    """A loader that raises `error`."""

    def load():
        raise error

    return load


def broken_by(name: str, *arguments: str, marked: bool = True) -> str:
    """The stored error of a plugin `bad` with this hook; the good one beside it must be alive."""
    registry = build(bad=bringing("bad", **{name: hook(name, *arguments, marked=marked)}), good=bringing("good"))
    assert set(registry.competitions) == {"good"} and set(registry.plugins) == {"good"}
    return str(registry.broken["bad"])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ImportError("no module named torhc"), "ImportError: no module named torhc"),
        (SystemExit(3), "SystemExit: 3"),
        (SyntaxError("invalid syntax"), "SyntaxError: invalid syntax"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (PluginError("says it itself"), ": says it itself"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("anything"), "BaseException: anything"),
    ],
)
def test_one_bad_plugin_never_takes_down_the_rest(error, text):
    registry = build(a=bringing("a"), bad=raising(error), z=bringing("z"))
    assert set(registry.competitions) == {"a", "z"}
    assert str(registry.broken["bad"]).startswith("plugin bad (dist-bad 1.0): ")
    assert text in str(registry.broken["bad"])
    assert "Traceback" in registry.broken["bad"].where


def test_a_person_can_still_interrupt_the_loading_of_plugins():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build(bad=lambda: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before


def test_what_a_plugin_prints_when_it_is_loaded_goes_to_stderr(capfd):
    def load():
        print("from Python")
        os.write(1, b"past Python\n")
        return bringing("loud")

    print("before")
    assert set(build(loud=load).competitions) == {"loud"}
    print("after")
    out, err = capfd.readouterr()
    assert (out == "before\nafter\n" and err.splitlines() == ["past Python", "from Python"]) or set(
        err.splitlines()
    ) == {"past Python", "from Python"}


def test_a_name_that_no_plugin_has_is_not_passed_over(monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "hair-seg,hiar-seg")
    with pytest.raises(UsageError, match="no installed plugin is named hiar-seg; did you mean hair-seg"):
        discover()


def test_an_entry_point_file_of_another_package_that_cannot_be_read_stops_nothing(tmp_path, monkeypatch):
    write_plugin(tmp_path, "aaa-odd", "")
    (tmp_path / "aaa_odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[other]\nx = \xff\xfe\n")
    (tmp_path / "bbb_odd-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [None, "a\0b", str(tmp_path), *sys.path])
    assert "hair-seg" in {point.name for point in entry_points("kagglekit")}


def test_a_misspelled_hook_is_refused_with_the_right_spelling():
    assert broken_by("kk_modle", "recipe").endswith("kk_modle() is not a hook of kagglekit; did you mean kk_model()?")


def test_a_hook_like_no_other_is_refused_with_all_that_there_are():
    text = broken_by("kk_zzzzzzzz")
    assert "kk_zzzzzzzz() is not a hook of kagglekit; known: " in text
    assert all(name in text for name in SPECS)


@pytest.mark.parametrize("name", ["kk_model", "kk_modle"])
def test_an_unmarked_hook_is_refused_also_when_it_is_misspelled(name):
    text = broken_by(name, "recipe", marked=False)
    assert ("write @kagglekit.hookimpl above it" in text) == (name == "kk_model")
    assert ("did you mean kk_model()?" in text) == (name == "kk_modle")


def test_an_argument_with_a_default_is_refused_because_it_would_never_be_passed():
    assert "kk_model(): argument recipe has a default" in broken_by("kk_model", "recipe=")


@pytest.mark.parametrize("name", sorted(SPECS))
def test_an_unknown_argument_is_refused_in_every_hook(name):
    text = broken_by(name, "recipes")
    assert f"{name}() asks for an argument recipes that kagglekit does not pass" in text


def test_an_unknown_argument_is_refused_with_the_nearest_known_one():
    assert broken_by("kk_model", "recipes").endswith("; did you mean recipe?")


def test_a_wrapper_without_a_yield_is_refused():
    @hookimpl(wrapper=True)
    def kk_tta():
        return ()

    with pytest.raises(PluginError, match="wrapper but has no yield"):
        verify(module("made", kk_tta=kk_tta))


def test_every_hook_with_all_its_arguments_is_accepted():
    swept = 0
    for name, spec in SPECS.items():
        verify(module("made", **{name: hook(name, *signature(spec).parameters)}))
        swept += 1
    assert swept >= 12


def test_an_entry_point_that_is_no_module_is_refused():
    registry = build(bad=lambda: object())
    assert "its entry point is a object; expected a module" in str(registry.broken["bad"])


@pytest.mark.parametrize("value", [None, "toy", {"id": "toy"}, 3])
def test_a_competition_of_a_wrong_type_is_refused(value):
    registry = build(bad=module("made", kk_competition=answer(value, "kk_competition")), good=bringing("good"))
    assert f"kk_competition() returned {type(value).__name__}; expected Competition" in str(registry.broken["bad"])
    assert set(registry.competitions) == {"good"}


def test_a_plugin_may_bring_several_competitions():
    several = [competition("one"), competition("two")]
    registry = build(both=module("made", kk_competition=answer(several, "kk_competition")))
    assert set(registry.competitions) == {"one", "two"}


class NotFrozen:
    """No dataclass at all."""

    name = "not-frozen"


@dataclass
class Thawed:
    """A dataclass that can change after it was hashed into an identity."""

    name: ClassVar[str] = "thawed"


@dataclass(frozen=True)
class Nameless:
    """A technique that no recipe can ask for."""


@pytest.mark.parametrize("kind", [NotFrozen, Thawed, Nameless, Plain()])
def test_a_technique_that_is_no_frozen_dataclass_with_a_name_is_refused(kind):
    assert "expected frozen dataclasses with a `name`" in str(build(bad=techniques_of(kind)).broken["bad"])


def test_a_technique_with_an_unmarked_hook_is_refused_and_never_a_silent_no_op():
    @dataclass(frozen=True)
    class Forgetful:
        name: ClassVar[str] = "forgetful"

        def kk_tta(self):
            yield

    assert "kk_tta() is not marked" in str(build(bad=techniques_of(Forgetful)).broken["bad"])


def test_a_technique_with_a_misspelled_hook_breaks_its_plugin():
    @dataclass(frozen=True)
    class Clumsy:
        name: ClassVar[str] = "clumsy"

        @hookimpl(wrapper=True)
        def kk_augmnt(self):
            yield

    registry = build(bad=techniques_of(Plain, Clumsy), good=bringing("good"))
    assert "did you mean kk_augment()?" in str(registry.broken["bad"])
    assert not registry.techniques and set(registry.competitions) == {"good"}


@pytest.mark.parametrize("make", [lambda: bringing("same"), lambda: techniques_of(Plain)])
def test_a_name_that_two_plugins_bring_names_both_with_their_versions(make):
    registry = build(first=make(), second=make())
    text = str(registry.broken["second"])
    assert "plugin first (dist-first 1.0)" in text and "plugin second (dist-second 1.0)" in text
    assert "is already brought by" in text and "uninstall or rename one of the two" in text
    assert set(registry.plugins) == {"first"}


def test_a_competition_brought_twice_by_one_plugin_is_refused():
    twins = [competition("one"), competition("one")]
    registry = build(bad=module("made", kk_competition=answer(twins, "kk_competition")))
    assert "competition one is brought twice by plugin bad" in str(registry.broken["bad"])


def test_two_plugins_of_one_name_are_refused_naming_both():
    from kagglekit.plugin.registry import build as build_found

    registry = build_found(
        [("twin", "dist-a 1.0", lambda: bringing("a")), ("twin", "dist-b 2.0", lambda: bringing("b"))]
    )
    assert set(registry.competitions) == {"a"}
    text = str(registry.broken["twin"])
    assert "(dist-b 2.0)" in text and "its name is taken by plugin twin (dist-a 1.0)" in text


def test_asking_for_a_broken_plugin_gives_its_stored_error():
    registry = build(bad=raising(ImportError("no gpu library")), good=bringing("good"))
    with pytest.raises(PluginError, match=r"plugin bad \(dist-bad 1\.0\): ImportError: no gpu library; mend or"):
        registry.competition("bad")


def test_asking_for_an_unknown_name_suggests_one_and_mentions_broken_plugins():
    registry = build(bad=raising(ImportError("x")), good=bringing("good"), more=techniques_of(Plain))
    with pytest.raises(UsageError, match=r"no competition is named goud; did you mean good\? \(1 broken plugin"):
        registry.competition("goud")
    with pytest.raises(UsageError, match=r"no technique is named plane; did you mean plain\?"):
        registry.technique("plane")


def test_the_installed_plugins_are_found_and_none_is_broken(monkeypatch):
    monkeypatch.delenv("KAGGLEKIT_PLUGINS", raising=False)
    registry = discover()
    assert not registry.broken
    assert registry.competitions and registry.techniques


def test_KAGGLEKIT_PLUGINS_chooses_which_plugins_are_loaded(monkeypatch):
    monkeypatch.delenv("KAGGLEKIT_PLUGINS", raising=False)
    every = set(discover().plugins)
    assert len(every) >= 2
    for chosen in [set(), *({name} for name in every), every]:
        monkeypatch.setenv("KAGGLEKIT_PLUGINS", " , ".join(sorted(chosen)))
        assert set(discover().plugins) == chosen


def test_the_answer_does_not_depend_on_the_order_in_which_plugins_are_found(tmp_path, monkeypatch):
    source = "from kagglekit import Competition, hookimpl\nfrom kagglekit.metrics import MeanIoU\n\n\n@hookimpl\n" + (
        "def kk_competition():\n    return Competition('same', 'Same', ('x',), 'binary', (8, 8), MeanIoU())\n"
    )
    folders = [write_plugin(tmp_path / name, name, source, module_name=f"order_{name}") for name in ("aa", "bb", "cc")]
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "aa,bb,cc")
    seen = set()
    for order in permutations(folders):
        with monkeypatch.context() as patch:
            for folder in order:
                patch.syspath_prepend(str(folder))
            registry = discover()
        seen.add((tuple(registry.plugins), *(str(b) for b in registry.broken.values())))
    assert len(seen) == 1
    plugins, *broken = seen.pop()
    assert plugins == ("aa",) and len(broken) == 2 and all("plugin aa (aa 1.0)" in text for text in broken)


def test_entry_points_are_those_that_the_standard_library_finds(tmp_path, monkeypatch):
    write_plugin(tmp_path, "kk-far", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    ours = sorted((p.name, p.value) for p in entry_points(GROUP))
    theirs = sorted((p.name, p.value) for p in importlib.metadata.entry_points(group=GROUP))
    assert ours == theirs and ("kk-far", "kk_far") in ours
    versions = {p.distribution: p.version for p in entry_points(GROUP)}
    assert versions == {name: importlib.metadata.version(name) for name in versions}


def test_blame_finds_the_plugin_deepest_in_the_traceback():
    plugins = list(build(one=bringing("one", "made_one"), two=bringing("two", "made_two.inner")).plugins.values())
    call = placed(lambda inner: inner(), "made_one.part")
    with pytest.raises(ZeroDivisionError) as caught:
        call(placed(lambda: 1 / 0, "made_two"))
    assert blame(caught.value, plugins).name == "two"
    with pytest.raises(ZeroDivisionError) as caught:
        call(lambda: 1 / 0)
    assert blame(caught.value, plugins).name == "one"


def test_blame_names_nobody_for_an_error_of_the_engine():
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert blame(caught.value, toy().plugins) is None


def test_a_competition_with_more_classes_than_a_mask_holds_is_refused():
    many = competition("many", task="multiclass", classes=tuple(f"c{i}" for i in range(257)))
    registry = build(many=bringing("many", competition=many))
    assert "competition many has 257 classes; masks hold up to 256" in registry.broken["many"].error
    fits = competition("fits", task="multiclass", classes=tuple(f"c{i}" for i in range(256)))
    assert not build(fits=bringing("fits", competition=fits)).broken
