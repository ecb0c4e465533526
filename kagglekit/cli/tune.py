"""`kk tune`: search cheaply, promote the best, hand over a recipe that `kk run` takes."""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.common import compose_recipe, json_option, print_json, recipe_options, registry, table
from kagglekit.errors import RunError, UsageError

if TYPE_CHECKING:
    from kagglekit.runs.search_record import SearchResult
    from kagglekit.search.tune import Search

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@click.command("tune")
@click.argument("target", metavar="[ID|RECIPE]", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="The competition's data folder; without it, sample data.")
@click.option(
    "--trials", type=click.IntRange(1), default=16, show_default=True, help="Settings to try on the lowest rung."
)
@click.option(
    "--promote", type=click.IntRange(1), default=1, show_default=True, help="Trials that reach the last rung by merit."
)
@click.option(
    "--controls",
    type=click.IntRange(0),
    help="Trials that climb at random, which shows whether cheap rungs tell the truth. Default: 1, but none to the "
    "last of three rungs or more.",
)
@click.option(
    "--rungs",
    metavar="SIZE:PART%:EPOCHS,...",
    help="From cheap to full, e.g. 256:26%:4,512:100%:14. Default: from the competition's trial preset.",
)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Seeds on the last rung.")
@click.option("--budget", metavar="TIME", help="E.g. 8h or 30min: try fewer settings so that all ends in time.")
@click.option("--space", type=click.Path(path_type=Path), help="A TOML file that narrows or widens what is searched.")
@click.option("--no-prior", is_flag=True, help="Do not begin with the recipe itself, nor look near it.")
@click.option("--warm", is_flag=True, help="Begin each rung with the weights of the one below.")
@click.option("--prune", is_flag=True, help="Stop trials of the lowest rung that fall behind the median.")
@click.option("--eager", is_flag=True, help="Promote before a rung is complete: keeps many workers busy.")
@click.option("--gpus-per-trial", type=click.FloatRange(0, min_open=True), help="E.g. 0.5: two trials share a GPU.")
@click.option("--address", default="", metavar="HOST:PORT", help="A Ray cluster; without it this machine.")
@click.option(
    "--storage",
    metavar="FOLDER|URL",
    default="",
    help="Keep a copy of the search there (any fsspec URL); another machine can go on from it.",
)
@click.option("--local", is_flag=True, help="In this process, without Ray.")
@click.option("--name", default="", help="Of the search; without it, made of what is searched.")
@click.option("--resume", is_flag=True, help="Go on although space, trials or promotions differ.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be done and what it takes, and stop.")
@recipe_options
@json_option
def tune_command(target, data, as_json, **options):
    """Search the settings of competition ID (or of a RECIPE file) on a ladder of rungs, cheap ones first.

    The best of each rung climb to the next; the recipe itself is the first trial, so that the winner is never worse
    than it on validation. Ends with a recipe that `kk run` takes and a page. The same command goes on with an
    interrupted search.
    """
    from kagglekit import progress
    from kagglekit.runs.record import plain

    found = registry()
    with progress.console(progress.Console()):
        target = target or ask_competition(found, data)
        search = prepare(found, target, data, options)
        costs, result = run(search, options)
    if result is None:
        if as_json:
            print_json({"plan": costs})
        return
    if as_json:
        print_json({**plain(result), "folder": str(search.folder)})
    else:
        click.echo(summary(search.folder, result))
    if result.winner is None:
        raise RunError("no trial reached the last rung; the page says what became of each")


def ask_competition(found, data: Path | None) -> str:
    """The only competition there is, or the one a person chooses; UsageError where nobody can be asked."""
    ids = sorted(found.competitions)
    if len(ids) == 1:
        return ids[0]
    click.echo(table(["competition", "title"], [[id, found.competition(id)[1].title] for id in ids]), err=True)
    if not sys.stdin.isatty():
        raise UsageError("which competition? Name one: kk tune ID")
    return click.prompt("Which one", type=click.Choice(ids), err=True)


def prepare(found, target: str, data: Path | None, options: dict[str, Any]):
    """The search that was typed; everything that can be wrong with it is an error here."""
    from kagglekit.pipeline.sample_data import sample_folder
    from kagglekit.plugin.solution import resolve
    from kagglekit.search.ladder import Plan
    from kagglekit.search.rungs import parse_rungs
    from kagglekit.search.space import check_space, default_space, read_space
    from kagglekit.search.tune import search_of

    if options["budget"]:
        seconds_of(options["budget"])
    if options["local"] and (options["address"] or options["gpus_per_trial"]):
        raise UsageError("--local trains in this process; leave out --address and --gpus-per-trial, or --local")
    is_file = Path(target).suffix in (".toml", ".json")
    fidelity = options["fidelity"]
    if fidelity is None and not is_file:
        fidelity = usual_preset(found.competition(target)[1], data)
    changes = options["with_"], options["without"], options["overrides"], options["seed"]
    recipe, _, _ = compose_recipe(found, target, fidelity, *changes)
    if not isinstance(recipe.fold, int):
        raise UsageError(f"fold={recipe.fold}: a search validates on one fold; use -o fold=0, more for the winner")
    solution = resolve(recipe, found)
    space = default_space(solution)
    if options["space"]:
        space = read_space(options["space"], space)
    for text in options["overrides"]:  # what the user sets is set
        space.pop(text.partition("=")[0].strip(), None)
    check_space(space, solution.recipe, found)
    if options["rungs"] and (named := [t for t in options["overrides"] if t.lstrip().startswith("fidelity.")]):
        raise UsageError(f"-o {named[0]} and --rungs both say how much a trial costs; give one of them")
    plan = Plan(
        name=options["name"],
        recipe=solution.recipe,
        space=space,
        rungs=parse_rungs(options["rungs"]) if options["rungs"] else (),
        trials=options["trials"],
        promote=options["promote"],
        controls=options["controls"],
        seed=solution.recipe.seed,
        repeats=options["seeds"],
        prior=not options["no_prior"],
        warm=options["warm"],
        prune=options["prune"],
        eager=options["eager"],
        greater_is_better=solution.competition.metric.greater_is_better,
    )
    _ = plan.climbers  # raises for more promotions than trials
    if options["name"] and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", options["name"]):
        raise UsageError(f"--name {options['name']}: use letters, digits, dots and dashes")
    data = data or sample_folder(solution, solution.competition.sample_count, 0)
    command = "kk " + shlex.join(sys.argv[1:])
    return search_of(plan, solution, data, command=command, resume=options["resume"], storage=options["storage"])


def usual_preset(competition, data: Path | None) -> str | None:
    """The preset to search around: the demo on sample data and, with a word on it, where there is no GPU."""
    from kagglekit import progress
    from kagglekit.train.network import pick_device

    if "demo" not in competition.presets:
        return None
    if data is not None and pick_device() != "cpu":
        return None
    if data is not None:
        progress.say("no GPU here: searching around the demo's recipe (--fidelity full for the full solution)")
    return "demo"


def run(search: Search, options: dict[str, Any]) -> tuple[dict[str, Any], SearchResult | None]:
    """Show the plan, then do it, unless only the plan was asked for or the result is there.

    Returns what it takes, and the result.
    """
    from kagglekit import progress
    from kagglekit.search.estimate import estimate, fit_budget, probe, with_cleaning
    from kagglekit.search.ladder import wave_of
    from kagglekit.search.storage import Storage
    from kagglekit.search.tune import known, tune

    if not options["plan_only"] and (result := known(search)):
        progress.say(f"search {search.plan.name} was done before; this is its result")
        return {}, result
    if search.storage:
        Storage(search.storage, search.folder).check()
    with executor(search.plan, wave_of(search.plan), options) as (slots, execute):
        plan, solution, dataset = search.plan, search.solution, search.dataset
        if slots > wave_of(plan):  # else most of the workers would wait for the slowest of a few trials
            plan = replace(plan, eager=True)
        probed, limit = probe(solution, dataset, plan.rungs), None
        probed = with_cleaning(probed, solution, dataset, search.data_fingerprint, plan.rungs[-1].image_size)
        if options["budget"]:
            budget = seconds_of(options["budget"])
            plan = replace(plan, trials=fit_budget(plan, solution, dataset, slots, probed, budget))
            limit = budget * slots
        costs = estimate(plan, solution, dataset, slots, probed)
        click.echo(plan_text(plan, costs), err=True)
        if options["plan_only"]:
            return costs, None
        return costs, tune(replace(search, plan=plan, limit=limit), execute)


@contextmanager
def executor(plan, wave: int, options: dict[str, Any]):
    """Inside the block: (how many trials run at once, what runs a ladder or a study). On Ray, unless --local.

    At most `wave` trials can run at once.
    """
    from kagglekit.cli.tune_table import Table

    watcher = Table(plan)
    if options["local"]:
        from kagglekit.search.local import climb, objective_at

        def in_process(ladder, context):
            with watcher.shown(ladder):
                climb(ladder, objective_at(context), watcher)

        yield 1, in_process
        return
    from kagglekit import progress
    from kagglekit.pipeline.cluster import connected, nodes
    from kagglekit.search import on_ray

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the probe should see what a trial will get
    progress.say(f"joining Ray at {options['address']}" if options["address"] else "starting Ray on this machine")
    with connected(options["address"]):
        part, slots = on_ray.share(nodes(), wave, options["gpus_per_trial"])

        def on_workers(ladder, context):
            with watcher.shown(ladder):
                on_ray.climb(ladder, context, part, slots, watcher)

        yield slots, on_workers


def seconds_of(text: str) -> float:
    """`8h`, `30min`, `90s` as seconds; raises UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)\s*", text)
    if not found or not float(found[1]):
        raise UsageError(f"--budget {text}: expected a time such as 8h, 30min or 90s")
    return float(found[1]) * UNITS[found[2]]


def plan_text(plan, costs: dict[str, Any]) -> str:
    """What would be done and what it takes, before it begins."""
    from kagglekit.report.run_page import duration_text, size_text

    rows = [[i + 1, r["text"], r["trials"], duration_text(r["seconds"])] for i, r in enumerate(costs["rungs"])]
    part = 100 * costs["device_seconds"] / max(costs["full_seconds"], 1e-9)
    lines = [
        f"search of {len(plan.space)} settings: {', '.join(sorted(plan.space))}",
        *(
            [f"chosen after training, on the last rung: {', '.join(sorted(plan.default_settings))}"]
            if plan.default_settings
            else []
        ),
        table(["rung", "size:images:epochs", "trials", "each about"], rows),
        *cleaning_text(costs),
        f"about {duration_text(costs['seconds'])} with {costs['slots']} at once, {part:.0f}% of what all "
        f"{plan.trials} take at the last rung ({duration_text(costs['full_seconds'])} of devices)",
        f"memory about {size_text(costs['memory'])}, disk about {size_text(costs['disk'])}",
    ]
    return "\n".join(lines)


def cleaning_text(costs: dict[str, Any]) -> list[str]:
    """What is said of networks that clean, if any do."""
    from kagglekit.report.run_page import duration_text

    if not costs["cleaning"]:
        return []
    return [f"cleaning trains networks once, about {duration_text(costs['cleaning'])}"]


def summary(folder: Path, result: SearchResult) -> str:
    """What a person wants to know at the end of a search."""
    from kagglekit.report.run_page import duration_text

    winner, cost = result.winner, result.cost
    if winner is None:
        return f"{result.title}: no trial reached the last rung; see {folder / 'report.html'}"
    changes = [f"    {key}: {old} -> {new}" for key, (old, new) in winner.changes.items()]
    lines = [f"{result.title}: {result.metric} {winner.score:.4f}, trial {winner.number} ({winner.origin})"]
    lines += changes or ["    the recipe itself: nothing tried was better"]
    second = result.runner_up
    if second and second.lead:
        lead = second.lead
        verdict = "a tie: within the noise" if second.tie else "a real lead"
        lines.append(f"  ahead of trial {second.number} by {lead.value:+.4f} "
                     f"(95% {lead.low:+.4f} .. {lead.high:+.4f}): {verdict}")  # fmt: skip
    lines += [f"  warning     {text}" for text in result.warnings]
    share = f", {100 * cost.share:.0f}% of what all at the last rung would take" if cost.share else ""
    recipe = shlex.quote(winner.recipe or "")
    lines += [
        f"  cost        {duration_text(cost.seconds)} of devices{share}",
        f"  next        kk run {recipe} --data {shlex.quote(result.data)}",
        f"  page        {folder / 'report.html'}",
    ]
    return "\n".join(lines)
