"""`kagglekit.api` says what is public, and plugins, examples, templates and pages use nothing else of the engine."""

import ast
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

import kagglekit
from kagglekit import api
from tests.helpers import ROOT, sources

OFFERED = {"kagglekit": set(kagglekit.__all__), "kagglekit.api": set(api.__all__)}
TESTING = "kagglekit.testing"  # the kit and its pytest plugin, for tests


def checked_imports() -> dict[str, tuple[str, str]]:
    """Public name -> (module, name in it) of what api.py imports for type checkers."""
    tree = ast.parse((ROOT / "kagglekit" / "api.py").read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    return {a.asname or a.name: (node.module, a.name) for node in block.body for a in node.names}


def test_the_table_the_imports_for_type_checkers_and_all_name_the_same_things():
    assert checked_imports() == api.WHERE
    assert sorted(api.WHERE) == api.__all__ == dir(api)
    entries = [entry for modules in api.GROUPS.values() for names in modules.values() for entry in names.split()]
    assert len(entries) == len(api.WHERE) >= 100  # none is in two groups


def test_every_public_name_is_what_its_module_holds():
    for name, (module, own) in api.WHERE.items():
        held = getattr(sys.modules.get(module) or __import__(module, fromlist=[own]), own, None)
        assert getattr(api, name) is (held or sys.modules[f"{module}.{own}"]), name
    with pytest.raises(AttributeError, match=r"module 'kagglekit\.api' has no attribute 'rel'"):
        _ = api.rel


def test_what_the_package_offers_is_also_in_the_api():
    assert {name: getattr(api, name) for name in kagglekit.__all__} == {
        name: getattr(kagglekit, name) for name in kagglekit.__all__
    }


def test_importing_the_api_loads_nothing_that_importing_the_package_does_not():
    script = "import sys, kagglekit; before = set(sys.modules); import kagglekit.api; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kagglekit.api"]


def python_on(text: str) -> Iterator[str]:
    """The Python blocks of a page."""
    yield from map(textwrap.dedent, re.findall(r"```python\n(.*?)```", text, re.S))


def users() -> Iterator[tuple[str, str]]:
    """(where, Python text) of all that must keep to the public surface."""
    for path in [*sources("plugins"), *sources("examples")]:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "kagglekit" / "testing" / "scaffold").rglob("*.py.txt")):
        yield path.name, path.read_text(encoding="utf-8").replace("@CLASS@", "Made")
    for path in sorted((ROOT / "examples").rglob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield path.name, "".join(cell["source"])
    pages = [ROOT / "README.md", ROOT / "README.ko.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/**/*.md")]
    for path in sorted(pages):
        for block in python_on(path.read_text(encoding="utf-8")):
            yield path.name, block


def foreign(text: str) -> Iterator[str]:
    """What a text imports of kagglekit, wherever it stands in it, that is not public."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:  # an excerpt of a page that is no whole statement: its lines of imports are
        lines = re.findall(r"^\s*((?:from|import) +kagglekit\b.*)$", text, re.M)
        nodes = [node for line in lines for node in ast.walk(ast.parse(line))]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (
                alias.name
                for alias in node.names
                if alias.name.partition(".")[0] == "kagglekit" and alias.name not in (*OFFERED, TESTING)
            )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "kagglekit":
            known = OFFERED.get(node.module, set())
            free = node.module == TESTING
            yield from (f"{node.module}: {a.name}" for a in node.names if not free and a.name not in known)


def test_plugins_examples_templates_and_pages_import_only_what_is_public():
    found, swept = [], 0
    for where, text in users():
        found += [f"{where}: {name}" for name in foreign(text)]
        swept += "kagglekit" in text
    assert found == [] and swept >= 70


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from kagglekit import Sample\nfrom kagglekit.api import rle\nimport kagglekit", []),
        ("from kagglekit.testing import conformance", []),
        ("def f():\n    from kagglekit.data.codecs import rle", ["kagglekit.data.codecs: rle"]),
        ("import kagglekit.data.store as store", ["kagglekit.data.store"]),
        ("from kagglekit import progress", ["kagglekit: progress"]),
        ("if x:\n    from kagglekit.api import Sampel", ["kagglekit.api: Sampel"]),
        ("        task=(\n    from kagglekit.files import home", ["kagglekit.files: home"]),
    ],
)
def test_an_import_past_the_public_surface_is_found_wherever_it_stands(text, found):
    assert list(foreign(text)) == found
