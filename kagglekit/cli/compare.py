"""`kk compare`: two runs side by side."""

from __future__ import annotations

from typing import Any

import click

from kagglekit.cli.common import json_option, print_json, table


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="A B")
@json_option
def compare_command(runs, as_json):
    """Compare two finished runs: recipe, data, code, and the score on the pictures that both held out.

    The interval is over pictures: another seed of either run may differ by more (`kk ablate` measures that).
    """
    from kagglekit.compare import compare, runs_of

    found = compare(*runs_of(runs))
    if as_json:
        print_json(found)
    else:
        click.echo(summary(found))


def summary(found: dict[str, Any]) -> str:
    """What a person wants to know of two runs."""
    from kagglekit.report.run_page import duration_text, score_text, setting_text

    a, b = found["runs"]
    rows = [[part, *(score_text(value) for value in both)] for part, both in found["scores"].items() if any(both)]
    rows.append(["time", *(duration_text(seconds) for seconds in found["seconds"])])
    rows += [[key, *(setting_text(value) for value in both)] for key, both in found["recipe"].items()]
    lines = [table([f"{found['competition']}: {found['metric']}", a, b], rows)]
    lines += ["the recipes are equal"] if not found["recipe"] else []
    lines += [f"made of other {what}" for what in ("data", "code") if not found[f"same_{what}"]]
    gap = found["difference"]
    if gap is None:
        lines.append("no two pictures were held out by both")
        return "\n".join(lines)
    better = gap["value"] > 0 if found["greater_is_better"] else gap["value"] < 0
    sure = gap["low"] > 0 or gap["high"] < 0
    verdict = f"{b if better else a} is better" if sure else "within noise"
    lines.append(
        f"{b} minus {a}: {score_text(gap['value'], True)} (95% {score_text(gap['low'], True)} .. "
        f"{score_text(gap['high'], True)}) on {found['common']} pictures: {verdict}"
    )
    if found["most"]:
        lines.append("they differ most on")
        lines += [f"  {one['picture']}  {' '.join(score_text(s) for s in one['scores'])}" for one in found["most"]]
    return "\n".join(lines)
