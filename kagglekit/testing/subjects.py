"""Who is judged: a plugin, a competition with data it draws itself, a technique in small worlds."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.competition import Competition
from kagglekit.plugin.registry import SPECS, Broken, Plugin, Registry
from kagglekit.testing.laws import NotApplicable, require
from kagglekit.types import Sample

if TYPE_CHECKING:
    from kagglekit.data.store import Store
    from kagglekit.plugin.solution import Solution
    from kagglekit.protocols import Dataset
    from kagglekit.recipe import Recipe

COUNT = 6  # training images of the sample data: enough for two folds, few enough for seconds
SIZE = 64  # pixels of the shorter side
CHEAP = {"encoder_weights": "none", "decoder": "unet/4", "precision": "fp32", "batch_size": 4, "folds": 2}
SMALL = {"fidelity.image_size": SIZE, "fidelity.fraction": 1.0, "fidelity.epochs": 1}


@dataclass(frozen=True)
class Host:
    """A world in which stages are tried: a resolved solution, images, the images decoded."""

    solution: Solution
    dataset: Dataset
    store: Store
    made: dict = field(default_factory=dict)  # what laws share, since samplers of large images take seconds to make

    def __str__(self) -> str:
        return f"in {self.solution.competition.id}, {self.dataset.depth}"


class Subject:
    """Something judged; what laws share is made once, and a failure to make it belongs to one law alone."""

    def __init__(self, registry: Registry):
        self.registry = registry
        self.failed: list[str] = []
        self._made: dict[str, Any] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="kagglekit-check-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    parts: Sequence[Subject] = ()  # what a plugin brings

    def raw(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once; its error each time again."""
        if name not in self._made:
            try:
                self._made[name] = make()
            except (Exception, SystemExit) as error:  # kept, and raised below for everyone who asks
                self._made[name] = error
        if isinstance(self._made[name], BaseException):
            raise self._made[name]
        return self._made[name]

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """As `raw`, for laws that only build on it: they cannot be judged where it fails."""
        try:
            return self.raw(name, make)
        except NotApplicable:
            raise
        except (Exception, SystemExit) as error:
            raise NotApplicable(f"needs the {name}, which another law is about: {error}") from error


class PluginSubject(Subject):
    """An entry point: its module, or why it is broken."""

    def __init__(self, registry: Registry, name: str, found: Plugin | Broken):
        super().__init__(registry)
        self.name, self.found = name, found

    def __str__(self) -> str:
        return f"plugin {self.name}"

    @property
    def plugin(self) -> Plugin:
        """The loaded plugin."""
        if isinstance(self.found, Broken):
            raise NotApplicable("the plugin does not load")
        return self.found


class CompetitionSubject(Subject):
    """A competition at its smallest: the demo preset on a few images that it draws itself."""

    def __init__(self, registry: Registry, plugin: Plugin, competition: Competition, settings: Mapping | None = None):
        super().__init__(registry)
        self.plugin, self.competition, self.settings = plugin, competition, dict(settings or {})
        self.hooks = set(SPECS)

    def __str__(self) -> str:
        return f"competition {self.competition.id}"

    def recipe(self, preset: str, **changes: Any) -> Recipe:
        """The competition's recipe at a preset ("" for none)."""
        from kagglekit.recipe import compose

        layers = [
            ("default", {"competition": self.competition.id}),
            (f"competition {self.competition.id}", self.competition.recipe),
            (f"preset {preset}", self.competition.presets.get(preset, {})),
            ("check", {**changes, **self.settings}),
        ]
        return compose(layers)[0]

    def plain_recipe(self) -> Recipe:
        """The demo, cheap enough for seconds."""
        return self.recipe("demo", **CHEAP, **SMALL)

    def make_solution(self) -> Solution:
        """Its solution."""
        from kagglekit.plugin.solution import resolve

        return resolve(self.plain_recipe(), self.registry)

    def make_sample(self) -> Path:
        """A folder of sample data."""
        from kagglekit.types import untracked

        root = self.folder / "sample"
        self.solution.sample(root, COUNT, 0, untracked)
        return root

    def make_dataset(self) -> Dataset:
        """The sample data, indexed."""
        return self.solution.dataset(self.sample)

    def make_store(self) -> Store:
        """The sample data, decoded."""
        from kagglekit.testing.fixtures import filled

        recipe, competition = self.solution.recipe, self.competition
        dataset = self.dataset
        store = filled(
            self.folder / "cache", dataset, recipe.fidelity.image_size, len(competition.classes), competition.task
        )
        lost = store.fill(dataset, dataset.train)
        require(not lost, f"images of its own sample data cannot be decoded: {next(iter(lost.values()), '')}")
        return store

    def make_truths(self) -> list:
        """Masks as they are scored of some samples, checked for their form."""
        found = []
        for sample in self.some:
            found.append(self.dataset.read_truth(sample))
            require_mask(self.competition, sample, found[-1], sample.truth_size, "read_truth")
        return found

    @property
    def solution(self) -> Solution:
        """The demo, resolved."""
        return self.shared("solution", self.make_solution)

    @property
    def sample(self) -> Path:
        """The folder of sample data."""
        return self.shared("sample data", self.make_sample)

    @property
    def dataset(self) -> Dataset:
        """The sample data, indexed."""
        return self.shared("data set", self.make_dataset)

    @property
    def store(self) -> Store:
        """The sample data, decoded."""
        return self.shared("store", self.make_store)

    @property
    def truths(self) -> list:
        """The truth of `some`."""
        return self.shared("truth", self.make_truths)

    @property
    def some(self) -> list[Sample]:
        """The first few training samples."""
        return list(self.dataset.train)[:4]

    def hosts(self) -> Iterator[Host]:
        """The competition itself."""
        solution, dataset, store = self.solution, self.dataset, self.store
        yield self.raw("host", lambda: Host(solution, dataset, store))


def require_mask(competition: Competition, sample: Sample, mask: Any, size: tuple, who: str) -> None:
    """Raise Violation unless a mask has the form that the competition's task asks for."""
    planes = len(competition.classes) if competition.task == "multilabel" else 1
    expected = (*size, planes) if planes > 1 else tuple(size)
    top = len(competition.classes) - 1 if competition.task == "multiclass" else 1
    require(
        tuple(mask.shape) == expected,
        f"{who} gave {tuple(mask.shape)} for {sample.id}; expected {expected}, the size its sample states",
    )
    require(str(mask.dtype) == "uint8", f"{who} gave {mask.dtype} for {sample.id}; expected uint8")
    require(
        mask.max(initial=0) <= top,
        f"{who} gave the value {mask.max(initial=0)} for {sample.id}; a {competition.task} mask of "
        f"{len(competition.classes)} class(es) holds 0..{top}",
    )
