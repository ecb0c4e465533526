"""Plugins that keep every law, made from the templates of `kk new`, for others to break."""

import importlib.util
import itertools
import sys
import tempfile
import types
from pathlib import Path

from kagglekit import hookimpl
from kagglekit.plugin import registry as plugins
from kagglekit.testing.fixtures import tiny_network
from kagglekit.testing.scaffold import TEMPLATES, filled, words
from tests.helpers import ROOT

NAMES = {"competition": "sound", "technique": "lit"}
_numbers = itertools.count()
_folder = tempfile.TemporaryDirectory()  # a run wants the files of a plugin, for its identity; goes with the process


def text_of(kind: str, template: str = "module.py.txt") -> str:
    """A file of the template, filled."""
    assert template in TEMPLATES
    text = (ROOT / "kagglekit" / "testing" / "scaffold" / kind / template).read_text(encoding="utf-8")
    return filled(text, words(NAMES[kind], "0.1.0"))


def fresh(kind: str) -> types.ModuleType:
    """The module of the template, of its own name each time; a competition has a network of two convolutions."""
    name = f"made_{kind}_{next(_numbers)}"
    path = Path(_folder.name) / f"{name}.py"
    path.write_text(text_of(kind), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    if kind == "competition":

        @hookimpl
        def kk_model(channels, competition):
            return tiny_network(channels, len(competition.classes))

        module.kk_model = kk_model
    return module


def registry(module: types.ModuleType, name: str) -> plugins.Registry:
    """That plugin alone."""
    return plugins.build([(name, "kagglekit-sound 0.1.0", lambda: module)])
