"""`kk doctor`: is everything here that a run needs?"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from kagglekit.cli.common import json_option, print_json
from kagglekit.plugin.registry import discover


@click.command("doctor")
@json_option
def doctor_command(as_json):
    """Show versions, devices, memory, free disk, encoder weights at hand, and plugins that do not load."""
    import psutil

    from kagglekit.runs.folder import cache, home
    from kagglekit.runs.identity import hardware, versions
    from kagglekit.train.weights import at_hand

    found = discover()
    machine = hardware()
    report = {
        "versions": versions(),
        "hardware": machine,
        "memory_free_gib": round(psutil.virtual_memory().available / 2**30, 1),
        "disk_free_gib": {name: _free(path) for name, path in (("runs", home()), ("cache", cache()))},
        "weights": at_hand(),
        "plugins": {name: plugin.source for name, plugin in found.plugins.items()},
        "broken": {name: str(broken) for name, broken in found.broken.items()},
    }
    if as_json:
        print_json(report)
        return
    for package, version in report["versions"].items():
        click.echo(f"{package:<30}{version}")
    click.echo(
        f"\n{machine['cpu']}, {machine['cores']} cores, {report['memory_free_gib']} of {machine['memory_gib']} "
        "GiB memory free"
    )
    click.echo(
        f"device    {machine['device']}"
        + "".join(f"\n  {gpu}" for gpu in machine.get("gpus", []))
        + ("" if machine["device"] != "cpu" else " (no GPU: the demo presets are made for this, full ones take days)")
    )
    for name, free in report["disk_free_gib"].items():
        click.echo(f"{name:<10}{free} GiB free")
    click.echo("\nencoder weights at hand without a network")
    for line in report["weights"]:
        click.echo(f"  {line}")
    click.echo("\nplugins")
    for name, source in report["plugins"].items():
        click.echo(f"  {name:<16}{source}")
    for text in report["broken"].values():
        click.echo(f"  BROKEN {text}")


def _free(path: Path) -> float:
    while not path.exists():
        path = path.absolute().parent
    return round(shutil.disk_usage(path).free / 2**30, 1)
