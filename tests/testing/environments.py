"""A fresh virtual environment in seconds: the heavy packages of this one by links, all else installed anew."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.helpers import ROOT, environment

OURS = ("kagglekit", "_editable_impl_kagglekit", "pip", "setuptools", "pkg_resources", "_distutils_hack")


def make(folder: Path) -> Path:
    """A virtual environment with the present third-party packages, without kagglekit; returns its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, env=clean(folder))
    links = folder / "links"
    links.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (links / entry.name).symlink_to(entry)
    [site] = (folder / "lib").glob("python*/site-packages")
    (site / "links.pth").write_text(f"{links}\n")
    return folder / "bin"


def clean(folder: Path, **changes: str) -> dict[str, str]:
    """An environment variables' set in which nothing leads back to this checkout."""
    kept = environment(folder, **changes)
    return {k: v for k, v in kept.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}


def run(bin: Path, home: Path, *words: str, **changes: str) -> subprocess.CompletedProcess:
    """A program of that environment, in the folder `home`; fails with what it said."""
    env = clean(home, **changes) | {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([bin / words[0], *map(str, words[1:])], cwd=home, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    return done


def install(bin: Path, home: Path, *what: str | Path) -> None:
    """pip install, without what is there already; skips the test where the build backend cannot be had."""
    words = [bin / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *what]
    done = subprocess.run(list(map(str, words)), cwd=home, env=clean(home), capture_output=True, text=True)
    if done.returncode and "hatchling" in done.stderr + done.stdout and "No matching distribution" in done.stderr:
        pytest.skip("no network to fetch the build backend from")
    assert done.returncode == 0, done.stderr


def engine() -> Path:
    """The engine's own distribution."""
    return ROOT
