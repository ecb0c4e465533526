"""Finding plugins: entry points of the group `kagglekit`, each loaded behind a guard and verified before use.

pluggy ignores a misspelled hook, takes a misspelled argument that has a default for nothing (so that its default always
counts; before 1.7 also of one that is spelled right), and leaves a plugin half registered when its verification fails;
`verify` refuses all three before pluggy sees the plugin.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kagglekit.competition import Competition
from kagglekit.errors import KagglekitError, PluginError, UsageError, did_you_mean
from kagglekit.plugin import hookspecs
from kagglekit.plugin.entry_points import entry_points
from kagglekit.plugin.guards import interrupts, printing_to_stderr

GROUP = "kagglekit"
API = 1
"""The version of hooks, their arguments and `kagglekit.api`; it rises when a plugin must change to go on working."""
MOST_CLASSES = 256  # values of a uint8
MARK = f"{hookspecs.PROJECT}_impl"
SPECS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("kk_")}


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: entry-point name, the distribution that brought it, its module."""

    name: str
    source: str
    module: ModuleType

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.source})"


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used, and why; `where` is the traceback for its author."""

    name: str
    source: str
    error: str
    where: str = ""

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.source}): {self.error}"


@dataclass(frozen=True)
class Registry:
    """All plugins of this environment and what they offer."""

    plugins: Mapping[str, Plugin]
    broken: Mapping[str, Broken]
    competitions: Mapping[str, tuple[Plugin, Competition]]
    techniques: Mapping[str, tuple[Plugin, type]]

    def competition(self, id: str) -> tuple[Plugin, Competition]:
        """The competition of that id and its plugin; raises UsageError, or the stored error of a broken plugin."""
        if id in self.competitions:
            return self.competitions[id]
        raise self._unknown("competition", id, self.competitions)

    def technique(self, name: str) -> tuple[Plugin, type]:
        """The technique of that name and its plugin; raises UsageError."""
        if name in self.techniques:
            return self.techniques[name]
        raise self._unknown("technique", name, self.techniques)

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> Exception:
        if name in self.broken:
            return PluginError(f"{self.broken[name]}; mend or uninstall it (KAGGLEKIT_TRACE=1 shows the traceback)")
        lost = f" ({len(self.broken)} broken plugin(s), see `kk doctor`)" if self.broken else ""
        return UsageError(f"no {kind} is named {name}{did_you_mean(name, known)}{lost}")


def discover() -> Registry:
    """Load every plugin that `KAGGLEKIT_PLUGINS` allows; a broken one is kept as `Broken` and stops nothing else.

    Raises UsageError where that names a plugin that is not installed.
    """
    wanted = os.environ.get("KAGGLEKIT_PLUGINS")
    names = None if wanted is None else {n.strip() for n in wanted.split(",") if n.strip()}
    points = sorted(entry_points(GROUP))
    if unknown := sorted((names or set()) - {point.name for point in points}):
        raise UsageError(
            f"KAGGLEKIT_PLUGINS: no installed plugin is named {unknown[0]}"
            f"{did_you_mean(unknown[0], {point.name for point in points})}"
        )
    chosen = [point for point in points if names is None or point.name in names]
    return build((point.name, f"{point.distribution} {point.version}", point.load) for point in chosen)


def build(found: Iterable[tuple[str, str, Callable[[], Any]]]) -> Registry:
    """A Registry from (name, source, loader) in the order given; tests call it with loaders of their own."""
    with printing_to_stderr(), interrupts() as pressed:
        return _build(found, pressed)


def _build(found: Iterable[tuple[str, str, Callable[[], Any]]], pressed: list[bool]) -> Registry:
    plugins: dict[str, Plugin] = {}
    broken: dict[str, Broken] = {}
    competitions: dict[str, tuple[Plugin, Competition]] = {}
    techniques: dict[str, tuple[Plugin, Any]] = {}
    for name, source, load in found:
        try:
            if name in plugins:
                raise PluginError(
                    f"its name is taken by {plugins[name]}; one of the two must be uninstalled or renamed"
                )
            plugin = Plugin(name, source, load())
            if not isinstance(plugin.module, ModuleType):
                raise PluginError(f"its entry point is a {type(plugin.module).__name__}; expected a module")
            check_api(plugin.module)
            verify(plugin.module)
            offered = list(_competitions(plugin)), list(_techniques(plugin))
            _refuse_clashes(plugin, offered[0], competitions, "competition")
            _refuse_clashes(plugin, offered[1], techniques, "technique")
        except BaseException as error:  # a plugin may raise anything at import, even what ends programs
            if pressed and isinstance(error, KeyboardInterrupt):
                raise
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            broken[name] = Broken(name, source, reason, _traceback())
            continue
        plugins[name] = plugin
        competitions |= {c.id: (plugin, c) for c in offered[0]}
        techniques |= {t.name: (plugin, t) for t in offered[1]}
    return Registry(plugins, broken, competitions, techniques)


def _traceback() -> str:
    import traceback

    return traceback.format_exc()


def check_api(module: ModuleType) -> None:
    """Raise PluginError if a module states another version of the plugin API than this one; it need not state any."""
    stated = getattr(module, "KAGGLEKIT_API", API)
    if type(stated) is not int:
        raise PluginError(f"KAGGLEKIT_API is {stated!r}; expected the whole number of a version, as {API}")
    if stated != API:
        older = "kagglekit" if stated > API else "the plugin"
        raise PluginError(
            f"it is made for version {stated} of kagglekit's plugin API, this is version {API}; upgrade {older}"
        )


def verify(plugin: object) -> None:
    """Raise PluginError if `plugin` (a module, class or instance) misspells a hook, or asks for arguments wrongly."""
    for name in dir(plugin):
        function = getattr(plugin, name)
        marked = hasattr(function, MARK) and callable(function)
        if not marked and not (name.startswith("kk_") and callable(function)):
            continue
        if name not in SPECS:
            raise PluginError(f"{name}() is not a hook of kagglekit{_suggest_hook(name)}")
        if not marked:
            raise PluginError(f"{name}() is not marked; write @kagglekit.hookimpl above it")
        if getattr(function, MARK)["wrapper"] and not inspect.isgeneratorfunction(function):
            raise PluginError(f"{name}() is marked as a wrapper but has no yield, where the inner answer comes from")
        known = list(inspect.signature(SPECS[name]).parameters)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name == "self":
                continue
            if parameter.default is not parameter.empty:
                raise PluginError(
                    f"{name}(): argument {parameter.name} has a default, so a misspelled name would count for it; "
                    "remove the default"
                )
            if parameter.name not in known:
                raise PluginError(
                    f"{name}() asks for an argument {parameter.name} that kagglekit does not pass"
                    f"{did_you_mean(parameter.name, known)}"
                )


def _suggest_hook(name: str) -> str:
    suggestion = did_you_mean(name, SPECS)
    return suggestion.replace("?", "()?") if "?" in suggestion else suggestion


def _competitions(plugin: Plugin) -> Iterable[Competition]:
    if not hasattr(plugin.module, "kk_competition"):
        return
    answer = plugin.module.kk_competition()
    for competition in answer if isinstance(answer, list | tuple) else [answer]:
        if not isinstance(competition, Competition):
            raise PluginError(f"kk_competition() returned {type(competition).__name__}; expected Competition")
        if competition.task == "multiclass" and len(competition.classes) > MOST_CLASSES:
            raise PluginError(
                f"competition {competition.id} has {len(competition.classes)} classes; masks hold up to {MOST_CLASSES}"
            )
        _check_published(competition)
        yield competition


def _check_published(competition: Competition) -> None:
    names = [one.name for one in competition.published]
    for one in competition.published:
        who = f"competition {competition.id}: published solution {one.name!r}"
        if not one.name or not one.name.replace("-", "").isalnum() or names.count(one.name) > 1:
            raise PluginError(f"{who}: its name must be one word of letters, digits and hyphens, and be there once")
        if one.preset and one.preset not in competition.presets:
            raise PluginError(f"{who}: there is no preset {one.preset}{did_you_mean(one.preset, competition.presets)}")


def _techniques(plugin: Plugin) -> Iterable[Any]:
    if not hasattr(plugin.module, "kk_techniques"):
        return
    for technique in plugin.module.kk_techniques():
        frozen = inspect.isclass(technique) and getattr(
            getattr(technique, "__dataclass_params__", None), "frozen", False
        )
        if not frozen or not isinstance(getattr(technique, "name", None), str):
            raise PluginError(f"kk_techniques() returned {technique!r}; expected frozen dataclasses with a `name`")
        verify(technique)
        yield technique


def _refuse_clashes(plugin: Plugin, offered: list, taken: Mapping[str, tuple[Plugin, object]], kind: str) -> None:
    seen: set[str] = set()
    for thing in offered:
        name = thing.id if kind == "competition" else thing.name
        if name in taken:
            raise PluginError(
                f"{kind} {name} is already brought by {taken[name][0]}; uninstall or rename one of the two"
            )
        if name in seen:
            raise PluginError(f"{kind} {name} is brought twice by {plugin}")
        seen.add(name)


def blame(error: BaseException, plugins: Iterable[Plugin]) -> Plugin | None:
    """The plugin whose code stands deepest in the traceback of `error`, if any."""
    tops = {p.module.__name__.split(".")[0]: p for p in plugins}
    guilty = None
    trace = error.__traceback__
    while trace is not None:
        guilty = tops.get(trace.tb_frame.f_globals.get("__name__", "").split(".")[0], guilty)
        trace = trace.tb_next
    return guilty


@contextmanager
def blaming(plugins: Iterable[Plugin], doing: str = "") -> Iterator[None]:
    """Inside the block an exception out of a plugin's code becomes a PluginError that names the plugin.

    Errors made for users pass as they are, and so do those of the disk: a full one is nobody's fault.
    """
    try:
        yield
    except (KagglekitError, OSError):
        raise
    except (Exception, SystemExit) as error:  # sys.exit() in a hook would end the command without a word
        guilty = blame(error, plugins)
        if guilty is None:
            raise
        raise PluginError(
            f"{guilty}: {doing}{type(error).__name__}: {error}; this is for the author of the plugin "
            "(KAGGLEKIT_TRACE=1 shows the traceback)"
        ) from error
