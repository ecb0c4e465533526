"""The identity of an experiment: changed by recipe, data and code, and by nothing else."""

import ast
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

import kagglekit
from kagglekit import PluginError, hookimpl
from kagglekit.data.fingerprint import fingerprint
from kagglekit.runs import identity as identities
from kagglekit.runs import source_code
from kagglekit.runs.identity import (
    cleaner_version,
    code_version,
    hardware,
    identity,
    manifest_of,
    reader_version,
    training_identity,
    versions,
)
from kagglekit.runs.record import plain as to_plain
from tests.helpers import bringing, build, solution, techniques_of

SOURCE = "THING = 1\n"


def plugin_at(folder: Path, name: str = "toy", source: str = SOURCE):
    """A plugin whose package lies in `folder`, with one module beside its __init__."""
    package = folder / f"made_{name}"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text('"""A plugin."""\n')
    (package / "part.py").write_text(source)
    return bringing(name, f"made_{name}", __file__=str(package / "__init__.py"))


def solved(folder: Path, source: str = SOURCE, **recipe):
    """The toy solution with its plugin in `folder`."""
    return solution(build(toy=plugin_at(folder, source=source)), **recipe)


def test_an_identity_is_twelve_hex_digits_that_stay_the_same(tmp_path):
    first = identity(solved(tmp_path), "data", "code")
    assert len(first) == 12 and int(first, 16) >= 0
    assert identity(solved(tmp_path), "data", "code") == first


def test_recipe_data_and_code_each_change_the_identity(tmp_path):
    plain, other = solved(tmp_path), solved(tmp_path, seed=1)
    names = [
        identity(plain, "data", "code"),
        identity(other, "data", "code"),
        identity(plain, "other", "code"),
        identity(plain, "data", "other"),
        identity(plain, "code", "data"),
    ]
    assert len(set(names)) == len(names)


def test_moving_and_touching_data_changes_nothing_but_its_content_does(tmp_path):
    root = tmp_path / "a"
    root.mkdir()
    files = [root / name for name in ("x.jpg", "y.jpg")]
    for path in files:
        path.write_bytes(path.name.encode())
    first = fingerprint(root, files)
    moved = shutil.copytree(root, tmp_path / "b")
    assert fingerprint(moved, [moved / p.name for p in reversed(files)]) == first
    (moved / "x.jpg").write_bytes(b"X.jpg")
    assert fingerprint(moved, [moved / p.name for p in files]) != first


def test_the_code_of_a_plugin_is_part_of_the_code_wherever_it_is_installed(tmp_path):
    here = code_version(solved(tmp_path / "here"))
    assert code_version(solved(tmp_path / "elsewhere")) == here
    assert code_version(solved(tmp_path / "here", source="THING = 2\n")) != here


def test_where_plugins_lie_beside_each_other_does_not_matter(tmp_path):
    def both(first: Path, second: Path):
        one = solution(build(toy=plugin_at(first), extra=plugin_at(second, "extra")))
        return code_version(replace(one, plugins=tuple(one.registry.plugins.values())))

    assert both(tmp_path / "a", tmp_path / "z") == both(tmp_path / "zz", tmp_path / "aa")


def test_a_plugin_that_the_solution_does_not_use_changes_nothing(tmp_path):
    alone = code_version(solved(tmp_path))
    registry = build(toy=plugin_at(tmp_path), idle=plugin_at(tmp_path, "idle"))
    assert code_version(solution(registry)) == alone


@dataclass(frozen=True)
class Cleans:
    """Distrusts nothing."""

    name: ClassVar[str] = "cleans"

    @hookimpl
    def kk_clean(self):
        """Nothing."""
        return []


@dataclass(frozen=True)
class Blurs:
    """Has no say in cleaning."""

    name: ClassVar[str] = "blurs"


def test_what_was_found_is_shared_by_recipes_that_clean_alike_and_found_anew_by_other_code_of_rules(tmp_path):
    def version(*names: str, cleaner: int = 0, other: int = 0) -> str:
        plugins = {"cleaner": techniques_of(Cleans, name="c"), "other": techniques_of(Blurs, name="o")}
        for (name, plugin), content in zip(plugins.items(), (cleaner, other), strict=True):
            plugin.__file__ = str(tmp_path / f"{name}.py")
            Path(plugin.__file__).write_text(f"THING = {content}\n")
        return cleaner_version(solution(build(toy=plugin_at(tmp_path), **plugins), techniques=list(names)))

    plain = version("cleans")
    assert version("cleans", "blurs") == version("cleans", "blurs", other=1) == plain
    assert version("cleans", cleaner=1) != plain


def test_a_file_of_a_plugin_that_is_new_moved_or_gone_changes_the_code(tmp_path):
    seen = [code_version(solved(tmp_path))]
    package = tmp_path / "made_toy"
    (package / "more.py").write_text("")
    seen.append(code_version(solved(tmp_path)))
    (package / "deep").mkdir()
    (package / "more.py").rename(package / "deep" / "more.py")
    seen.append(code_version(solved(tmp_path)))
    assert len(set(seen)) == 3
    shutil.rmtree(package / "deep")
    assert code_version(solved(tmp_path)) == seen[0]


def test_a_plugin_of_one_file_counts_that_file_alone(tmp_path):
    def version(text: str, beside: str) -> str:
        (tmp_path / "single.py").write_text(text)
        (tmp_path / "stranger.py").write_text(beside)
        return code_version(solution(build(toy=bringing("toy", "single", __file__=str(tmp_path / "single.py")))))

    assert version("A = 1", "") == version("A = 1", "B = 2") != version("A = 2", "")


def test_a_plugin_without_a_file_is_refused_because_its_code_cannot_be_known():
    with pytest.raises(PluginError, match=r"plugin toy \(dist-toy 1\.0\): its module has no file"):
        code_version(solution(build(toy=bringing("toy"))))


# What a change of code in a room of the engine costs users, from dear to free. The longest name that fits counts.
NOTHING, EVALUATE, TRAIN, DECODE = "nothing", "evaluates again", "trains again", "decodes and trains again"
COSTS = {
    "api.py": NOTHING,
    "clean": NOTHING,
    "clean/decisions.py": TRAIN,  # for recipes that have a rule which distrusts labels; so for the next two
    "data/duplicates.py": TRAIN,
    "data/thumbs.py": TRAIN,
    "cli": NOTHING,
    "competition.py": TRAIN,
    "data": NOTHING,
    "data/codecs": DECODE,
    "data/folds.py": TRAIN,
    "data/input_transform.py": TRAIN,
    "data/loader.py": TRAIN,
    "data/names.py": TRAIN,
    "data/readers": DECODE,
    "data/resize.py": DECODE,
    "data/sampling.py": TRAIN,
    "data/store.py": DECODE,
    "data/windows.py": TRAIN,
    "eda": NOTHING,
    "errors.py": NOTHING,
    "files.py": NOTHING,
    "metrics.py": EVALUATE,
    "parsing.py": NOTHING,
    "pipeline": NOTHING,
    "pipeline/evaluate.py": EVALUATE,
    "pipeline/fitting.py": EVALUATE,
    "pipeline/job.py": TRAIN,
    "pipeline/prepare.py": TRAIN,
    "pipeline/self_check.py": EVALUATE,
    "pipeline/stages.py": EVALUATE,
    "pipeline/validation.py": EVALUATE,
    "plugin": NOTHING,
    "plugin/defaults.py": TRAIN,
    "plugin/solution.py": TRAIN,
    "predict": EVALUATE,
    "progress.py": NOTHING,
    "protocols.py": TRAIN,
    "publish": NOTHING,
    "recipe.py": TRAIN,
    "report": NOTHING,
    "runs": NOTHING,
    "search": NOTHING,
    "testing": NOTHING,
    "train": TRAIN,
    "types.py": TRAIN,
}


def expected_cost(path: str) -> str:
    """The cost that the table states for a file."""
    return COSTS[max((room for room in COSTS if path == room or path.startswith(f"{room}/")), key=len)]


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Path:
    """A copy of the engine's sources that identities take for the engine."""
    copy = tmp_path / "engine"
    shutil.copytree(Path(kagglekit.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source_code, "ENGINE", copy)
    return copy


@pytest.fixture
def cost(tmp_path):
    """`cost()` says what the changes since the fixture was made cost a solution that also cleans."""
    cleaner = techniques_of(Cleans, name="c")
    cleaner.__file__ = str(tmp_path / "c.py")
    Path(cleaner.__file__).write_text(SOURCE)
    registry = build(toy=plugin_at(tmp_path), cleaner=cleaner)
    one = solution(registry, techniques=["cleans"])

    def versions() -> tuple[str, str, str]:
        return reader_version(one), training_identity(one, "data"), code_version(one)

    before = versions()

    def changed() -> str:
        now = versions()
        return next((c for c, a, b in zip((DECODE, TRAIN, EVALUATE), now, before, strict=True) if a != b), NOTHING)

    return changed


def test_what_a_change_of_code_costs_is_what_the_table_of_rooms_says(engine, cost):
    found = {path.relative_to(engine).as_posix(): path for path in sorted(engine.rglob("*.py"))}
    found.pop("__init__.py")
    wrong = []
    for name, path in found.items():
        text = path.read_bytes()
        path.write_bytes(text + b"\nCHANGED = 1\n")
        if (is_now := cost()) != expected_cost(name):
            wrong.append(f"{name}: {is_now}, the table says {expected_cost(name)}")
        path.write_bytes(text)
    assert wrong == [] and cost() == NOTHING and len(found) >= 150


def test_comments_docstrings_and_layout_are_free_wherever_they_stand(engine, cost, tmp_path):
    swept = 0
    for path in [*engine.rglob("*.py"), tmp_path / "made_toy" / "part.py", tmp_path / "c.py"]:
        tree = ast.parse(path.read_bytes())
        if ast.get_docstring(tree):
            tree.body[0].value.value = "Another docstring."
        tree.body.append(ast.parse("'What the last name stands for.'").body[0])
        path.write_text(f"# A comment.\n\n{ast.unparse(tree)}\n\n\n# Another one.\n", encoding="utf-8")
        swept += 1
    assert cost() == NOTHING and swept >= 150


def test_every_part_that_the_lists_name_is_there_and_none_is_in_two_of_them():
    lists = (source_code.READS, source_code.TRAINS, source_code.CLEANS, source_code.EVALUATES)
    parts = [part for one in lists for part in one]
    assert len(parts) == len(set(parts)) and all((source_code.ENGINE / part).exists() for part in parts)
    assert not [a for a in parts for b in parts if a != b and a.startswith(f"{b}/")]


def test_what_rules_compute_with_is_free_for_recipes_without_a_rule(engine, tmp_path):
    one = solved(tmp_path)
    before = training_identity(one, "data"), code_version(one)
    for part in source_code.CLEANS:
        (engine / part).write_text("CHANGED = 1")
    assert (training_identity(one, "data"), code_version(one)) == before


def test_what_a_store_holds_depends_on_reading_code_and_settings_and_on_nothing_else(tmp_path):
    before = reader_version(solved(tmp_path))
    assert reader_version(solved(tmp_path, seed=5)) == before
    assert reader_version(solved(tmp_path, source="THING = 2\n")) != before


def test_a_manifest_says_what_is_known_before_the_run_and_is_json(tmp_path):
    plain = solved(tmp_path, seed=7)
    record = manifest_of(plain, "data", "code", data=str(tmp_path), command="kk run toy")
    assert json.loads(json.dumps(to_plain(record))) == to_plain(record)
    assert record.identity == identity(plain, "data", "code")
    assert record.plugins == {"toy": "dist-toy 1.0"}
    assert (record.seed, record.command, record.competition) == (7, "kk run toy", "toy")
    assert {"data_fingerprint", "recipe_identity", "code", "versions", "hardware", "git", "started"} <= set(
        to_plain(record)
    )


def test_versions_leave_absent_packages_out(monkeypatch):
    monkeypatch.setattr(identities, "RECORDED", ("kagglekit", "no-such-package"))
    assert set(versions()) == {"python", "kagglekit"}
    assert versions()["kagglekit"] == kagglekit.__version__


def test_hardware_names_processor_cores_memory_and_device():
    found = hardware()
    assert found["cores"] >= 1 and found["memory_gib"] > 0 and found["cpu"]
    assert found["device"] in ("cpu", "cuda", "mps")


def test_outside_a_checkout_or_without_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setattr(identities, "__file__", str(tmp_path / "identity.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert identities.git_revision() is None
    monkeypatch.setenv("PATH", "")
    assert identities.git_revision() is None
