"""A fresh virtual environment in seconds: the heavy packages of this one by links, all else installed anew."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.helpers import environment

OURS = ("kagglekit", "_editable_impl_kagglekit", "pip", "setuptools", "pkg_resources", "_distutils_hack")
PIP = {
    # So pip says it: 0 stands for "no isolation". The build backend is installed once instead of for every build.
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_NO_DEPS": "1",
    "PIP_QUIET": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def make(folder: Path) -> Path:
    """A virtual environment with the present third-party packages, without kagglekit; returns its bin folder.

    Skips the test where the build backend cannot be fetched.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    links = folder / "links"
    links.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (links / entry.name).symlink_to(entry)
    [site] = (folder / "lib").glob("python*/site-packages")
    (site / "links.pth").write_text(f"{links}\n")
    words = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "hatchling", "editables"]
    done = subprocess.run(list(map(str, words)), env=clean(folder), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no build backend to be had: {done.stderr.strip().splitlines()[-1]}")
    return folder / "bin"


def clean(home: Path, **changes: str) -> dict[str, str]:
    """Environment variables in which nothing leads back to this checkout."""
    kept = environment(home, **changes)
    return {k: v for k, v in kept.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}


def run(bin: Path, home: Path, *words: str | Path, **changes: str) -> subprocess.CompletedProcess:
    """A program of that environment, run in the folder `home`; fails with what it said."""
    env = clean(home, **changes) | {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"} | PIP
    program = bin / "python" if words[0] in ("pip", "pytest") else bin / words[0]
    module = ["-m", words[0]] if words[0] in ("pip", "pytest") else []
    rest = [*module, *map(str, words[1:])]
    done = subprocess.run([program, *rest], cwd=home, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    return done
