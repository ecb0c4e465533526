"""`kk reproduce`: does a run still give what it gave?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json, registry


@click.command("reproduce")
@click.argument("target", metavar="RUN|BUNDLE")
@click.option("--data", type=click.Path(path_type=Path), help="The data folder, where it moved since the run.")
@click.option(
    "--exact/--band", default=True, help="Equal weights by hash (default), or a score within the band of seeds."
)
@json_option
def reproduce_command(target, data, exact, as_json):
    """Run a finished RUN (or the one in a BUNDLE) again and say PASS or FAIL, with the first thing that differs.

    Data are compared file by file, folds sample by sample, the recipe key by key, code source by source, and versions,
    before anything is trained. --exact trains with the same seed and compares weights by hash; --band trains another
    seed and asks whether its score lies where the runs of other seeds say it should.
    """
    from kagglekit import progress
    from kagglekit.publish.reproduce import reproduce
    from kagglekit.runs.bundle import find

    with progress.console(progress.Console()):
        verdict = reproduce(registry(), find(target), data, exact)
    if as_json:
        print_json(verdict.as_dict())
    else:
        click.echo("PASS" if verdict.passed else f"FAIL  {verdict.first}")
        for note in verdict.notes:
            click.echo(f"  {note}")
        if verdict.reached is not None:
            click.echo(f"  score  {verdict.claimed:.4f} claimed, {verdict.reached:.4f} reached (run {verdict.run})")
        if verdict.band:
            click.echo(f"  band   {verdict.band[0]:.4f} .. {verdict.band[1]:.4f}")
    sys.exit(0 if verdict.passed else 1)
