"""Small builders that several tests share: plugins made on the spot, run folders, `kk` as a program."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kagglekit import Competition, Dataset, Sample, hookimpl
from kagglekit.metrics import MeanIoU
from kagglekit.plugin import registry as plugins_module
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import compose
from tests.program import run_kk

ROOT = Path(__file__).parent.parent
KK = Path(sys.executable).with_name("kk")


def competition(id: str = "toy", **changes) -> Competition:
    """A competition with one class and nothing to download."""
    facts = {"title": id.title(), "classes": ("thing",), "task": "binary", "image_size": (64, 64), "metric": MeanIoU()}
    return Competition(id=id, **(facts | changes))


def answer(value, name: str):
    """A hook without arguments that returns `value`."""

    def hook():
        return value

    hook.__name__ = name
    return hookimpl(hook)


def placed(function, module_name: str, name: str = ""):
    """The same function as if it had been written in a module of that name."""
    space = {"__name__": module_name, "__builtins__": __builtins__}
    return types.FunctionType(function.__code__, space, name or function.__name__, closure=function.__closure__)


def module(name: str, **contents) -> types.ModuleType:
    """A module of that name; functions in `contents` become its attributes as they are."""
    made = types.ModuleType(name)
    vars(made).update(contents)
    return made


def bringing(id: str, name: str = "", **contents) -> types.ModuleType:
    """A plugin module that brings the toy competition `id`."""
    found = contents.pop("competition", None) or competition(id)
    return module(name or f"made_{id}", **({"kk_competition": answer(found, "kk_competition")} | contents))


def techniques_of(*kinds: type, name: str = "made_techniques") -> types.ModuleType:
    """A plugin module that brings these techniques."""
    return module(name, kk_techniques=answer(list(kinds), "kk_techniques"), __file__=__file__)


def wrapped(technique, hook: str, inner, **arguments):
    """What the hook of a technique makes of `inner`, as pluggy would ask it."""
    wrapper = getattr(technique, hook)(**arguments)
    next(wrapper)
    try:
        wrapper.send(inner)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"{hook}() of {technique.name} yields twice")


def build(**modules):
    """A Registry of plugins by name; a value is a module, or a function that makes one (or fails)."""
    return plugins_module.build(
        (name, f"dist-{name} 1.0", made if callable(made) else lambda made=made: made) for name, made in modules.items()
    )


def solution(registry, id: str = "toy", **changes):
    """The resolved solution of competition `id`, its recipe changed by `changes`."""
    recipe, _ = compose([("test", {"competition": id, **changes})])
    return resolve(recipe, registry)


def toy(*kinds: type, **hooks):
    """The resolved toy competition whose plugin has these hooks, with all of these techniques switched on."""
    registry = build(toy=bringing("toy", **hooks), extra=techniques_of(*kinds))
    return solution(registry, techniques=[kind.name for kind in kinds])


class Folder(Dataset):
    """A data set that holds samples and reads nothing."""

    def __init__(self, train=(), test=()):
        self.train = [Sample(i, Path(i), (8, 8)) for i in train]
        self.test = [Sample(i, Path(i), (8, 8)) for i in test]
        self.problems, self.files, self.submission, self.answers = [], [], None, {}


MANIFEST = {"competition": "toy", "identity": "0" * 12, "fidelity": "demo", "started": "2026-01-02T03:04:05Z"}
RESULT = {
    "validation": {"value": 0.5, "low": 0.4, "high": 0.6, "count": 3},
    "test": None,
    "metric": "mean IoU",
    "seconds": {"total": 60.0},
}


def run_folder(
    runs: Path, name: str, competition: str = "toy", done: bool = True, value: float = 0.5, **manifest
) -> Path:
    """A run folder with as much in it as the ledger reads."""
    folder = runs / competition / name
    folder.mkdir(parents=True)
    content = MANIFEST | {"competition": competition, "identity": name.split("-")[0]} | manifest
    (folder / "manifest.json").write_text(json.dumps(content))
    (folder / "recipe.toml").write_text(f'competition = "{competition}"\n')
    if done:
        scores = RESULT["validation"] | {"value": value}
        (folder / "result.json").write_text(json.dumps(RESULT | {"validation": scores}))
    return folder


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    """An environment in which kagglekit writes below `tmp_path` only, on one thread."""
    places = {f"KAGGLEKIT_{name}": str(tmp_path / name.lower()) for name in ("RUNS", "CACHE", "SAMPLES")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("KAGGLEKIT_")}
    return kept | places | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | changes


def kk(tmp_path: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
    """Run `kk` as a program in the folder `tmp_path`."""
    return run_kk(arguments, tmp_path, environment(tmp_path, **changes))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Inside the block nothing below `folder` can be written; skips the test where that cannot be had."""
    if os.geteuid():
        paths = [p for p in (folder, *folder.rglob("*")) if p.is_dir()]
        for path in paths:
            path.chmod(0o555)
        try:
            yield
        finally:
            for path in paths:
                path.chmod(0o755)
        return
    mounts = (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder])  # root writes anywhere
    if any(subprocess.run(mount, capture_output=True).returncode for mount in mounts):
        pytest.skip("nothing can be made read-only here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def write_plugin(folder: Path, name: str, source: str, version: str = "1.0", module_name: str = "") -> Path:
    """A plugin as an installed distribution in `folder`, which belongs on PYTHONPATH."""
    module_name = module_name or name.replace("-", "_")
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module_name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[kagglekit]\n{name} = {module_name}\n")
    return folder


def sources(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    """All files of these suffixes below folders of the project."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    )
