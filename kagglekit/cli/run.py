"""`kk run`: from files to a scored submission and a page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.common import compose_recipe, json_option, print_json, recipe_options, registry, sample_preset
from kagglekit.errors import UsageError

if TYPE_CHECKING:
    from kagglekit.pipeline.request import Request
    from kagglekit.runs.record import Result


@click.command("run")
@click.argument("target", metavar="ID|RECIPE|BUNDLE")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The competition's data folder; without it, sample data are drawn."
)
@recipe_options
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with an interrupted run (done anyway when recipe, data and code are the same).",
)
@click.option("--again", is_flag=True, help="Run once more although the result is there.")
@click.option(
    "--workers", type=int, default=1, metavar="N", help="Train on N processes through Ray, to the same result."
)
@click.option(
    "--address", default="", metavar="HOST:PORT", help="The Ray cluster of the workers; without it, this machine."
)
@json_option
def run_command(target, data, fidelity, overrides, with_, without, seed, resume, again, workers, address, as_json):
    """Train competition ID (or a RECIPE file, or a BUNDLE's), predict, score what would be submitted, write it up.

    Without --data the competition draws its own sample data and trains its demo. The same experiment (recipe, data,
    code) is never computed twice: a second call returns the first result. A run that differs only in what follows
    training (views, ensemble, post-processing) reuses the checkpoints of the other.
    """
    from kagglekit import progress
    from kagglekit.pipeline.cluster import check_workers
    from kagglekit.pipeline.request import Request
    from kagglekit.plugin.solution import resolve
    from kagglekit.runs.bundle import recipe_in

    if again and resume:
        raise UsageError("--again starts afresh and --resume goes on; give one of them")
    found = registry()
    target = recipe_in(target)
    fidelity = sample_preset(found, target, data, fidelity)
    recipe, _, preset = compose_recipe(found, target, fidelity, with_, without, overrides, seed)
    solution = resolve(recipe, found)
    check_workers(workers, address, recipe.batch_size)
    command = "kk " + shlex.join(sys.argv[1:])
    with progress.console(progress.Console()):
        if data is None:
            from kagglekit.pipeline.sample_data import sample_folder

            data = sample_folder(solution, solution.competition.sample_count, 0)
        _run(Request(solution, data, preset, command, again, resume, workers=workers, address=address), as_json)


def _run(request: Request, as_json: bool) -> None:
    from kagglekit.pipeline.experiment import run
    from kagglekit.runs.record import plain

    folder, result, is_new = run(request)
    if as_json:
        print_json({**plain(result), "folder": str(folder), "new": is_new})
        return
    if not is_new:
        click.echo(f"This experiment was run before ({folder.name}); this is its result. --again repeats it.")
    click.echo(summary(folder, result))


def summary(folder: Path, result: Result) -> str:
    """What a person wants to know at the end of a run."""
    lines = [f"{result.title}: {result.metric}"]
    for score, label in ((result.validation, "validation"), (result.test, "test (submission scored)")):
        if score:
            lines.append(
                f"  {label:<26}{score.value:.4f}   95% {score.low:.4f} .. {score.high:.4f}   {score.count} images"
            )
    for name, both in result.also.items():
        named = (("validation", both.validation), ("test", both.test))
        values = (f"{part} {value:.4f}" for part, value in named if value is not None)
        lines.append(f"  {name:<26}{'   '.join(values)}")
    minutes, seconds = divmod(round(result.seconds.spent), 60)
    lines += [
        f"  weights     {result.weights}",
        f"  time        {minutes} min {seconds} s",
        f"  submission  {folder / result.submission.file}",
        f"  page        {folder / 'report.html'}",
    ]
    return "\n".join(lines)
