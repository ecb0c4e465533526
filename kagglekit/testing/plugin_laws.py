"""Laws of a plugin as an installed thing: that it loads, what its import does, that a fresh process finds it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence

from kagglekit.plugin.entry_points import entry_points
from kagglekit.plugin.registry import GROUP, Broken
from kagglekit.testing.laws import NotApplicable, law, require

PLAIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# What takes long to import; `kk list` imports every plugin and must answer at once.
HEAVY = (
    "torch",
    "torchvision",
    "cv2",
    "albumentations",
    "pandas",
    "ray",
    "matplotlib",
    "numpy",
    "scipy",
    "optuna",
    "timm",
    "segmentation_models_pytorch",
    "sklearn",
    "skimage",
    "tensorflow",
)
TIME_LIMIT = 120  # seconds for a process that imports and resolves; a cold disk is slow
IMPORT = """
import json, os, sys
from kagglekit.plugin.entry_points import entry_points
before, environment = set(sys.modules), dict(os.environ)
module = next(p for p in entry_points("kagglekit") if p.name == sys.argv[1]).load()
for hook in ("kk_competition", "kk_techniques"):
    getattr(module, hook, lambda: None)()
changed = [key for key in {**environment, **os.environ} if environment.get(key) != os.environ.get(key)]
print("\\n" + json.dumps({"modules": sorted(set(sys.modules) - before), "environment": changed}))
"""
RESOLVE = """
import json, sys
from kagglekit.plugin.registry import discover
from kagglekit.recipe import Recipe
from kagglekit.plugin.solution import resolve
from kagglekit.testing.fixtures import with_drawn
registry = with_drawn(discover())
recipes = json.loads(sys.stdin.read())
print("\\n" + json.dumps([resolve(Recipe.model_validate(r), registry).recipe.identity() for r in recipes]))
"""


@law("plugin")
def it_loads_and_its_hooks_are_known(subject):
    """The plugin imports, its hooks have names and arguments that kagglekit knows, its API version is this one."""
    require(not isinstance(subject.found, Broken), f"{getattr(subject.found, 'error', '')}")


@law("plugin")
def its_name_is_plain(subject):
    """The entry point is named in small letters, digits and hyphens, as people type it."""
    name = subject.plugin.name
    require(PLAIN.fullmatch(name), f"the entry point is named {name!r}; use small letters, digits and single hyphens")


@law("plugin")
def it_brings_something(subject):
    """The plugin brings a competition or a technique."""
    mine = subject.plugin.name
    offered = [*subject.registry.competitions.values(), *subject.registry.techniques.values()]
    require(
        any(plugin.name == mine for plugin, _ in offered),
        "it has neither kk_competition() nor kk_techniques(); a plugin without either is never asked",
    )


@law("plugin")
def importing_it_loads_nothing_heavy(subject):
    """Importing the plugin and asking what it brings loads no heavy package, because every `kk list` does that."""
    loaded = {name.split(".")[0] for name in _imported(subject)["modules"]}
    heavy = [name for name in HEAVY if name in loaded]
    require(
        not heavy, f"importing it loads {', '.join(heavy)}; import such packages inside the functions that use them"
    )


@law("plugin")
def importing_it_changes_nothing_outside(subject):
    """Importing the plugin prints nothing and leaves the environment variables alone."""
    effects = _imported(subject)
    require(not effects["printed"], f"importing it prints {effects['printed'][:60]!r}; `kk list --json` would break")
    require(
        not effects["environment"],
        f"importing it changes the environment ({', '.join(effects['environment'])}); do that inside a hook",
    )


@law("plugin")
def a_recipe_resolves_in_a_fresh_process(subject):
    """A recipe of what the plugin brings resolves in a process of its own, as workers do, to the same identity."""
    from kagglekit.plugin.solution import resolve

    _installed(subject)
    recipes, here = [], []
    for part in subject.parts:
        try:
            recipe = part.plain_recipe()
            here.append(resolve(recipe, subject.registry).recipe.identity())
        except Exception:  # what does not resolve here is reported by the law about that
            continue
        recipes.append(recipe)
    if not recipes:
        raise NotApplicable("nothing of it resolves with defaults")
    text = json.dumps([recipe.model_dump(mode="json") for recipe in recipes])
    there = json.loads(_process(RESOLVE, [], text)[-1])
    different = [r for r, a, b in zip(recipes, here, there, strict=True) if a != b]
    require(
        not different,
        f"a recipe of {different[0].competition if different else ''} resolves to other settings in a fresh process; "
        "defaults must not depend on the process (time, random numbers, open files)",
    )


def _installed(subject) -> None:
    """Raise NotApplicable for a plugin that was put together in memory."""
    name = subject.plugin.name
    if not any(p.name == name and p.value == subject.plugin.module.__name__ for p in entry_points(GROUP)):
        raise NotApplicable("it is not installed in this environment, so no other process can find it")


def _imported(subject) -> dict:
    """What a fresh process sees of the import."""
    _installed(subject)

    def imported() -> dict:
        *printed, last = _process(IMPORT, [subject.plugin.name])
        return {**json.loads(last), "printed": "\n".join(printed).strip()}

    return subject.raw("import", imported)


def _process(code: str, arguments: Sequence[str], text: str = "") -> list[str]:
    """Lines that a Python process prints with the path of this one; its last error is the fault."""
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = (done.stderr.strip().splitlines() or ["no word"])[-1]
    require(done.returncode == 0, f"in a fresh process: {last}")
    return done.stdout.splitlines()
