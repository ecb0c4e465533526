"""`kk check`: does a plugin keep the laws of the conformance kit?"""

from __future__ import annotations

import dataclasses
from collections import Counter

import click

from kagglekit.cli.common import json_option, print_json, registry, table

WORDS = {"pass": "ok", "fail": "FAIL", "skip": "skipped"}


@click.command("check")
@click.argument("name")
@click.option(
    "-o",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting: of the competition's recipe, or techniques.NAME.KEY of a technique that needs one. Repeatable.",
)
@click.option("--laws", is_flag=True, help="Say each law as a sentence instead of by its name alone.")
@json_option
@click.pass_context
def check_command(ctx, name, overrides, laws, as_json):
    """Check that NAME (a plugin, one competition or one technique) keeps every law of the conformance kit.

    A competition is tried on data that it draws itself, at 64 pixels, with one epoch of training at the end;
    techniques are tried in small drawn worlds. Nothing is left behind.

    Exit code 0: no law is broken; 1: one is.
    """
    from kagglekit import progress
    from kagglekit.recipe import parse_override
    from kagglekit.testing.conformance import cases
    from kagglekit.testing.laws import check_law

    found = cases(registry(), name, dict(parse_override(text) for text in overrides))
    verdicts = []
    with progress.console(progress.Console()):
        for subject, law in progress.track(found, len(found), f"checking {name}"):
            with progress.console(progress.Console(quiet=True)):  # what plugins say while they are tried is no news
                verdicts.append(check_law(law, subject))
    count = Counter(v.status for v in verdicts)
    if as_json:
        print_json(
            {"name": name, **{s: count[s] for s in WORDS}, "verdicts": [dataclasses.asdict(v) for v in verdicts]}
        )
    else:
        show(verdicts, laws)
    ctx.exit(1 if count["fail"] else 0)


def show(verdicts, laws: bool) -> None:
    """A table for each subject, reasons below the laws that they belong to, and the sums."""
    for subject in dict.fromkeys(v.subject for v in verdicts):
        mine = [v for v in verdicts if v.subject == subject]
        rows = [[WORDS[v.status], v.text if laws else v.law.replace("_", " "), f"{v.seconds:.1f} s"] for v in mine]
        click.echo(table(["", subject, "time"], rows))
        for verdict in mine:
            if verdict.status != "pass":
                click.echo(f"  {WORDS[verdict.status]}: {verdict.law.replace('_', ' ')}: {verdict.reason}")
        click.echo()
    count = Counter(v.status for v in verdicts)
    click.echo(f"{len(verdicts)} laws asked: {count['pass']} kept, {count['fail']} broken, {count['skip']} skipped")
