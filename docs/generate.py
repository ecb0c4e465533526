"""Writes docs/cli.md, hooks.md, api.md, techniques.md and laws.md from the code; a test fails when a file differs.

Run it after changing an option, a hook, a technique or a law: `python docs/generate.py`.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path

import click

import kagglekit
from kagglekit import api
from kagglekit.plugin import defaults
from kagglekit.plugin.registry import SPECS, discover

ROOT = Path(__file__).resolve().parents[1]


def refuse_strangers() -> None:
    """Raises SystemExit where kagglekit or one of the plugins beside it is loaded from elsewhere, or not at all."""
    loaded = {plugin.module.__name__: plugin.module for plugin in discover().plugins.values()}
    for package in (ROOT / "kagglekit", *sorted((ROOT / "plugins").glob("*/kagglekit_*/"))):
        module = kagglekit if package.name == "kagglekit" else loaded.get(package.name)
        found = module and Path(inspect.getfile(module)).resolve().parent
        if found != package:
            where = f"is loaded from {found}" if found else "is not loaded as a plugin"
            raise SystemExit(
                f"docs/generate.py: {package.name} {where}; the pages tell of the code in {ROOT}: run `make install` "
                "there, and this with its Python"
            )


HEAD = """# Hooks

What a plugin may answer. Made from `kagglekit/plugin/hookspecs.py` by `docs/generate.py`.

A plugin is a module named by an entry point of the group `kagglekit`; hooks are its functions marked with
`@kagglekit.hookimpl`. A technique is a frozen dataclass with a `name`, returned by `kk_techniques()`, whose methods
wrap hooks with `@kagglekit.hookimpl(wrapper=True)`: each yields once, receives what the competition and the techniques
before it made, and returns what it makes of it. `examples/` holds one to copy.

Arguments are passed by name: name those you need, without defaults. None means "not mine".
"""


def hooks_page() -> str:
    """The text of docs/hooks.md."""
    parts = [HEAD]
    for name, spec in SPECS.items():
        asked = "the first answer counts" if spec.kagglekit_spec["firstresult"] else "all plugins are asked"
        answered = "the engine has an answer" if hasattr(defaults, name) else "the engine has no answer"
        parts.append(f"## `{name}{inspect.signature(spec)}`\n\n*{asked}; {answered}*\n\n{inspect.getdoc(spec)}\n")
    return "\n".join(parts)


API_HEAD = """# What plugins and programs may use

`from kagglekit.api import NAME`. These names are promised under `API = {version}`: they change only together with that
number, and a plugin may say which one it was written for. Everything else may move between versions. Made from
`kagglekit/api.py` by `docs/generate.py`.

Functions of a module are called as `rle.encode(mask)`. The package itself offers, as the same objects, what most need:

{own}.
"""


def api_page() -> str:
    """The text of docs/api.md."""
    own = textwrap.fill(", ".join(f"`{name}`" for name in kagglekit.__all__), 120)
    parts = [API_HEAD.format(version=api.API, own=own)]
    for title, modules in api.GROUPS.items():
        names = [entry.partition("=")[0] for entries in modules.values() for entry in entries.split()]
        lines = [line for name in names for line in entries_of(name)]
        parts.append("\n".join([f"## {title}\n", *lines]) + "\n")
    return "\n".join(parts)


def entries_of(name: str) -> Iterator[str]:
    """The line of a public name; of a module also those of what it holds."""
    value = getattr(api, name)
    yield f"- `{name}{arguments(value)}`: {sentence(said_of(*api.WHERE[name], value))}"
    if isinstance(value, types.ModuleType):
        for part in held_by(value):
            one = getattr(value, part)
            yield f"    - `{name}.{part}{arguments(one)}`: {sentence(said_of(value.__name__, part, one))}"


def held_by(module: types.ModuleType) -> list[str]:
    """The public names of a module: those that it lists, or that it defines and describes."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = {n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__}
    return sorted(name for name in own | described(module.__name__).keys() if not name.startswith("_"))


def arguments(value: object) -> str:
    """The names of a function's arguments in brackets."""
    return f"({', '.join(inspect.signature(value).parameters)})" if inspect.isfunction(value) else ""


def said_of(module: str, name: str, value: object) -> str:
    """The docstring of a function, class or module; of anything else the text below its definition."""
    if inspect.isfunction(value) or inspect.isclass(value) or inspect.ismodule(value):
        return inspect.getdoc(value) or ""
    # It may have been imported into its module; where it was made, the text stands.
    for maker in dict.fromkeys([module, *(one for one in sys.modules if one.startswith("kagglekit."))]):
        if name in described(maker) and getattr(sys.modules[maker], name) is value:
            return described(maker)[name]
    return ""


@functools.cache
def described(module: str) -> dict[str, str]:
    """Name -> text below its definition, for the constants and types of a module that have one."""
    body = ast.parse(inspect.getsource(sys.modules[module])).body
    return {
        first.targets[0].id: inspect.cleandoc(second.value.value)
        for first, second in itertools.pairwise(body)
        if isinstance(first, ast.Assign) and isinstance(first.targets[0], ast.Name)
        if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant)
    }


def sentence(text: str) -> str:
    """The first sentence of a docstring."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    found = re.match(r".*?[.!?](?= |$)", paragraph)
    return found[0] if found else paragraph


TECHNIQUES_HEAD = """# Techniques

What a recipe may list under `techniques`; each wraps what those before it made. Made from the classes by
`docs/generate.py`, the images by `docs/pictures.py` from drawn sample data.

`kk run ID --with NAME` adds one at the end, `--without NAME` takes one away, `-o techniques.NAME.SETTING=VALUE` changes
a setting. A technique that does not fit a competition says so before training begins.
"""
# Stages in the order in which a run asks them; a technique is listed with the first one that it really changes.
STAGES = {
    "kk_clean": "cleaning",
    "kk_dataset": "data set",
    "kk_augment": "augment",
    "kk_intake": "input transform",
    "kk_model": "model",
    "kk_loss": "loss",
    "kk_optimizer": "optimizer",
    "kk_tta": "views",
    "kk_ensemble": "ensemble",
    "kk_postprocess": "post-processing",
    "kk_sampler": "sampler",  # last: some techniques only look there whether they fit
}
IMAGES = Path(__file__).parent / "images" / "techniques"


def techniques_page() -> str:
    """The text of docs/techniques.md: the techniques that plugins of this project bring."""
    refuse_strangers()
    ours = ROOT / "plugins"
    kinds = [k for p, k in discover().techniques.values() if ours in Path(inspect.getfile(p.module)).resolve().parents]
    order = ["kk_clean", "kk_dataset", "kk_sampler", *STAGES]
    kinds = sorted(kinds, key=lambda kind: (order.index(hooks_of(kind)[0]), kind.name))
    rows = [f"| [`{k.name}`](#{k.name}) | {stage_of(k)} | {inspect.getdoc(k).splitlines()[0]} |" for k in kinds]
    table = "\n".join(["| technique | stage | what it does |", "|---|---|---|", *rows]) + "\n"
    return "\n".join([TECHNIQUES_HEAD, table, *map(section, kinds)])


def hooks_of(kind: type) -> list[str]:
    """The hooks that a technique wraps, the one that it is about first."""
    return [hook for hook in STAGES if hasattr(kind, hook)]


def stage_of(kind: type) -> str:
    """What people call the stages that a technique changes."""
    hooks = hooks_of(kind)
    checks = hooks[-1] == "kk_sampler" and len(hooks) > 1  # as before, after a look at the data set
    return ", ".join(STAGES[hook] for hook in (hooks[:-1] if checks else hooks))


def section(kind: type) -> str:
    """All about one technique."""
    package = inspect.getmodule(kind).__name__.partition(".")[0].removeprefix("kagglekit_").replace("_", "-")
    where = "several competitions" if package == "techniques" else f"`{package}`"
    hooks = ", ".join(f"`{hook}`" for hook in hooks_of(kind))
    parts = [f"## {kind.name}", f"*{stage_of(kind)}; for {where}; wraps {hooks}*", inspect.getdoc(kind)]
    fields = [field for field in dataclasses.fields(kind) if field.init]
    if fields:
        rows = [f"| `{field.name}` | `{type_of(field)}` | `{field.default!r}` |" for field in fields]
        parts.append("\n".join(["| setting | type | default |", "|---|---|---|", *rows]))
    image = IMAGES / f"{kind.name}.jpg"
    if image.exists():
        parts.append(f"![before and after {kind.name}](images/techniques/{image.name})")
    return "\n\n".join(parts) + "\n"


def type_of(field: dataclasses.Field) -> str:
    """The annotation as it is written, whether or not its module delays annotations."""
    return field.type if isinstance(field.type, str) else inspect.formatannotation(field.type).replace("typing.", "")


LAWS_HEAD = """# Laws

What `kk check` asks, and `kagglekit.testing.conformance` in tests ([how](test_a_plugin.md)). Made from the kit by
`docs/generate.py`.
"""
KINDS = {
    "plugin": "Of a plugin",
    "competition": "Of a competition",
    "technique": "Of a technique",
    "stage": "Of stages, whoever answers or wraps them",
}


def laws_page() -> str:
    """The text of docs/laws.md."""
    from kagglekit.testing import all_laws

    parts = [LAWS_HEAD]
    for kind, title in KINDS.items():
        rows = [
            f"| {law.name.replace('_', ' ')} |{f' `{law.hook}` |' if kind == 'stage' else ''} {law.text} |"
            for law in all_laws()
            if law.kind == kind
        ]
        stage, line = (" stage |", "---|") if kind == "stage" else ("", "")
        parts.append("\n".join([f"## {title}\n", f"| law |{stage} what it says |", f"|---|{line}---|", *rows]) + "\n")
    return "\n".join(parts)


COMMANDS_HEAD = """# The commands

Every verb of `kk` with its options, as `kk VERB --help` shows them. Made from the commands by `docs/generate.py`.

Exit codes: 0 done, 1 the work failed, 2 asked wrongly, 130 interrupted. What a program reads goes to stdout, progress
and errors go to stderr. `-h` and `--help` work everywhere, `kk --version` says which kagglekit this is.
"""


def commands_page() -> str:
    """The text of docs/cli.md."""
    from kagglekit.cli import VERBS, kk

    root = click.Context(kk, info_name="kk", **kk.context_settings)
    rows = [f"| [`kk {verb}`](#kk-{verb}) | {text} |" for verb, (_, text) in VERBS.items()]
    parts = [COMMANDS_HEAD, "\n".join(["| verb | what it does |", "|---|---|", *rows]) + "\n"]
    for verb in VERBS:
        parts += command_sections(kk.get_command(root, verb), verb, root)
    return "\n".join(parts)


def command_sections(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    """All about one command, then about those below it."""
    ctx = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    level = "#" * len(ctx.command_path.split())
    parts = [f"{level} `{ctx.command_path}`", f"```\n{usage}\n```", inspect.cleandoc(command.help)]
    if options:
        parts.append("\n".join(option_line(option, ctx) for option in options))
    yield "\n\n".join(parts) + "\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(ctx):
            yield from command_sections(command.get_command(ctx, below), below, ctx)


def option_line(option: click.Option, ctx: click.Context) -> str:
    """An option with what it takes, what it does, its default and its limits.

    No table: what options take may hold bars, which end a cell on GitHub and not in MkDocs.
    """
    names, _ = option.get_help_record(ctx)
    extra = option.get_help_extra(ctx)
    default = option.to_info_dict()["default"]
    if option.secondary_opts:  # a pair like --on / --off
        default = (option.opts if default else option.secondary_opts)[0]
    given = default is not False and default not in (None, "", ())  # 0 is a default, and equal to False
    if "default" not in extra and given:
        extra["default"] = str(default)
    notes = [f"default {extra['default']}"] if "default" in extra else []
    if "range" in extra:
        notes.append(extra["range"].replace("<=", " ≤ ").replace(">=", " ≥ ").replace(">", " > "))
    notes += ["required"] if option.required else []
    text = " ".join([option.help or "", f"*({'; '.join(notes)})*" if notes else ""]).strip()
    return f"- `{names.replace(' RANGE', '')}`" + (f": {text}" if text else "")


PAGES = {
    "cli.md": commands_page,
    "hooks.md": hooks_page,
    "api.md": api_page,
    "techniques.md": techniques_page,
    "laws.md": laws_page,
}

if __name__ == "__main__":
    refuse_strangers()
    for name, page in PAGES.items():
        Path(__file__).with_name(name).write_text(page(), encoding="utf-8")
