"""`kk clean`: which labels to distrust, shown to a person who decides."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from kagglekit.cli.common import compose_recipe, json_option, print_json, recipe_options, registry, sample_preset, table


@click.command("clean")
@click.argument("target", metavar="ID|RECIPE")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The competition's data folder; without it, sample data are drawn."
)
@recipe_options
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Where results go; the default is runs/cleaning/NAME."
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=24,
    show_default=True,
    metavar="N",
    help="Images of each rule in the gallery.",
)
@json_option
def clean_command(target, data, fidelity, overrides, with_, without, seed, out, most, as_json):
    """Find labels of competition ID that its recipe's rules distrust; nothing of the data is changed or deleted.

    A recipe without such rules is given all that installed plugins offer. Writes findings.csv, findings.json, a gallery
    findings.html, and decisions.toml for you to edit: what you decided stays when the command is repeated.
    """
    from kagglekit import progress
    from kagglekit.clean.cleaning import CleanRequest, clean
    from kagglekit.plugin.solution import resolve

    found = registry()
    fidelity = sample_preset(found, target, data, fidelity)
    recipe, _, _ = compose_recipe(found, target, fidelity, with_, without, overrides, seed)
    solution = resolve(recipe, found)
    with progress.console(progress.Console()):
        if data is None:
            from kagglekit.pipeline.sample_data import sample_folder

            data = sample_folder(solution, solution.competition.sample_count, 0)
        folder, facts = clean(CleanRequest(solution, data, "kk " + shlex.join(sys.argv[1:]), out, most))
    if as_json:
        print_json({**facts, "folder": str(folder)})
    else:
        click.echo(summary(folder, facts))


def summary(folder: Path, facts: dict[str, Any]) -> str:
    """What a person wants to know at the end."""
    lines = [f"{facts['title']}: {facts['distrusted']} of {facts['train']} training labels distrusted"]
    if facts["rules"]:
        lines += ["", table(["rule", "findings"], list(facts["rules"].items())), ""]
    if facts["problems"]:
        lines.append(f"  skipped anyway  {len(facts['problems'])}, because of problems that `kk data check` lists")
    lines += [f"  gallery         {folder / 'findings.html'}", f"  table           {folder / 'findings.csv'}"]
    lines.append(f"  decisions       {folder / 'decisions.toml'}: look at the gallery, then edit this file")
    if facts["next"]:
        lines.append(f"  next            {facts['next']}")
    return "\n".join(lines)
