"""`kk runs`: the ledger."""

from __future__ import annotations

import click

from kagglekit.cli.common import json_option, print_json, table


@click.command("runs")
@click.argument("competition", required=False)
@click.option("--rebuild", is_flag=True, help="Make the ledger anew from the run folders first.")
@json_option
def runs_command(competition, rebuild, as_json):
    """List the runs in the ledger, the newest first, of one COMPETITION or all."""
    from kagglekit.runs.folder import home
    from kagglekit.runs.ledger import SHOWN, Ledger

    ledger = Ledger(home())
    if rebuild:
        click.echo(f"{ledger.rebuild()} runs found below {home()}", err=True)
    rows = ledger.rows(competition)
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(f"no runs{f' of {competition}' if competition else ''} below {home()} yet; start one: kk run ID")
        return

    columns = [column for column in SHOWN if column.title != "competition"]  # the name of a run begins with it
    click.echo(
        table(
            ["run", *(column.title for column in columns)],
            [[row["run"], *(column.text(row) for column in columns)] for row in rows],
        )
    )
