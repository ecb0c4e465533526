"""The rules of the house, read from the sources: what the engine may know, who may import whom, how long things are."""

import ast
import importlib
import re
import types
from pathlib import Path

import pytest

import kagglekit
from kagglekit.plugin.registry import SPECS, discover
from tests.helpers import ROOT, sources

ENGINE = ROOT / "kagglekit"
# The rooms of the engine: each may import what stands before it, anywhere in its files; those of a line know no order.
ORDER = (
    ("errors", "types", "files", "parsing"),
    ("progress", "protocols"),
    ("competition", "metrics"),
    ("recipe",),
    ("data",),
    ("train",),
    ("predict",),
    ("plugin",),
    ("runs",),
    ("report",),
    ("clean",),
    ("eda", "pipeline"),
    ("search",),
    ("publish",),
    ("testing",),
    ("cli",),
    ("api",),  # for plugins, examples and scripts; the engine does without it
)
MOST_ROOMS = 24
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
CODE = sources("kagglekit", "plugins")


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    """The path as people say it."""
    return path.relative_to(ROOT).as_posix()


def imported(nodes) -> set[str]:
    """Dotted names that import statements among `nodes` bring in; `from kagglekit import x` counts as kagglekit.x."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # a relative import stays in its own part
            found |= {f"{node.module}.{a.name}" for a in node.names} if node.module == "kagglekit" else {node.module}
    return found


def test_the_engine_names_no_competition_no_technique_and_no_plugin():
    registry = discover()
    words = {*registry.competitions, *registry.techniques, *registry.plugins}
    words |= {plugin.module.__name__ for plugin in registry.plugins.values()}
    # A word like "techniques" is a plugin's name and a noun of the engine; names with a hyphen or underscore are not.
    words = {w for w in words if "-" in w or "_" in w} | {"kagglekit_", *registry.competitions}
    assert len(words) >= 20
    files = [p for p in ENGINE.rglob("*") if p.suffix in (".py", ".j2", ".css", ".js", ".html", ".toml", ".json")]
    found = [f"{name_of(p)}: {word}" for p in files for word in sorted(words) if word in p.read_text(encoding="utf-8")]
    assert found == []
    assert len([p for p in files if p.suffix == ".py"]) >= 45 and any(p.suffix == ".j2" for p in files)


def test_plugins_do_not_import_each_other():
    swept = 0
    for path in sources("plugins"):
        own = path.relative_to(ROOT / "plugins").parts[1]
        for module in imported(ast.walk(parsed(path))):
            assert not module.startswith("kagglekit_") or module.split(".")[0] == own, name_of(path)
        swept += 1
    assert swept >= 10


def room_of(path: Path) -> str:
    """The room that a file of the engine belongs to: its folder, or itself where it lies on the top level."""
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def modules(*folders: str) -> dict[str, Path]:
    """Dotted name -> file of the packages in these folders."""
    found = {}
    for folder in folders:
        for path in sources(folder):
            package = next(p for p in reversed([path, *path.parents]) if (p / "__init__.py").is_file())
            parts = path.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules among `known` that a file imports anywhere, also inside functions and for type checkers."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            near = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            base = near[: len(near) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{source}.{a.name}" if f"{source}.{a.name}" in known else source for a in node.names}
    return (found & known.keys()) - {name}


def test_programs_that_stand_in_texts_of_the_engine_import_what_is_there():
    lines = [
        (name_of(path), line)
        for path in sources("kagglekit")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for line in re.findall(r"^\s*(from kagglekit[\w.]* import \w+)", node.value, re.M)
    ]
    for where, line in lines:
        _, module, _, name = line.split()
        assert hasattr(importlib.import_module(module), name), f"{where}: {line}"
    assert len(lines) >= 3


def test_rooms_of_the_engine_are_few_and_each_has_its_place():
    rooms = {room_of(path) for path in sources("kagglekit")} - {"__init__"}
    assert rooms == RANK.keys() and len(rooms) <= MOST_ROOMS


def test_imports_of_the_engine_run_one_way_wherever_they_stand():
    known, arrows, against = modules("kagglekit"), set(), []
    for name, path in known.items():
        for other in imports(name, path, known) - {"kagglekit"} if name != "kagglekit" else ():
            ours, theirs = room_of(path), other.split(".")[1]
            if ours != theirs:
                arrows.add((ours, theirs))
                if RANK[theirs] >= RANK[ours]:
                    against.append(f"{name} imports {other}")
    assert against == [] and len(known) >= 150 and len(arrows) >= 100


def test_no_modules_import_each_other_in_a_circle():
    known = modules("kagglekit", "plugins")
    # The engine's face hands names on: whoever imports from it is not meant by what it imports.
    graph = {name: imports(name, path, known) - {"kagglekit"} for name, path in known.items()}
    assert len(graph) >= 200 and "kagglekit_clouds.contest" in graph
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert graph == {}


@pytest.mark.parametrize(
    "package", ["torch", "ray", "cv2", "pandas", "numpy", "albumentations", "optuna", "matplotlib"]
)
def test_what_help_and_listings_import_imports_nothing_heavy(package):
    light = ["__init__", "errors", "types", "competition", "metrics", "progress", "files", "plugin/hookspecs"]
    light += ["plugin/entry_points", "plugin/registry", "plugin/defaults", "plugin/solution", "pipeline/sample_data"]
    light += ["runs/locks", "cli/__init__", "cli/common", "cli/catalog"]
    light += ["cli/plugins", "cli/new", "cli/check", "testing/scaffold/__init__"]
    light += ["testing/__init__", "testing/laws", "testing/conformance", "testing/pytest_plugin"]
    paths = [ENGINE / f"{name}.py" for name in light] + list((ROOT / "plugins").glob("*/*/__init__.py"))
    assert len(paths) >= 17
    for path in paths:
        assert package not in {m.split(".")[0] for m in imported(parsed(path).body)}, name_of(path)


def test_a_module_stays_below_400_lines_and_a_function_below_60():
    long = []
    for path in CODE:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        long += [f"{name_of(path)}: {lines} lines"] if lines >= 400 else []
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 >= 60:
                long.append(f"{name_of(path)}: {node.name}")
    assert long == [] and len(CODE) >= 200


def public(node: ast.AST, prefix: str = ""):
    """(name, node) of the public functions and classes in a module or class body."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{child.name}.")


def test_every_module_and_every_public_function_and_class_says_what_it_is():
    silent, swept = [], 0
    for path in CODE:
        tree = parsed(path)
        for name, node in [("", tree), *public(tree)]:
            swept += 1
            # A method of torch or click that is overridden is described where it is defined.
            if not ast.get_docstring(node) and not (name.endswith(".forward")):
                silent.append(f"{name_of(path)}: {name}")
    assert silent == [] and swept > 300


def test_no_code_is_run_that_comes_out_of_a_file():
    found, swept = [], 0
    for path in CODE:
        swept += 1
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found += [(name_of(path), m) for m in imported([node]) if m and m.split(".")[0] in FORBIDDEN_MODULES]
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or called in ("yaml.load", "yaml.unsafe_load", "os.system"):
                found.append((name_of(path), called))
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called == "torch.load" and given.get("weights_only") != "True":
                found.append((name_of(path), "torch.load without weights_only=True"))
            found += [(name_of(path), f"{k}={v}") for k, v in given.items() if (k, v) in UNSAFE]
    assert found == [] and swept >= 55


UNSAFE = {("weights_only", "False"), ("allow_pickle", "True"), ("shell", "True")}


def test_nothing_is_left_unfinished():
    left = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in CODE}
    assert [name for name, text in texts.items() if left.search(text)] == []
    assert len(texts) >= 55


def test_no_error_is_swallowed_without_a_word():
    found, swept = [], 0
    for path in CODE:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            swept += 1
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass | ast.Continue)
            explained = any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
            if broad and silent and not explained:
                found.append(f"{name_of(path)}:{node.lineno}")
    assert found == [] and swept >= 20


def test_what_the_package_offers_is_what_it_says():
    offered = {
        name
        for name, value in vars(kagglekit).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert offered | {"Recipe"} == set(kagglekit.__all__)  # Recipe comes on demand: it brings pydantic
    assert sorted(kagglekit.__all__) == kagglekit.__all__
    assert all(getattr(kagglekit, name) is not None for name in kagglekit.__all__)
    with pytest.raises(AttributeError, match="module 'kagglekit' has no attribute 'Recipee'"):
        _ = kagglekit.Recipee


def test_the_hooks_are_the_questions_of_the_engine_and_each_explains_itself():
    assert len(SPECS) >= 12 and all(name.startswith("kk_") for name in SPECS)
    for name, spec in SPECS.items():
        assert re.match(r"[A-Z].{10,}[?:.]", spec.__doc__) and "Returns" in spec.__doc__, name


def test_every_hook_that_has_a_default_has_it_in_the_engine_and_no_other():
    from kagglekit.plugin import defaults

    answered = {name for name in vars(defaults) if name.startswith("kk_")}
    assert answered == set(SPECS) - {"kk_competition", "kk_techniques", "kk_sample", "kk_dataset"}


def test_the_hook_reference_names_the_hooks_and_the_arguments_of_the_engine():
    from inspect import signature

    page = ROOT / "docs" / "hooks.md"
    if not page.exists():
        pytest.skip("docs/hooks.md is not written yet")
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"\bkk_[a-z]+\b", text)) == set(SPECS)
    shown = dict(re.findall(r"`(kk_[a-z]+)\(([^)`]*)\)`", text))
    assert shown == {name: ", ".join(signature(spec).parameters) for name, spec in SPECS.items()}


def test_test_names_are_sentences():
    short, swept = [], 0
    for path in sources("tests"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                swept += 1
                if node.name.count("_") < 3:
                    short.append(f"{name_of(path)}: {node.name}")
    assert short == [] and swept > 300


@pytest.mark.xdist_group("house")
def test_tests_of_a_group_run_in_one_process(request):
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("tests are not shared out by groups")
    # The name is how a group is told; where that goes wrong, what tests share is made in every process, in silence.
    assert request.node.nodeid.endswith("@house")


READERS = re.compile(r"read_(result|manifest|validated|predicting|taken_over|folds|history|search|ablation)\w*")
RECORDS = {"result", "manifest", "validated", "record", "history", "epoch", "winner", "member", "trained"}


def reads_of_records_by_key(tree: ast.Module) -> list[int]:
    """Lines with `x["key"]` or `x.get("key")` of a record.

    That is a name or an attribute called like one, whatever a reader returned, and what is taken out of these.
    """
    known = set(RECORDS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_record(node.value, set()):
            known |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and is_key(node.slice) and isinstance(node.ctx, ast.Load):
            of = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            of = node.func.value if node.args and is_key(node.args[0]) else None
        else:
            continue
        if of is not None and is_record(of, known):
            found.append(node.lineno)
    return found


def is_key(node: ast.expr) -> bool:
    """Is it a text that is written down?"""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_record(node: ast.expr, known: set[str]) -> bool:
    """Does the expression give a record, or a part of one?"""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return READERS.fullmatch(name) is not None
    if isinstance(node, ast.Subscript):
        return is_record(node.value, known)
    if isinstance(node, ast.Attribute):
        return node.attr in RECORDS
    return isinstance(node, ast.Name) and node.id in known


def test_records_are_read_by_key_nowhere_but_in_their_own_room():
    files = [path for path in ENGINE.rglob("*.py") if path.parent != ENGINE / "runs"]
    found = [f"{name_of(path)}:{line}" for path in files for line in reads_of_records_by_key(parsed(path))]
    assert found == [] and len(files) > 150


@pytest.mark.parametrize(
    "code",
    ['result["score"]', 'claim.manifest.get("recipe")', 'x = read_result(f)\nx["test"]', 'history[-1]["epoch"]',
     'record.read_validated(f)["seen"]', 'one = read_manifest(f)\nprint(one.get("seed", 0))'],
)  # fmt: skip
def test_a_read_of_a_record_by_key_is_seen(code):
    assert reads_of_records_by_key(ast.parse(code))
    assert not reads_of_records_by_key(ast.parse('found["score"], result.score, rows[0], result.params[key]'))
