"""`kk solutions`: what is claimed, and what of it was measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from kagglekit.cli.common import json_option, print_json, registry, table

CAVEAT = (
    "Published scores are the hosts', on test parts whose truth is not public. Scores here are measured on other\n"
    "images, named beside each: they show that a recipe runs and what it reaches there, not a place on a leaderboard."
)


@click.command("solutions")
@click.argument("id", required=False)
@json_option
def solutions_command(id, as_json):
    """List solutions of competition ID (or of all): the published scores, and what was measured on this machine.

    A run counts for a recipe if it is equal to it, the seed apart. `kk compare RUN ID/SOLUTION` shows one of them
    beside a run.
    """
    from kagglekit.publish.solutions import offers

    found = offers(registry(), id)
    if as_json:
        print_json(found)
    elif not found:
        click.echo("No competition is installed. Competitions are plugins: pip install kagglekit-..., see the README")
    else:
        more = [] if id else ["`kk solutions ID` says what each recipe leaves out, and where to read."]
        click.echo("\n\n".join([*(block(one, bool(id)) for one in found), *more, CAVEAT]))


def block(offer: dict[str, Any], details: bool) -> str:
    """One competition: a table; with `details` also what its recipes do not reproduce, and where to read."""
    head = f"{offer['competition']}: {offer['title']}, {offer['metric']}"
    names = ["solution", "published", "recipe", "here", "95% interval", "measured on", "run"]
    lines = [head, table(names, list(rows(offer)))]
    for one in offer["published"] if details else ():
        lines += ["", f"{one['name']}  {one['by']}: {one['url']}", f"  scored by {one['metric']}"]
        lines += [f"  {one['note']}"] if one["note"] else []
        if one["differs"]:
            lines.append(f"  the recipe {one['preset']} is not the same:")
            lines += [f"  - {text}" for text in one["differs"]]
    return "\n".join(lines)


def rows(offer: dict[str, Any]) -> Iterator[Sequence[str]]:
    """Published solutions first, with the recipe that stands for each; then other recipes, then bundles."""
    from kagglekit.publish.solutions import data_words, score_words

    recipes = {one["preset"]: one for one in offer["recipes"]}
    for one in offer["published"]:
        left = [f"{one['name']}", score_words(one["scores"])]
        if recipe := recipes.get(one["preset"]):
            yield from beside([*left, recipe["preset"]], recipe)
        else:
            yield [*left, "none", "no recipe here", "", "", ""]
    for recipe in offer["recipes"]:
        if not recipe["stands_for"]:
            yield from beside(["", "", recipe["preset"]], recipe)
    for one in offer["bundles"]:
        evidence, part = one["claims"], "test" if one["claims"]["test"] else "validation"
        said = (
            f"claims {evidence[part]['value']:.4f} on {data_words(evidence, part)}"
            if evidence[part]
            else "claims nothing"
        )
        yield from beside([f"bundle {one['bundle']}", said, one["recipe"]], one)


def beside(left: list[str], recipe: dict[str, Any]) -> Iterator[Sequence[str]]:
    """The lines of a recipe: the newest run on each data set, a line for each score, or that there is none."""
    from kagglekit.publish.solutions import data_words

    newest: dict[Any, list[dict[str, Any]]] = {}
    for run in recipe["runs"]:
        newest.setdefault(run["data"]["fingerprint"], []).append(run)
    if not newest:
        yield [*left, recipe.get("error") or "not run here", "", "", ""]
    for first, *more in newest.values():
        name = first["run"] + (f" and {len(more)} more" if more else "")
        for part in ("test", "validation"):
            if score := first[part]:
                interval = f"{score['low']:.4f} .. {score['high']:.4f}"
                yield [*left, f"{score['value']:.4f}", interval, data_words(first, part), name]
                left, name = [""] * len(left), ""
