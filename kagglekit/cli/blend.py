"""`kk blend`: several finished runs as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.common import json_option, print_json, registry, table
from kagglekit.errors import UsageError

if TYPE_CHECKING:
    from kagglekit.runs.record import BlendRecord


@click.command("blend")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--data", type=click.Path(path_type=Path), help="The data folder, where it moved since the runs.")
@click.option(
    "--weights",
    default="fit",
    show_default=True,
    metavar="fit|equal|W,W,...",
    help="Chosen on images that all runs held out, equal, or your own.",
)
@click.option("--vote", is_flag=True, help="Runs vote for the class of each pixel; ties go to the run named first.")
@json_option
def blend_command(runs, data, weights, vote, as_json):
    """Average the probabilities of finished RUNs of one competition and write the submission.

    Recipes, sizes and folds may differ. Weights are chosen on the images that all of them held out, and kept only if
    images that were left out of the choice agree.
    """
    from kagglekit import progress
    from kagglekit.pipeline.blend import blend
    from kagglekit.runs.record import plain

    with progress.console(progress.Console()):
        result = blend(registry(), runs, data, parse_weights(weights), vote)
    if as_json:
        print_json(plain(result))
    else:
        click.echo(summary(result))


def parse_weights(text: str) -> str | list[float]:
    """ "fit", "equal" or numbers; raises UsageError."""
    if text in ("fit", "equal"):
        return text
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--weights {text}: expected fit, equal, or a number for each run like 0.6,0.4") from None


def summary(result: BlendRecord) -> str:
    """What a person wants to know of a blend."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    rows = [[r.run, f"{r.weight:.3f}", number(r.validation), number(r.test)] for r in result.runs]
    both = [number(score.value if score else None) for score in (result.validation, result.test)]
    rows.append([f"the {result.how}", "", *both])
    return "\n".join(
        [
            f"{result.title}: {result.metric}",
            table(["run", "weight", "validation", "test"], rows),
            f"  submission  {result.submission}",
        ]
    )
