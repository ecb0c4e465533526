"""`kk compare`: two runs side by side, or a run and a published solution."""

from __future__ import annotations

from typing import Any

import click

from kagglekit.cli.common import json_option, print_json, registry, table


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="A B")
@json_option
def compare_command(runs, as_json):
    """Compare two finished runs: recipe, data, code, and the scores on the images that both held out and on the test
    images, where their truth is known.

    The interval is over images: another seed of either run may differ by more (`kk ablate` measures that). A page
    shows the test images on which their masks disagree most. One of the two may be a published solution, ID/NAME as
    `kk solutions ID` lists them; its score is the host's, on images whose truth is not public.
    """
    from kagglekit import progress
    from kagglekit.errors import RunError
    from kagglekit.publish.compare import beside, compare, on_test, submissions_of, targets, write_page

    plugins = registry()
    paths, solution = targets(plugins, runs)
    with progress.console(progress.Console()):
        found = beside(plugins, paths[0], *solution) if solution else compare(*paths)
        if not as_json:  # before the page, which may take its time or fail
            click.echo(summary_beside(found) if solution else summary(found))
        if not solution:
            opened = submissions_of(plugins, *paths, found)
            try:
                found |= {"on_test": on_test(plugins, found, opened), "no_test": ""}
                said = difference_text(found["on_test"], found["runs"], "test images")
            except RunError as error:
                found |= {"on_test": None, "no_test": str(error)}
                said = found["no_test"]
            if not as_json and said:
                click.echo(said)
            try:
                found |= {"page": str(write_page(plugins, found, opened)), "no_page": ""}
            except RunError as error:
                found |= {"page": None, "no_page": str(error)}
            if not as_json:
                click.echo(f"page  {found['page']}" if found["page"] else found["no_page"])
    if as_json:
        print_json(found)


def summary_beside(found: dict[str, Any]) -> str:
    """A run and a published solution, each score with what it was measured on."""
    from kagglekit.publish.solutions import data_words
    from kagglekit.report.run_page import score_text, setting_text

    ours, rows = found["measured"], []
    for part in ("test", "validation"):
        if score := ours[part]:
            interval = f"95% {score['low']:.4f} .. {score['high']:.4f}"
            rows.append([found["run"], score_text(score["value"]), interval, data_words(ours, part)])
    theirs = [
        [found["solution"], f"{value:.10g}", "", f"the host's test images ({part}), truth not public"]
        for part, value in found["published"].items()
    ] or [[found["solution"], "–", "", "no score in its sources"]]
    lines = [table([f"{found['competition']}: {found['metric']}", "score", "", "measured on"], rows + theirs)]
    lines += ["not the same test set: the scores say nothing of which is better",
              f"{found['by']}: {found['url']}; scored by {found['published_metric']}"]  # fmt: skip
    lines += [found["note"]] if found["note"] else []
    if found["recipe"] is None:
        lines.append("no recipe here stands for it, so that recipes cannot be compared")
        return "\n".join(lines)
    if found["recipe"]:
        both = [[key, *(setting_text(value) for value in pair)] for key, pair in found["recipe"].items()]
        lines += ["", table(["setting", found["run"], f"recipe {found['preset']}"], both)]
    else:
        lines.append(f"the run has the recipe {found['preset']}, which stands for it")
    lines += [f"the recipe {found['preset']} itself is not the published solution:"] if found["differs"] else []
    return "\n".join([*lines, *(f"  - {text}" for text in found["differs"])])


def difference_text(found: dict[str, Any], runs: list[str], what: str) -> str:
    """B minus A in one line, "" where there is nothing to compare."""
    from kagglekit.report.run_page import score_text

    if (gap := found["difference"]) is None:
        return ""
    interval = f"95% {score_text(gap['low'], True)} .. {score_text(gap['high'], True)}"
    value = score_text(gap["value"], True)
    return f"{runs[1]} minus {runs[0]}: {value} ({interval}) on {found['common']} {what}: {found['verdict']}"


def summary(found: dict[str, Any]) -> str:
    """What a person wants to know of two runs."""
    from kagglekit.report.run_page import duration_text, score_text, setting_text

    a, b = found["runs"]
    rows = [[part, *(score_text(value) for value in both)] for part, both in found["scores"].items()
            if any(value is not None for value in both)]  # fmt: skip
    rows.append(["time", *(duration_text(seconds) for seconds in found["seconds"])])
    rows += [[key, *(setting_text(value) for value in both)] for key, both in found["recipe"].items()]
    lines = [table([f"{found['competition']}: {found['metric']}", a, b], rows)]
    lines += ["the recipes are equal"] if not found["recipe"] else []
    lines += [f"made of other {what}" for what in ("data", "code") if not found[f"same_{what}"]]
    gap = found["difference"]
    if gap is None:
        lines.append("no two images were held out by both")
        return "\n".join(lines)
    lines.append(difference_text(found, found["runs"], "images that both held out"))
    if found["most"]:
        lines.append("they differ most on")
        lines += [f"  {one['picture']}  {' '.join(score_text(s) for s in one['scores'])}" for one in found["most"]]
    return "\n".join(lines)
