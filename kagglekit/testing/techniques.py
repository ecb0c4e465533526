"""Who is judged: a technique in small worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kagglekit.errors import RecipeError
from kagglekit.plugin.registry import SPECS, Plugin, Registry
from kagglekit.testing.fixtures import DRAWN, dataset_for, filled
from kagglekit.testing.laws import NotApplicable
from kagglekit.testing.subjects import CHEAP, SIZE, SMALL, Host, Subject

if TYPE_CHECKING:
    from kagglekit.plugin.solution import Solution
    from kagglekit.recipe import Recipe

CASES = ("uint8", False), ("uint16", False), ("uint8", True)  # depth of the images, are they tiled
NEED_MORE = {"kk_intake", "kk_sampler"}  # hooks that may be made for one of the others alone


class TechniqueSubject(Subject):
    """A technique, in the competitions of its own plugin or else in drawn ones of every task."""

    def __init__(self, registry: Registry, plugin: Plugin, kind: Any, settings: Mapping[str, Any] | None = None):
        super().__init__(registry)
        self.plugin, self.kind, self.settings = plugin, kind, dict(settings or {})
        self.hooks = {name for name in (*SPECS, "space") if hasattr(kind, name)}

    def __str__(self) -> str:
        return f"technique {self.kind.name}"

    def competitions(self) -> list[str]:
        """Ids of the competitions it is tried in."""
        own = [id for id, (plugin, _) in self.registry.competitions.items() if plugin.name == self.plugin.name]
        return own or [id for id, (plugin, _) in self.registry.competitions.items() if plugin.name == DRAWN]

    def recipe(self, id: str, settings: Mapping[str, Any] | None = None) -> Recipe:
        """A small recipe of competition `id` with this technique alone."""
        from kagglekit.recipe import compose

        _, competition = self.registry.competition(id)
        given = self.settings if settings is None else dict(settings)
        changes = {**CHEAP, **SMALL, "techniques": [{"name": self.kind.name, "settings": given}]}
        layers = [("default", {"competition": id}), (f"competition {id}", competition.recipe), ("check", changes)]
        return compose(layers)[0]

    def plain_recipe(self) -> Recipe:
        """A recipe that names it, in the first world."""
        return self.recipe(self.competitions()[0])

    def resolve(self, id: str) -> Solution:
        """The solution of `recipe`."""
        from kagglekit.plugin.solution import resolve

        return resolve(self.recipe(id), self.registry)

    def make_hosts(self) -> list[Host]:
        """Every world; 16-bit images and tiled ones come last, for those who refuse others."""
        hosts = []
        for depth, tiled in CASES[: 1 if not self.hooks & NEED_MORE else None]:
            for number, id in enumerate(self.competitions()):
                solution = self.resolve(id)
                competition = solution.competition
                dataset = dataset_for(competition, depth, tiled=tiled)
                cache = self.folder / f"{id}-{depth}-{tiled}"
                if number == 0 or not tiled:
                    hosts.append(Host(solution, dataset, filled(cache, dataset, SIZE, len(competition.classes))))
        return hosts

    def hosts(self) -> list[Host]:
        """The worlds; a technique that asks for settings cannot be judged without them."""
        return self.shared("solution", self.checked_hosts)

    def checked_hosts(self) -> list[Host]:
        """As `make_hosts`; raises NotApplicable where the technique asks for settings."""
        try:
            return self.make_hosts()
        except RecipeError as refusal:
            raise NotApplicable(f"it asks for settings (-o techniques.{self.kind.name}.KEY=VALUE): {refusal}") from None
