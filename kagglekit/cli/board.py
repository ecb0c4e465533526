"""`kk board`: a static page over all runs."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json


@click.command("board")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; the default lies beside the runs.")
@json_option
def board_command(out, as_json):
    """Write a page over all runs: a table that sorts and filters, with links to the page of each.

    It is one file without a server; published together with the runs' folder its links work anywhere.
    """
    from kagglekit.report.board import default_board, write_board
    from kagglekit.runs.folder import home
    from kagglekit.runs.ledger import Ledger

    rows = Ledger(home()).rows(None)
    path = write_board(rows, home(), out or default_board())
    if as_json:
        print_json({"page": str(path), "runs": len(rows)})
    else:
        click.echo(f"{path}  ({len(rows)} runs)")
