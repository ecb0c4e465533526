"""A toy competition as an installed plugin, fast enough to be searched for real: discs, two convolutions."""

import sys
from pathlib import Path

from tests.helpers import ROOT, write_plugin

SOURCE = '''
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from kagglekit import Competition, hookimpl
from kagglekit.metrics import MeanIoU


def space():
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "lr": FloatDistribution(1e-3, 1e-1, log=True),
        "loss.dice": FloatDistribution(0.0, 1.0),
        "optimizer": CategoricalDistribution(["adam", "adamw"]),
    }


RECIPE = {"precision": "fp32", "lr": 0.02, "batch_size": 8, "folds": 4, "encoder_weights": "none",
          "fidelity.image_size": 64, "fidelity.epochs": 3, "techniques": ["toy-tta"]}


@hookimpl
def kk_competition():
    return Competition("discs", "Discs", ("disc",), "binary", (64, 64), MeanIoU(), recipe=RECIPE,
                       presets={"demo": {}, "full": {}}, space=space, sample_count=32)


@hookimpl
def kk_sample(root, count, seed):
    root.mkdir(parents=True)
    (root / "discs.txt").write_text(f"{count} {seed}")
    return root


@hookimpl
def kk_dataset(root):
    from tests.search.rows import Rows
    from tests.toy_data import discs

    count = int((Path(root) / "discs.txt").read_text().split()[0])
    found = discs(count, sizes=((64, 64),))
    found.test = [type(s)(f"t{s.id}", s.image, s.size, s.label + 1000) for s in found.samples[:4]]
    found.submission = Rows([s.id for s in found.test])
    found.files = [Path(root) / "discs.txt"]
    return found


@hookimpl
def kk_model(recipe, channels):
    from tests.toy_data import tiny_network

    MODEL
    network = tiny_network(channels)
    return network


@dataclass(frozen=True)
class ToyTTA:
    """Look at images once more, mirrored."""

    name: ClassVar[str] = "toy-tta"
    identity: float = 0.75

    @hookimpl(wrapper=True)
    def kk_tta(self):
        from kagglekit.types import View

        yield
        turn = lambda x: x.flip(-1)
        plain = View("identity", self.identity, lambda x: x, lambda x: x)
        return plain, View("mirror", 1 - self.identity, turn, turn)

    @classmethod
    def space(cls):
        from optuna.distributions import FloatDistribution

        return {"identity": FloatDistribution(0.4, 0.9)}


@hookimpl
def kk_techniques():
    return [ToyTTA]
'''


def install(folder: Path, model: str = "", more: str = "") -> Path:
    """Install the toy competition below `folder`, which belongs on the path; `model` runs in kk_model."""
    return write_plugin(folder, "discs", SOURCE.replace("MODEL", model or "pass") + more, module_name="toy_discs")


def at_hand(tmp_path: Path, monkeypatch, model: str = "", more: str = "") -> Path:
    """The toy competition, installed for this process; returns its data folder."""
    install(tmp_path / "plugins", model, more)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "discs")
    sys.modules.pop("toy_discs", None)  # each test imports its own
    return data_at(tmp_path)


def data_at(folder: Path) -> Path:
    """The data folder of the toy competition, made in `folder`."""
    data = folder / "data"
    data.mkdir()
    (data / "discs.txt").write_text("32 0")
    return data


def path_of(folder: Path) -> str:
    """PYTHONPATH for a process that should find the toy competition."""
    return f"{ROOT}:{folder}"
