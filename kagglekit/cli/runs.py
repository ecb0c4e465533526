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
    from kagglekit.runs.ledger import Ledger

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

    def number(value):
        return "" if value is None else f"{value:.4f}"

    click.echo(
        table(
            ["run", "fidelity", "status", "score", "95% interval", "test", "time", "started"],
            [
                [
                    r["run"],
                    r["fidelity"],
                    r["status"],
                    number(r["score"]),
                    f"{number(r['low'])} .. {number(r['high'])}" if r["low"] is not None else "",
                    number(r["test_score"]),
                    "" if r["seconds"] is None else f"{r['seconds'] / 60:.1f} min",
                    r["started"].replace("T", " ").rstrip("Z"),
                ]
                for r in rows
            ],
        )
    )
