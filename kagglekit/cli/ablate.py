"""`kk ablate`: what each technique of a recipe is worth, with intervals and costs."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.common import compose_recipe, json_option, print_json, recipe_options, registry, table
from kagglekit.errors import RunError, UsageError

if TYPE_CHECKING:
    from kagglekit.runs.search_record import AblationResult, EffectRecord, PairRecord
    from kagglekit.search.ablate import Ablation


@click.command("ablate")
@click.argument("target", metavar="ID|RECIPE")
@click.option("--data", type=click.Path(path_type=Path), help="The competition's data folder; without it, sample data.")
@click.option(
    "--technique",
    "wanted",
    multiple=True,
    metavar="NAME[=A+B]",
    help="Measure these alone; NAME=A+B switches A and B together. Repeatable. Default: each of the recipe's.",
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of each variant.")
@click.option("--pairs", is_flag=True, help="Leave out pairs as well: do two techniques do the same work?")
@click.option("--no-alone", is_flag=True, help="Only leave techniques out, do not add each alone to nothing.")
@click.option("--budget", metavar="TIME", help="E.g. 2h or 30min: fewer seeds, so that all ends in time.")
@click.option("--gpus-per-trial", type=click.FloatRange(0, min_open=True), help="E.g. 0.5: two trainings share a GPU.")
@click.option("--address", default="", metavar="HOST:PORT", help="A Ray cluster; without it this machine.")
@click.option("--local", is_flag=True, help="In this process, without Ray.")
@click.option("--name", default="", help="Of the ablation; without it, made of what is measured.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be done and what it takes, and stop.")
@recipe_options
@json_option
def ablate_command(target, data, as_json, **options):
    """Measure what each technique of competition ID's recipe (or of a RECIPE file) is worth.

    The recipe with all of them, without each, with none and with each alone, on the same folds and seeds. Techniques
    that act after training are judged on kept probabilities and cost no training. The same command goes on with an
    interrupted ablation; more --seeds add to what is known.
    """
    from kagglekit import progress
    from kagglekit.runs.record import plain

    found = registry()
    with progress.console(progress.Console()):
        ablation = prepare(found, target, data, options)
        costs, result = run(ablation, options)
    if result is None:
        if as_json:
            print_json({"plan": costs})
        return
    if as_json:
        print_json({**plain(result), "folder": str(ablation.folder)})
    else:
        click.echo(summary(ablation.folder, result))
    if not result.effects:
        first = f"{result.failed[0].variant}: {result.failed[0].error}" if result.failed else "?: nothing ended"
        raise RunError(f"no seed has all variants; the first that failed: {first}")


def prepare(found, target: str, data: Path | None, options: dict[str, Any]):
    """The ablation that was typed; everything that can be wrong with it is an error here."""
    from kagglekit.cli.tune import seconds_of, usual_preset
    from kagglekit.pipeline.sample_data import sample_folder
    from kagglekit.plugin.solution import resolve
    from kagglekit.search.ablate import ablation_of
    from kagglekit.search.ablation_plan import AblationPlan, axes_of

    if options["budget"]:
        seconds_of(options["budget"])
    if options["local"] and (options["address"] or options["gpus_per_trial"]):
        raise UsageError("--local trains in this process; leave out --address and --gpus-per-trial, or --local")
    if options["name"] and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", options["name"]):
        raise UsageError(f"--name {options['name']}: use letters, digits, dots and dashes")
    fidelity = options["fidelity"]
    if fidelity is None and Path(target).suffix not in (".toml", ".json"):
        fidelity = usual_preset(found.competition(target)[1], data)
    changes = options["with_"], options["without"], options["overrides"], options["seed"]
    recipe, _, _ = compose_recipe(found, target, fidelity, *changes)
    if not isinstance(recipe.fold, int):
        raise UsageError(f"fold={recipe.fold}: an ablation validates on one fold; use -o fold=0")
    solution = resolve(recipe, found)
    plan = AblationPlan(
        name=options["name"],
        recipe=solution.recipe,
        axes=axes_of(solution, options["wanted"]),
        seeds=options["seeds"],
        pairs=options["pairs"],
        alone=not options["no_alone"],
        greater_is_better=solution.competition.metric.greater_is_better,
    )
    data = data or sample_folder(solution, solution.competition.sample_count, 0)
    return ablation_of(plan, solution, data, "kk " + shlex.join(sys.argv[1:]), named=bool(options["wanted"]))


def run(ablation: Ablation, options: dict[str, Any]) -> tuple[dict[str, Any], AblationResult | None]:
    """Show the plan, then do it, unless only the plan was asked for; returns what it takes, and the result."""
    from kagglekit.cli.tune import executor, seconds_of
    from kagglekit.search.ablate import ablate
    from kagglekit.search.estimate import ablation_costs, fit_seeds, probe, with_cleaning

    plan, solution, dataset = ablation.plan, ablation.solution, ablation.dataset
    with executor(plan, len(plan.jobs()) * plan.seeds, options) as (slots, execute):
        probed = probe(solution, dataset, plan.rungs)
        probed = with_cleaning(probed, solution, dataset, ablation.data_fingerprint, plan.rungs[0].image_size)
        if options["budget"]:
            seeds = fit_seeds(plan, solution, dataset, slots, probed, seconds_of(options["budget"]))
            plan = replace(plan, seeds=seeds)
        costs = ablation_costs(plan, solution, dataset, slots, probed)
        click.echo(plan_text(plan, costs), err=True)
        if options["plan_only"]:
            return costs, None
        return costs, ablate(replace(ablation, plan=plan), execute)


def plan_text(plan, costs: dict[str, Any]) -> str:
    """What would be done and what it takes, before it begins."""
    from kagglekit.cli.tune import cleaning_text
    from kagglekit.report.run_page import duration_text, size_text

    names = plan.variants()
    rows = [
        [names[job[0]], plan.seeds, duration_text(each), ", ".join(names[on] for on in job[1:])]
        for job, each in zip(plan.jobs(), costs["jobs"], strict=True)
    ]
    return "\n".join(
        [
            f"{len(names)} variants at {plan.rungs[0]}, {costs['trainings']} trainings",
            table(["trained", "seeds", "each about", "judged on the same network"], rows),
            *cleaning_text(costs),
            f"about {duration_text(costs['seconds'])} with {costs['slots']} at once, "
            f"disk about {size_text(costs['disk'])}",
        ]
    )


def summary(folder: Path, result: AblationResult) -> str:
    """What a person wants to know at the end of an ablation."""
    from kagglekit.metrics import FEW
    from kagglekit.report.run_page import duration_text

    def effect(one: EffectRecord | PairRecord | None) -> list[str]:
        if not one:
            return ["", ""]
        return [f"{one.value:+.4f} ({one.low:+.4f} .. {one.high:+.4f})", one.verdict]

    rows = [
        [e.axis, *effect(e.left_out), *effect(e.alone),
         "" if e.after else f"{e.cost.train:+.1f} s", f"{1000 * e.cost.image:+.1f} ms"]
        for e in result.effects
    ]  # fmt: skip
    cost, seeds = result.cost, result.seeds
    lines = [
        f"{result.title}: {result.metric}, {seeds} seed(s), {result.images} images each",
        table(["technique", "with all others", "", "alone", "", "training", "an image"], rows),
    ]
    for pair in result.interactions:
        lines.append(f"  {' and '.join(pair.axes)} together: {' '.join(effect(pair))}")
    for name in ("everything", "nothing"):
        if found := [v for v in result.variants if v.name == name]:
            lines.append(f"  {name:<11} {found[0].score:.4f}")
    if seeds == 1:
        lines.append("  note        one seed: what another seed would change is not in these intervals; use --seeds 3")
    if result.effects and result.images < FEW:
        lines.append(f"  note        {result.images} images: intervals that draw so few anew are too narrow")
    if result.failed:
        first = result.failed[0]
        lines.append(f"  failed      {len(result.failed)} training(s), the first: {first.variant}: {first.error}")
    share = f", {100 * cost.after_share:.0f}% of it for judging variants" if cost.after_share else ""
    lines += [
        f"  cost        {duration_text(cost.seconds)} of devices{share}",
        f"  page        {folder / 'report.html'}",
    ]
    return "\n".join(lines)
