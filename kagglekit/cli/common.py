"""What several verbs share: options, plugins with a word on broken ones, tables, JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from kagglekit.competition import Competition
from kagglekit.errors import RecipeError, UsageError, did_you_mean
from kagglekit.plugin.registry import Registry, discover

if TYPE_CHECKING:
    from kagglekit.plugin.solution import Solution
    from kagglekit.recipe import Recipe

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of text.")


def recipe_options(command):
    """The options that change a recipe."""
    for option in (
        click.option("--seed", type=int, help="Seed of splits, weights and draws; the same as -o seed=N."),
        click.option("--without", multiple=True, metavar="TECHNIQUE", help="Leave a technique out. Repeatable."),
        click.option(
            "--with", "with_", multiple=True, metavar="TECHNIQUE[:KEY=VALUE,...]", help="Add a technique. Repeatable."
        ),
        click.option(
            "-o",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change a setting, e.g. -o lr=3e-4 -o fidelity.epochs=4 (`kk show ID` lists them). Repeatable.",
        ),
        click.option("--fidelity", metavar="PRESET", help="demo, trial or full (`kk info ID` lists them)."),
    ):
        command = option(command)
    return command


def registry() -> Registry:
    """All plugins; each broken one costs one line on stderr."""
    found = discover()
    for broken in found.broken.values():
        print(f"kk: {broken} (left out)", file=sys.stderr)
    return found


def compose_recipe(
    found: Registry,
    target: str,
    fidelity: str | None,
    with_: Sequence[str],
    without: Sequence[str],
    overrides: Sequence[str],
    seed: int | None,
) -> tuple[Recipe, dict[str, str], str]:
    """(recipe, origin of each value, name of the preset) for a competition id or a recipe file and the user's changes.

    A recipe file is complete: no preset is laid under it unless one is asked for.
    """
    from kagglekit import recipe as recipes

    file_layer: Mapping[str, Any] = {}
    id: Any = target
    if Path(target).suffix in (".toml", ".json"):
        file_layer = recipes.load(Path(target))
        id = file_layer.get("competition")
        if not isinstance(id, str):
            raise RecipeError(f'recipe {target}: says no competition; add competition = "ID" (`kk list` shows the ids)')
    _, competition = found.competition(id)
    preset = pick_preset(competition, fidelity) if fidelity or not file_layer else ""
    layers = [*recipes.layers_of(competition, preset), (target, file_layer)]
    pairs = [recipes.parse_override(text) for text in overrides]
    changes = dict(pairs)
    if len(changes) < len(pairs):
        raise UsageError("-o: a setting is given twice")
    if seed is not None and "seed" in changes:
        raise UsageError("--seed and -o seed=... are both given; give one of them")
    if seed is not None:
        changes["seed"] = seed
    result, origins = recipes.compose([*layers, ("-o", changes)], with_, without)
    return result, origins, preset


def solution_of(
    found: Registry,
    target: str,
    fidelity: str | None = None,
    with_: Sequence[str] = (),
    without: Sequence[str] = (),
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> Solution:
    """The resolved solution of a competition id or a recipe file and the user's changes."""
    from kagglekit.plugin.solution import resolve

    recipe, _, _ = compose_recipe(found, target, fidelity, with_, without, overrides, seed)
    return resolve(recipe, found)


def pick_preset(competition: Competition, fidelity: str | None) -> str:
    """The preset asked for, "full" if none was; raises UsageError."""
    wanted = fidelity or "full"
    if wanted not in competition.presets and (fidelity or competition.presets):
        raise UsageError(f"{competition.id} has no preset {wanted}{did_you_mean(wanted, competition.presets)}")
    return wanted


def sample_preset(found: Registry, target: str, data: Path | None, fidelity: str | None) -> str | None:
    """The preset to take: what was asked for, else the demo where a competition draws its own data."""
    if data is not None or fidelity is not None or Path(target).suffix in (".toml", ".json"):
        return fidelity
    return "demo" if "demo" in found.competition(target)[1].presets else None


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Plain aligned columns, cheap enough for verbs that must answer at once."""
    cells = [[str(h) for h in headers]] + [["" if c is None else str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


_document: TextIO | None = None  # where the one JSON document goes, once it is kept apart from what is printed


@contextmanager
def apart_for_json() -> Iterator[None]:
    """Inside the block what this process and its children print on stdout goes to stderr, but for `print_json`."""
    global _document
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # a process without one of the two
        yield
        return
    try:
        with open(os.dup(kept), "w", encoding="utf-8", newline="") as _document:  # noqa: PTH123 - of a descriptor
            yield
    finally:
        _document = None
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    import json

    text = json.dumps(value, indent=1, default=str)
    if _document is None:
        click.echo(text)
        return
    _document.write(f"{text}\n")
    _document.flush()
