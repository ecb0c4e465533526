"""All laws, and asking them: of everything that a plugin brings, one after the other or as tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kagglekit.errors import UsageError, did_you_mean
from kagglekit.plugin.registry import Registry, discover
from kagglekit.testing.laws import Law, Verdict, check_law

if TYPE_CHECKING:
    from kagglekit.testing.subjects import Subject

Case = tuple["Subject", Law]


def all_laws() -> tuple[Law, ...]:
    """Every law, in the order in which they are asked: what others build on comes first, the whole path last."""
    from kagglekit.testing import (
        competition_laws,
        path_law,
        plugin_laws,
        predict_laws,
        stage_laws,
        submission_laws,
        technique_laws,
    )
    from kagglekit.testing.laws import laws_in

    modules = (
        plugin_laws,
        technique_laws,
        competition_laws,
        submission_laws,
        stage_laws,
        predict_laws,
        path_law,
    )
    return tuple(found for module in modules for found in laws_in(module))


def cases(registry: Registry, name: str, settings: Mapping[str, Any] | None = None) -> list[Case]:
    """Each subject that `name` stands for with each law that is about it; raises UsageError for an unknown name."""
    from kagglekit.testing.subjects import CompetitionSubject, PluginSubject
    from kagglekit.testing.techniques import TechniqueSubject

    laws = all_laws()
    found = []
    subjects = subjects_of(registry, name, settings)
    for subject in subjects:
        kind = {PluginSubject: "plugin", CompetitionSubject: "competition", TechniqueSubject: "technique"}[
            type(subject)
        ]
        if kind == "plugin":
            subject.parts = [other for other in subjects if other is not subject]
        staged = [one for one in laws if one.kind == "stage" and one.hook in getattr(subject, "hooks", ())]
        own = [one for one in laws if one.kind == kind and one.hook in ("", *getattr(subject, "hooks", ()))]
        last = [one for one in own if one.check.__module__.endswith("path_law")]
        found += [(subject, one) for one in [*(o for o in own if o not in last), *staged, *last]]
    return found


def subjects_of(registry: Registry, name: str, settings: Mapping[str, Any] | None = None) -> list[Subject]:
    """Everything that `name` (a plugin, or one competition or technique) stands for; raises UsageError.

    `settings` are dotted keys: `settings.KEY` of a competition, `techniques.NAME.KEY` of a technique.
    """
    from kagglekit.testing.fixtures import with_drawn
    from kagglekit.testing.subjects import CompetitionSubject, PluginSubject
    from kagglekit.testing.techniques import TechniqueSubject

    given = dict(settings or {})
    full = with_drawn(registry)
    owner = _owner(registry, name)
    found: list[Subject] = []
    if owner == name or name not in (*registry.competitions, *registry.techniques):
        found.append(PluginSubject(full, owner, registry.plugins.get(owner) or registry.broken[owner]))
    for id, (plugin, competition) in registry.competitions.items():
        if plugin.name == owner and name in (owner, id):
            own = {k: v for k, v in given.items() if not k.startswith("techniques.")}
            found.append(CompetitionSubject(full, plugin, competition, own))
    for title, (plugin, kind) in registry.techniques.items():
        if plugin.name == owner and name in (owner, title):
            prefix = f"techniques.{title}."
            own = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
            found.append(TechniqueSubject(full, plugin, kind, own))
    return found


def _owner(registry: Registry, name: str) -> str:
    """The plugin that is called `name` or brings it."""
    if name in registry.plugins or name in registry.broken:
        return name
    for offered in (registry.competitions, registry.techniques):
        if name in offered:
            return offered[name][0].name
    known = {*registry.plugins, *registry.broken, *registry.competitions, *registry.techniques}
    raise UsageError(f"no plugin, competition or technique is named {name}{did_you_mean(name, known)}")


def examine(
    name: str, settings: Mapping[str, Any] | None = None, registry: Registry | None = None
) -> Iterator[Verdict]:
    """The verdict on each law of everything that `name` (a plugin, competition or technique) stands for, as they come.

    `settings` are dotted keys, as for `-o`: of the competition's recipe, or `techniques.NAME.KEY` of techniques that
    cannot do without. Raises UsageError for an unknown name.
    """
    for subject, one in cases(registry or discover(), name, settings):
        yield check_law(one, subject)


def conformance(
    name: str, settings: Mapping[str, Any] | None = None, registry: Registry | None = None
) -> Callable[..., None]:
    """A test for pytest, one for each law: `test_conformance = conformance("my-plugin")`.

    `name` is a plugin (everything that it brings), a competition or a technique; a law that does not apply is skipped
    with its reason.
    """
    import pytest

    found = cases(registry or discover(), name, settings)

    @pytest.mark.parametrize(("subject", "one"), [pytest.param(s, law, id=f"{s}: {law.name}") for s, law in found])
    def test_conformance(subject, one):
        verdict = check_law(one, subject)
        if verdict.status == "skip":
            pytest.skip(verdict.reason)
        if verdict.status == "fail":
            pytest.fail(f"{verdict.subject}: {verdict.text}\n{verdict.reason}", pytrace=False)

    return test_conformance
