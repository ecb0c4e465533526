"""What makes two experiments the same: recipe, data content, code. And what a run records of its surroundings."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kagglekit.errors import PluginError
from kagglekit.plugin.registry import SPECS, Plugin
from kagglekit.plugin.solution import Solution
from kagglekit.recipe import digest

ENGINE = Path(__file__).parent.parent
RECORDED = (
    "kagglekit",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "pillow",
    "ray",
    "optuna",
)


AFTER = {"kk_tta", "kk_ensemble", "kk_postprocess"}  # hooks that change nothing of what is trained


def acts_after_training(technique: Any) -> bool:
    """Does a technique (class or instance) change nothing of what is trained, so that it can be judged afterwards?"""
    return {name for name in SPECS if hasattr(technique, name)} <= AFTER


def identity(solution: Solution, fingerprint: str, code: str) -> str:
    """12 hex digits that name the experiment; the folder of its run. A file of encoder weights counts by content."""
    return digest([solution.recipe.identity(), fingerprint, code, *_content(solution)])[:12]


def training_identity(solution: Solution, fingerprint: str) -> str:
    """12 hex digits that name what is trained: equal for solutions that differ only in what follows training."""
    recipe, techniques = solution.recipe, [t for t in solution.techniques if not acts_after_training(t)]
    names = {technique.name for technique in techniques}
    trained = recipe.model_copy(update={"techniques": tuple(t for t in recipe.techniques if t.name in names)})
    owners = [solution.plugins[0], *(solution.registry.technique(name)[0] for name in names)]
    code = _digest_of(source_hashes(solution, owners))
    return digest([trained.identity(), fingerprint, code, *_content(solution)])[:12]


def _content(solution: Solution) -> list[str]:
    from kagglekit.data.fingerprint import hash_file

    weights = Path(solution.recipe.encoder_weights)
    return [hash_file(weights)] if weights.is_file() else []


def code_version(solution: Solution) -> str:
    """16 hex digits over the sources of the engine's computing parts and of the plugins that the solution uses.

    The command line, the reports, the search and what proposes decisions are left out: they change no number of a run.
    """
    return _digest_of(source_hashes(solution))


def source_hashes(solution: Solution, owners: Iterable[Plugin] | None = None) -> dict[str, str]:
    """Name -> hash of each source file that decides what a solution computes, or what those of its plugins do."""
    outside = (
        "cli",
        "report",
        "search",
        "testing",
        "scaffold",
        "eda",
        "cleaning.py",
        "writeup",
        "blending.py",
        "reproduce.py",
        "compare.py",
        "claims.py",
        "export",
        "locks.py",
    )
    engine = [p for p in ENGINE.rglob("*.py") if p.relative_to(ENGINE).parts[0] not in outside]
    files = {f"kagglekit/{p.relative_to(ENGINE).as_posix()}": p for p in engine}
    return _hashes(files | _plugin_sources(solution.plugins if owners is None else owners))


def reader_version(solution: Solution) -> str:
    """16 hex digits over what decides the pixels in a store besides the files: reading code, and its settings."""
    files = {f"kagglekit/data/{p.name}": p for p in (ENGINE / "data").glob("*.py")}
    wrappers = [t for t in solution.techniques if hasattr(t, "kk_dataset")]
    owners = [solution.plugins[0], *(solution.registry.technique(t.name)[0] for t in wrappers)]
    settings = [solution.recipe.settings, [[t.name, dataclasses.asdict(t)] for t in wrappers]]
    return digest([_digest_of(_hashes(files | _plugin_sources(owners))), settings])


def cleaner_version(solution: Solution) -> str:
    """16 hex digits over what decides the findings besides data and settings: the engine, the competition, the rules.

    Other techniques do not count: recipes that clean alike share what cleaning found, whatever else they do.
    """
    techniques = [t for t in solution.techniques if hasattr(t, "kk_clean") or hasattr(t, "kk_dataset")]
    owners = [solution.plugins[0], *(solution.registry.technique(t.name)[0] for t in techniques)]
    return _digest_of(source_hashes(solution, owners))


def _plugin_sources(plugins: Iterable[Plugin]) -> dict[str, Path]:
    files = {}
    for plugin in plugins:
        origin = getattr(plugin.module, "__file__", None)
        if origin is None:
            raise PluginError(f"{plugin}: its module has no file, so that its code cannot be part of a run's identity")
        origin = Path(origin)
        sources = origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin]
        files |= {f"{plugin.name}/{p.relative_to(origin.parent).as_posix()}": p for p in sources}
    return files


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """By name below its package: it must not matter where code is installed."""
    return {name: hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() for name, path in sorted(files.items())}


def _digest_of(hashes: Mapping[str, str]) -> str:
    state = hashlib.blake2b(digest_size=8)
    for name, content in hashes.items():
        state.update(f"{name}\0{content}\0".encode())
    return state.hexdigest()


def manifest(solution: Solution, fingerprint: str, code: str, data: Path, command: str) -> dict[str, Any]:
    """Everything about a run that is known before it starts, JSON-like."""
    return {
        "identity": identity(solution, fingerprint, code),
        "competition": solution.competition.id,
        "recipe_identity": solution.recipe.identity(),
        "recipe": solution.recipe.model_dump(mode="json"),
        "data_fingerprint": fingerprint,
        "data": str(data),
        "code": code,
        "seed": solution.recipe.seed,
        "plugins": {plugin.name: plugin.source for plugin in solution.plugins},
        "versions": versions(),
        "hardware": hardware(),
        "git": git_revision(),
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on; absent packages are left out."""
    found = {"python": platform.python_version()}
    for package in RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and device."""
    import psutil
    import torch

    from kagglekit.train.network import pick_device

    device = pick_device()
    found = {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "threads": torch.get_num_threads(),
        "device": device,
        "platform": sys.platform,
    }
    if device == "cuda":
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_revision() -> str | None:
    """The revision of the checkout that kagglekit runs from, `+` where it is modified; None outside one."""
    import subprocess

    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
