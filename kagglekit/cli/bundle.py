"""`kk bundle`: a run as one file."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json


@click.command("bundle")
@click.argument("run")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file or folder to write; the default is RUN's folder."
)
@json_option
def bundle_command(run, out, as_json):
    """Pack a finished RUN into one file: recipe, record, weights, decisions; never data, never code.

    `kk predict`, `kk run` and `kk reproduce` take such a file. Opening one runs nothing that is in it.
    """
    from kagglekit.publish.pack import pack
    from kagglekit.report.run_page import size_text
    from kagglekit.runs.folder import find

    path = pack(find(run), out)
    if as_json:
        print_json({"bundle": str(path), "bytes": path.stat().st_size})
    else:
        click.echo(f"{path}  ({size_text(path.stat().st_size)})")
