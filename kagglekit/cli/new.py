"""`kk new`: a plugin to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit import __version__
from kagglekit.cli.common import json_option, print_json, registry
from kagglekit.errors import UsageError


@click.group("new", context_settings={"help_option_names": ["-h", "--help"]})
def new_command():
    """Write a small working plugin to begin with: a competition or a technique."""


def _new(kind: str, name: str, out: Path | None, as_json: bool) -> None:
    from kagglekit.testing.scaffold import create

    found = registry()
    for offered, what in ((found.competitions, "competition"), (found.techniques, "technique")):
        if name in offered:
            raise UsageError(f"{what} {name} is brought by {offered[name][0]} already; choose another name")
    folder = create(kind, name, out or Path(name), __version__)
    steps = [f"pip install -e {folder}", f"kk check {name}"]
    steps += [f"kk run {name} --fidelity demo"] if kind == "competition" else [f"kk run ID --with {name}"]
    if as_json:
        print_json({"folder": str(folder), "files": sorted(p.name for p in folder.iterdir()), "next": steps})
        return
    click.echo(f"{folder}: " + ", ".join(sorted(p.name for p in folder.iterdir())))
    click.echo("next:\n" + "\n".join(f"  {step}" for step in steps))


out_option = click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The new folder; NAME in this one unless given."
)


@new_command.command("competition")
@click.argument("name")
@out_option
@json_option
def competition_command(name, out, as_json):
    """Write a distribution that brings a competition NAME: drawn discs, one mask each, run lengths in a CSV."""
    _new("competition", name, out, as_json)


@new_command.command("technique")
@click.argument("name")
@out_option
@json_option
def technique_command(name, out, as_json):
    """Write a distribution that brings a technique NAME, which changes how training images are distorted."""
    _new("technique", name, out, as_json)
