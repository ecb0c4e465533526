"""`kk writeup`: a finished run as a page to publish."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json, registry


@click.command("writeup")
@click.argument("run")
@click.option("--lang", default="en", show_default=True, help="en or ko.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; the default lies in RUN's folder.")
@click.option(
    "--check", is_flag=True, help="Write nothing; say whether the last write-up still says what the record says."
)
@json_option
def writeup_command(run, lang, out, check, as_json):
    """Write up a finished RUN: one HTML page, the same as Markdown with its images, and a notebook.

    Every number comes from the record: the run, other seeds of its recipe, an ablation on the same data, the search
    that it won. Your own text goes into notes.md in the run's folder; it is taken in and never overwritten.
    """
    from kagglekit.publish.writeup.write import check as find_stale
    from kagglekit.publish.writeup.write import write_up
    from kagglekit.runs.folder import find

    folder = find(run)
    if check:
        stale = find_stale(registry(), folder)
        if as_json:
            print_json({"stale": stale})
        else:
            click.echo(
                "\n".join(["the write-up is stale; kk writeup makes it anew:", *stale]) if stale else "up to date"
            )
        sys.exit(1 if stale else 0)
    paths = write_up(registry(), folder, lang, out)
    if as_json:
        print_json(paths)
    else:
        click.echo("\n".join(f"{path}" for path in paths.values()))
