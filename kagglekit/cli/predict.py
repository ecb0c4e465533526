"""`kk predict`: masks for any folder of images."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json, registry


@click.command("predict")
@click.argument("run")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="A folder of images, of any sizes.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where masks go; the default is RUN's folder, below predictions/."
)
@json_option
def predict_command(run, images, out, as_json):
    """Predict every image of a folder with a finished RUN (its id, the beginning of it, or its folder).

    Writes a PNG mask per image, an overlay to look at, and index.csv.
    """
    from kagglekit import progress
    from kagglekit.pipeline.predict_folder import predict_folder

    with progress.console(progress.Console()):
        report = predict_folder(registry(), run, images, out)
    if as_json:
        print_json(report)
        return
    click.echo(
        f"{report['predicted']} masks are in {report['folder']}"
        + (f"; {len(report['skipped'])} files skipped:" if report["skipped"] else "")
    )
    for line in report["skipped"][:10]:
        click.echo(f"  {line}")
    if unread := report["unread"]:
        more = f" and {len(unread) - 5} more" if len(unread) > 5 else ""
        click.echo(f"not read: {', '.join(unread[:5])}{more}; neither other endings nor folders are")
