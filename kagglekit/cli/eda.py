"""`kk eda`: what a competition's data look like, before any training."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from kagglekit.cli.common import compose_recipe, json_option, print_json, recipe_options, registry, sample_preset


@click.command("eda")
@click.argument("target", metavar="ID|RECIPE")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The competition's data folder; without it, sample data are drawn."
)
@recipe_options
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Where results go; the default is runs/eda/NAME."
)
@click.option(
    "--most",
    type=click.IntRange(min=8),
    default=2000,
    show_default=True,
    metavar="N",
    help="Images of each part whose pixels are looked at.",
)
@json_option
def eda_command(target, data, fidelity, overrides, with_, without, seed, out, most, as_json):
    """Look at the data of competition ID before any training; nothing of the data is changed.

    Writes eda.html, one page with images, classes, areas, places, intensities, copies, differences of train and test,
    suspicious labels and what to try next, and eda.json with all numbers.
    """
    from kagglekit import progress
    from kagglekit.eda.explore import ExploreRequest, explore
    from kagglekit.plugin.solution import resolve

    found = registry()
    fidelity = sample_preset(found, target, data, fidelity)
    words = asked(target, fidelity, overrides, with_, without, seed)
    recipe, _, _ = compose_recipe(found, target, fidelity, with_, without, overrides, seed)
    solution = resolve(recipe, found)
    with progress.console(progress.Console()):
        if data is None:
            from kagglekit.pipeline.sample_data import sample_folder

            data = sample_folder(solution, solution.competition.sample_count, 0)
        folder, facts = explore(ExploreRequest(solution, data, "kk " + shlex.join(sys.argv[1:]), out, most, words))
    if as_json:
        print_json({**facts, "folder": str(folder)})
    else:
        click.echo(summary(folder, facts))


def asked(target, fidelity, overrides, with_, without, seed) -> tuple[str, ...]:
    """The words that ask for the same recipe again."""
    options = [("--fidelity", fidelity), ("--seed", seed)]
    options += [
        (name, one) for name, some in (("-o", overrides), ("--with", with_), ("--without", without)) for one in some
    ]
    return (target, *(word for name, value in options if value is not None for word in (name, str(value))))


def summary(folder: Path, facts: dict[str, Any]) -> str:
    """What a person wants to know at the end."""
    counts = facts["counts"]
    lines = [
        f"{facts['title']}: {counts['train']} training and {counts['test']} test images, {counts['labelled']} labels"
    ]
    if facts["stands_out"]:
        marks = {"warn": "!", "note": "-"}
        lines += ["", *(f"  {marks[one['kind']]} {one['head']} {one['text']}" for one in facts["stands_out"])]
    if facts["suggestions"]:
        lines += ["", f"  try next  {', '.join(one['technique'] for one in facts['suggestions'])}"]
    return "\n".join([*lines, "", f"  page      {folder / 'eda.html'}", f"  numbers   {folder / 'eda.json'}"])
