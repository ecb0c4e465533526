"""Which source code decides what: the lists by which a change of code trains again, is judged again, or costs nothing.

Sources count by their syntax tree without docstrings, so that comments, docstrings and layout are free.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from kagglekit.errors import PluginError
from kagglekit.plugin.registry import Plugin
from kagglekit.plugin.solution import Solution

ENGINE = Path(__file__).parent.parent

# Files and folders of the engine. What is in none of the lists changes no number of a run.
READS = ("data/codecs", "data/readers", "data/resize.py", "data/store.py")
"""What decides the pixels in a store: a change decodes again, trains again and evaluates again."""
TRAINS = (
    "competition.py",
    "data/folds.py",
    "data/input_transform.py",
    "data/loader.py",
    "data/names.py",
    "data/sampling.py",
    "data/windows.py",
    "pipeline/job.py",
    "pipeline/prepare.py",
    "plugin/defaults.py",
    "plugin/solution.py",
    "protocols.py",
    "recipe.py",
    "train",
    "types.py",
)
"""What else decides what is trained: a change trains again and evaluates again."""
CLEANS = ("clean/decisions.py", "data/duplicates.py", "data/thumbs.py")
"""What rules that distrust labels compute with: counts like `TRAINS` for recipes that have such a rule."""
EVALUATES = (
    "metrics.py",
    "pipeline/evaluate.py",
    "pipeline/fitting.py",
    "pipeline/self_check.py",
    "pipeline/stages.py",
    "pipeline/validation.py",
    "predict",
)
"""What decides what a trained network comes to: a change evaluates again, with the checkpoints at hand."""

CLEANERS = ("kk_clean", "kk_dataset")  # hooks by which a technique changes samples and labels


def evaluated_by(solution: Solution) -> dict[str, str]:
    """Name -> hash of each source that decides the result of a solution."""
    return _hashes(_engine(*_training_parts(solution), *EVALUATES) | _plugin_sources(solution.plugins))


def trained_by(solution: Solution, owners: Iterable[Plugin]) -> dict[str, str]:
    """Name -> hash of each source that decides what is trained, whose plugins are `owners`."""
    return _hashes(_engine(*_training_parts(solution)) | _plugin_sources(owners))


def read_by(owners: Iterable[Plugin]) -> dict[str, str]:
    """Name -> hash of each source that decides the pixels in a store."""
    return _hashes(_engine(*READS) | _plugin_sources(owners))


def _training_parts(solution: Solution) -> tuple[str, ...]:
    cleans = any(hasattr(technique, hook) for technique in solution.techniques for hook in CLEANERS)
    return (*READS, *TRAINS, *(CLEANS if cleans else ()))


def _engine(*parts: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for part in parts:
        path = ENGINE / part
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        files |= {f"kagglekit/{one.relative_to(ENGINE).as_posix()}": one for one in found}
    return files


def _plugin_sources(plugins: Iterable[Plugin]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for plugin in plugins:
        file = getattr(plugin.module, "__file__", None)
        if file is None:
            raise PluginError(f"{plugin}: its module has no file, so that its code cannot be part of a run's identity")
        origin = Path(file)
        sources = origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin]
        files |= {f"{plugin.name}/{p.relative_to(origin.parent).as_posix()}": p for p in sources}
    return files


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """By name below its package: it must not matter where code is installed."""
    return {name: _hash_of(path.read_bytes()) for name, path in sorted(files.items())}


def digest_of(hashes: Mapping[str, str]) -> str:
    """16 hex digits of the hashes of sources."""
    state = hashlib.blake2b(digest_size=8)
    for name, content in hashes.items():
        state.update(f"{name}\0{content}\0".encode())
    return state.hexdigest()


@lru_cache(maxsize=4096)
def _hash_of(source: bytes) -> str:
    """Hash of the syntax tree without docstrings of any kind; of the bytes where they are no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # never imported, or it would not run
        return hashlib.blake2b(source, digest_size=8).hexdigest()
    parts: list[str] = []
    _write(tree, parts)
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _write(node: Any, parts: list[str]) -> None:
    """The tree as words. Empty fields are left out: newer Pythons add some."""
    if isinstance(node, ast.AST):
        parts.append(type(node).__name__)
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                value = [one for one in value if not _is_text(one)]
            if value is not None and value != []:
                parts.append(name)
                _write(value, parts)
    elif isinstance(node, list):
        parts.append(f"[{len(node)}")
        for one in node:
            _write(one, parts)
    else:
        parts.append(repr(node))


def _is_text(node: Any) -> bool:
    """Is it a text that nothing computes with: a docstring, or what is said below a name of what it stands for?"""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
