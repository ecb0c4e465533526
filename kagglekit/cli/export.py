"""`kk export`: runs for TensorBoard or MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json


@click.command("export")
@click.argument("target", metavar="[RUN|SEARCH]", required=False)
@click.option("--all", "everything", is_flag=True, help="All finished runs and trials in the ledger.")
@click.option("--to", "kind", type=click.Choice(["tensorboard", "mlflow"]), required=True, help="Who is to read them.")
@click.option(
    "-o", "--out", metavar="DIR|URI",
    help="Where to write; the default lies below the runs, or is MLFLOW_TRACKING_URI.",
)  # fmt: skip
@json_option
def export_command(target, everything, kind, out, as_json):
    """Write a RUN, the trials of a SEARCH, or all runs as TensorBoard logs or MLflow runs.

    They hold the curves by epoch, final scores with their intervals, every setting of the recipe, the time spent, and
    for TensorBoard the images of the run's page. What was exported before is not written twice.
    """
    from kagglekit import progress
    from kagglekit.publish.export.records import chosen, records_of
    from kagglekit.runs.folder import home

    records, faults = records_of(chosen(target, everything), strict=not everything)
    for fault in faults:
        click.echo(f"kk: {fault} (left out)", err=True)
    with progress.console(progress.Console()):
        if kind == "tensorboard":
            from kagglekit.publish.export.to_tensorboard import export

            store_path = str(Path(out) if out else home() / "tensorboard")
            written, command = export(records, Path(store_path), progress.track), f"tensorboard --logdir {store_path}"
        else:
            from kagglekit.publish.export.to_mlflow import command_to_open, export, shown, store_of

            store = store_of(out)
            written, command, store_path = export(records, store, progress.track), command_to_open(store), shown(store)
    if as_json:
        print_json({"to": kind, "place": store_path, "written": written, "runs": [one.name for one in records],
                    "left_out": faults})  # fmt: skip
        return
    known = f", {len(records) - written} were there" if written < len(records) else ""
    click.echo(f"{store_path}  ({written} written{known})\nlook at them: {command}")
