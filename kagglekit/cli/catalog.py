"""`kk list`, `kk info`, `kk show`: what there is to run, and with which settings."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import click

from kagglekit.cli.common import compose_recipe, json_option, print_json, recipe_options, registry, table
from kagglekit.errors import KagglekitError


@click.command("list")
@json_option
def list_command(as_json):
    """List competitions and techniques, and which plugin brings each."""
    found = registry()
    competitions = [
        {"id": c.id, "title": c.title, "task": c.task, "metric": c.metric.name, "plugin": p.source}
        for p, c in sorted(found.competitions.values(), key=lambda pair: pair[1].id)
    ]
    techniques = [
        {"name": t.name, "about": (inspect.getdoc(t) or "").split("\n\n")[0].replace("\n", " "), "plugin": p.source}
        for p, t in sorted(found.techniques.values(), key=lambda pair: pair[1].name)
    ]
    if as_json:
        print_json(
            {
                "competitions": competitions,
                "techniques": techniques,
                "broken": [dataclasses.asdict(b) for b in found.broken.values()],
            }
        )
        return
    if not competitions:
        click.echo("No competition is installed. Competitions are plugins: pip install kagglekit-..., see the README")
    else:
        click.echo(
            table(["competition", "title", "task", "metric", "plugin"], [list(c.values()) for c in competitions])
        )
    if techniques:
        click.echo("\n" + table(["technique", "what it does"], [[t["name"], t["about"]] for t in techniques]))


@click.command("info")
@click.argument("id")
@json_option
def info_command(id, as_json):
    """Say what competition ID is: task, metric, data layout, presets, settings, sources."""
    plugin, competition = registry().competition(id)
    defaults = dataclasses.asdict(competition.settings()) if competition.settings else {}
    settings = [{"key": f"settings.{name}", "default": value} for name, value in defaults.items()]
    facts = {
        "id": competition.id,
        "title": competition.title,
        "summary": competition.summary,
        "task": competition.task,
        "classes": list(competition.classes),
        "image_size": list(competition.image_size),
        "metric": competition.metric.name,
        "plugin": plugin.source,
        "presets": {k: dict(v) for k, v in competition.presets.items()},
        "settings": settings,
        "layout": competition.layout,
        "references": list(competition.references),
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"{competition.title} ({competition.id})\n{competition.summary}\n")
    height, width = competition.image_size
    click.echo(
        f"task      {competition.task}: {', '.join(competition.classes)}\nimages    {height}x{width}\n"
        f"metric    {competition.metric.name}\nplugin    {plugin.source}\n"
    )
    click.echo("data layout\n" + "\n".join("  " + line for line in competition.layout.splitlines()) + "\n")
    for name, changes in competition.presets.items():
        click.echo(f"preset {name}: " + ", ".join(f"{k}={v}" for k, v in changes.items()))
    if settings:
        about = inspect.getdoc(competition.settings)
        click.echo("\nsettings: " + ", ".join(f"{s['key']}={s['default']}" for s in settings) + f"\n{about}")
    click.echo("\nsources\n" + "\n".join(f"  {r}" for r in competition.references))


@click.command("show")
@click.argument("target")
@recipe_options
@json_option
def show_command(target, fidelity, overrides, with_, without, seed, as_json):
    """Show the resolved recipe of TARGET (a competition, a recipe file or a run) and where each value came from."""
    from kagglekit.plugin.solution import resolve
    from kagglekit.runs import folder as folders

    found = registry()
    if target not in found.competitions and Path(target).suffix not in (".toml", ".json"):
        try:
            target = str(folders.find(target) / folders.RECIPE)
        except KagglekitError:
            found.competition(target)  # no run either: its suggestion of a competition is the more useful error
            raise
    recipe, origins, _ = compose_recipe(found, target, fidelity, with_, without, overrides, seed)
    recipe = resolve(recipe, found).recipe
    rows = []
    for key, value in recipe.model_dump(mode="json").items():
        if key == "techniques":
            for spec in value:
                inner = ", ".join(f"{k}={v}" for k, v in spec["settings"].items())
                prefix = f"techniques.{spec['name']}"
                source = next(
                    (origins[k] for k in reversed(origins) if k == prefix or k.startswith(prefix + ".")),
                    origins.get("techniques", "default"),
                )
                rows.append([prefix, inner, source])
        elif key in ("fidelity", "settings", "loss"):
            rows += [
                [f"{key}.{k}", v, origins.get(f"{key}.{k}", origins.get(key, "default"))] for k, v in value.items()
            ]
        else:
            rows.append([key, value, origins.get(key, "default")])
    if as_json:
        print_json({"recipe": recipe.model_dump(mode="json"), "from": {row[0]: row[2] for row in rows}})
    else:
        click.echo(table(["setting", "value", "from"], rows))
