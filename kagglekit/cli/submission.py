"""`kk submission check`: is a file what the competition takes?"""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json, recipe_options, registry, solution_of
from kagglekit.errors import DataError, KagglekitError, UsageError

SHOWN = 20  # faulty rows that are listed


@click.group("submission", context_settings={"help_option_names": ["-h", "--help"]})
def submission_command():
    """Check a submission file before you upload it."""


@submission_command.command("check")
@click.argument("id")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The competition's data folder, for the names; without it, that of the run in whose folder FILE lies.",
)
@recipe_options
@json_option
@click.pass_context
def check_command(ctx, id, file, data, fidelity, overrides, with_, without, seed, as_json):
    """Say whether submission FILE of competition ID has the form that the host takes, row by row; no answers needed.

    Exit code 0: it has; 1: it has not, and the rows that are wrong are listed.
    """
    from kagglekit.predict.submission import check_file

    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    solution = solution_of(registry(), id, fidelity, with_, without, overrides, seed)
    dataset = solution.dataset(data or data_of(file))
    try:
        faults = check_file(file, dataset)
    except KagglekitError as error:
        faults = [str(error)]
    if as_json:
        print_json({"file": str(file), "rows": len(dataset.test), "valid": not faults, "faults": faults})
    elif faults:
        more = f"\n... and {len(faults) - SHOWN} more (--json lists all)" if len(faults) > SHOWN else ""
        click.echo(f"{file} would be refused:\n" + "\n".join(faults[:SHOWN]) + more)
    else:
        click.echo(f"{file} has the form that {id} takes: {len(dataset.test)} test images, every row decoded")
    ctx.exit(1 if faults else 0)


def data_of(file: Path) -> Path:
    """The data folder of the run in whose folder a file lies; raises DataError where there is none."""
    from kagglekit.runs import folder as folders
    from kagglekit.runs.record import read_manifest

    if not (file.parent / folders.MANIFEST).exists():
        raise DataError(f"{file}: lies in no run's folder, so its names cannot be compared; give --data DIR")
    data = read_manifest(file.parent).data
    if not data or not Path(data).exists():
        raise DataError(f"{file}: the data of its run are no longer at {data}; give --data DIR")
    return Path(data)
