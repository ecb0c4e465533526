"""`kk data check` and `kk data sample`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json, recipe_options, registry, solution_of


@click.group("data", context_settings={"help_option_names": ["-h", "--help"]})
def data_command():
    """Check a data folder, or make sample data."""


@data_command.command("check")
@click.argument("id")
@click.argument("folder", type=click.Path(path_type=Path))
@recipe_options
@json_option
@click.pass_context
def check_command(ctx, id, folder, fidelity, overrides, with_, without, seed, as_json):
    """Find what is wrong with data FOLDER of competition ID: every label is read, every image decoded.

    Settings of the competition (-o settings.KEY=VALUE) decide how labels are read.

    Exit code 0: nothing is damaged; 1: something is.
    """
    from kagglekit import progress
    from kagglekit.pipeline.check import check

    with progress.console(progress.Console()):
        solution = solution_of(registry(), id, fidelity, with_, without, overrides, seed)
        dataset, problems = check(solution, folder)
    bad = [p for p in problems if p.damaged]
    if as_json:
        print_json(
            {
                "train": len(dataset.train),
                "test": len(dataset.test),
                "damaged": len(bad),
                "problems": [
                    {"sample": p.sample, "rule": p.rule, "detail": p.detail, "skipped": p.skip, "damaged": p.damaged}
                    for p in problems
                ],
            }
        )
    else:
        click.echo(
            f"{len(dataset.train)} training and {len(dataset.test)} test images, "
            f"{len({s.group or s.id for s in dataset.train})} groups"
        )
        shown: Counter = Counter()
        for rule, count in Counter(p.rule for p in problems).most_common():
            click.echo(f"\n{rule}: {count}")
            for problem in (p for p in problems if p.rule == rule):
                shown[rule] += 1
                if shown[rule] > 5:
                    click.echo(f"  ... and {count - 5} more (--json lists all)")
                    break
                verdict = "damaged" if problem.damaged else "skipped" if problem.skip else "used"
                click.echo(f"  {problem.sample} ({verdict}): {problem.detail}")
        if not problems:
            click.echo("nothing is wrong")
    ctx.exit(1 if bad else 0)


@data_command.command("sample")
@click.argument("id")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(8, 1_000_000), help="Training images; the default is the competition's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def sample_command(id, folder, count, seed, as_json):
    """Draw sample data of competition ID into the new FOLDER, in the competition's own layout, with truth beside it."""
    from kagglekit import progress
    from kagglekit.pipeline.sample_data import draw

    solution = solution_of(registry(), id)
    count = count or solution.competition.sample_count
    with progress.console(progress.Console()):
        draw(solution, folder, count, seed)
    if as_json:
        print_json({"folder": str(folder), "count": count, "seed": seed})
    else:
        click.echo(
            f"{count} training images and their test part are in {folder}\ntry: kk run {id} --data {folder} "
            "--fidelity demo"
        )
