"""`kk plugins`: what is installed, what is broken and why, who answers what."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from kagglekit.cli.common import json_option, print_json, recipe_options, registry, solution_of, table
from kagglekit.errors import UsageError, did_you_mean
from kagglekit.plugin.registry import API, SPECS, Registry, discover

if TYPE_CHECKING:
    from kagglekit.plugin.solution import Solution


@click.group("plugins", invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@json_option
@click.pass_context
def plugins_command(ctx, as_json):
    """List the plugins that are installed and what each brings; what is broken, and why.

    `kk plugins why HOOK --recipe ID` says who answers a hook.
    """
    if ctx.invoked_subcommand:
        return
    found = discover()
    rows = [facts(found, name) for name in sorted({*found.plugins, *found.broken})]
    if as_json:
        print_json({"api": API, "plugins": rows})
        return
    if not rows:
        click.echo("No plugin is installed. Write one: kk new competition NAME")
        return
    columns = ["plugin", "distribution", "version", "competitions", "techniques"]
    cells = [[r["plugin"], r["distribution"], r["version"], *(_brief(r[c]) for c in columns[3:])] for r in rows]
    click.echo(table(columns, cells))
    for row in rows:
        if row["broken"]:
            click.echo(f"\nBROKEN {row['plugin']}: {row['broken']}")
            click.echo("  mend or uninstall it; KAGGLEKIT_TRACE=1 kk plugins shows the traceback")
            _trace(found, row["plugin"])


def _trace(found: Registry, name: str) -> None:
    import os

    if os.environ.get("KAGGLEKIT_TRACE"):
        click.echo(found.broken[name].where, err=True)


def facts(found: Registry, name: str) -> dict:
    """What is known of a plugin, loaded or broken."""
    one = found.plugins.get(name) or found.broken[name]
    distribution, _, version = one.source.rpartition(" ")
    mine = {
        what: sorted(key for key, (plugin, _) in offered.items() if plugin.name == name)
        for what, offered in (("competitions", found.competitions), ("techniques", found.techniques))
    }
    broken = found.broken[name].error if name in found.broken else None
    return {"plugin": name, "distribution": distribution, "version": version, **mine, "broken": broken}


def _brief(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@plugins_command.command("why")
@click.argument("hook")
@click.option("--recipe", "target", required=True, metavar="ID|FILE", help="A competition, or a recipe file.")
@recipe_options
@json_option
def why_command(hook, target, fidelity, overrides, with_, without, seed, as_json):
    """Say who answers HOOK in a recipe, and in which order: wrappers first, the outermost at the top."""
    if hook not in SPECS:
        raise UsageError(f"{hook} is no hook{did_you_mean(hook, SPECS)}")
    found = registry()
    solution = solution_of(found, target, fidelity, with_, without, overrides, seed)
    rows = answers(solution, hook)
    if as_json:
        print_json({"hook": hook, "asks": _first_line(SPECS[hook]), "answers": rows})
        return
    click.echo(f"{hook}: {_first_line(SPECS[hook])}\n")
    if not rows:
        click.echo("nobody answers it")
        return
    click.echo(table(["", "who", "how", "from", "says"], [[i, *row.values()] for i, row in enumerate(rows, 1)]))


def answers(solution: Solution, hook: str) -> list[Mapping[str, str]]:
    """Who has a say in `hook`, the one that is asked first at the top.

    Of those that do not wrap, a later one is asked only if the earlier ones return None.
    """
    owners = {"defaults": "kagglekit"} | {plugin.name: plugin.source for plugin in solution.plugins}
    owners |= {t.name: solution.registry.technique(t.name)[0].source for t in solution.techniques}
    rows: list[Mapping[str, str]] = []
    plain = 0
    for impl in reversed(getattr(solution.manager.hook, hook).get_hookimpls()):
        how = "wraps" if impl.wrapper or impl.hookwrapper else "if those above return None" if plain else "answers"
        plain += how != "wraps"
        source = owners[impl.plugin_name]
        rows.append({"who": impl.plugin_name, "how": how, "from": source, "says": _first_line(impl.function)})
    return rows


def _first_line(function) -> str:
    return (inspect.getdoc(function) or "").split("\n")[0]
