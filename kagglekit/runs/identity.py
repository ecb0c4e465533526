"""What makes two experiments the same: recipe, data content, code. And what a run records of its surroundings."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kagglekit.plugin.registry import SPECS, Plugin
from kagglekit.plugin.solution import Solution
from kagglekit.recipe import digest
from kagglekit.runs.record import Manifest
from kagglekit.runs.source_code import CLEANERS, digest_of, evaluated_by, read_by, trained_by

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
    code = digest_of(trained_by(solution, _owners(solution, techniques)))
    return digest([trained.identity(), fingerprint, code, *_content(solution)])[:12]


def _content(solution: Solution) -> list[str]:
    from kagglekit.data.fingerprint import hash_file

    weights = Path(solution.recipe.encoder_weights)
    return [hash_file(weights)] if weights.is_file() else []


def code_version(solution: Solution) -> str:
    """16 hex digits over the sources that decide a solution's result (`source_code` has the lists)."""
    return digest_of(evaluated_by(solution))


def source_hashes(solution: Solution) -> dict[str, str]:
    """Name -> hash of each source file that decides what a solution computes."""
    return evaluated_by(solution)


def reader_version(solution: Solution) -> str:
    """16 hex digits over what decides the pixels in a store besides the files: reading code, and its settings."""
    wrappers = [t for t in solution.techniques if hasattr(t, "kk_dataset")]
    settings = [solution.recipe.settings, [[t.name, dataclasses.asdict(t)] for t in wrappers]]
    return digest([digest_of(read_by(_owners(solution, wrappers))), settings])


def cleaner_version(solution: Solution) -> str:
    """16 hex digits over what decides the findings besides data and settings: the engine, the competition, the rules.

    Other techniques do not count: recipes that clean alike share what cleaning found, whatever else they do.
    """
    rules = [t for t in solution.techniques if any(hasattr(t, hook) for hook in CLEANERS)]
    return digest_of(trained_by(solution, _owners(solution, rules)))


def _owners(solution: Solution, techniques: Iterable[Any]) -> list[Plugin]:
    """The plugins of the competition and of these techniques."""
    return [solution.plugins[0], *(solution.registry.technique(one.name)[0] for one in techniques)]


def manifest_of(solution: Solution, fingerprint: str, code: str, **asked: Any) -> Manifest:
    """Everything about a run that is known before it starts; `asked` are the fields that its request fills."""
    return Manifest(
        identity=identity(solution, fingerprint, code),
        competition=solution.competition.id,
        recipe_identity=solution.recipe.identity(),
        recipe=solution.recipe.model_dump(mode="json"),
        data_fingerprint=fingerprint,
        code=code,
        seed=solution.recipe.seed,
        plugins={plugin.name: plugin.source for plugin in solution.plugins},
        versions=versions(),
        hardware=hardware(),
        git=git_revision(),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **asked,
    )


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
