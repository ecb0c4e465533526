"""`kk`: each verb parses, calls one function of the engine and prints, or prints JSON.

Verbs are imported when they are used, so that help and listings load nothing heavy. Exit codes: 0 done, 1 the work
failed, 2 asked wrongly, 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import click

from kagglekit import __version__
from kagglekit.errors import KagglekitError, did_you_mean
from kagglekit.plugin.guards import loaded

# verb -> module below kagglekit.cli (the function has the verb's name), and the line that `kk --help` shows
VERBS = {
    "eda": ("eda", "Look at a competition's data before any training."),
    "run": ("run", "Train a solution, predict, score what it would submit, write it up."),
    "tune": ("tune", "Search settings cheaply, promote the best, hand over the winner as a recipe."),
    "ablate": ("ablate", "Measure what each technique of a solution is worth."),
    "clean": ("clean", "Find labels to distrust, show them, write decisions to edit."),
    "blend": ("blend", "Average finished runs, whatever their recipes, and write the submission."),
    "predict": ("predict", "Predict a folder of images with a finished run."),
    "reproduce": ("reproduce", "Run a finished run again: PASS, or FAIL with the first difference."),
    "compare": ("compare", "Two runs, or a run and a published solution: what differs, what that is worth."),
    "writeup": ("writeup", "Write a finished run up: a page to publish, Markdown, a notebook."),
    "bundle": ("bundle", "Pack a run into one file for others: recipe, record, weights."),
    "list": ("catalog", "List competitions and techniques."),
    "info": ("catalog", "Say what a competition is: task, metric, data layout, presets."),
    "show": ("catalog", "Show the resolved recipe of a competition or run, and where each value came from."),
    "data": ("data", "Check a data folder, or make sample data."),
    "submission": ("submission", "Check a submission file before you upload it."),
    "solutions": ("solutions", "List solutions: published scores beside what was measured here."),
    "runs": ("runs", "List the runs in the ledger."),
    "board": ("board", "Write a page over all runs that sorts and filters."),
    "export": ("export", "Write runs as TensorBoard logs or MLflow runs."),
    "plugins": ("plugins", "List plugins, what each brings, what is broken; who answers a hook."),
    "new": ("new", "Write a small working plugin to begin with."),
    "check": ("check", "Check that a plugin keeps every law of the conformance kit."),
    "doctor": ("doctor", "Show versions, devices, memory, weights at hand, broken plugins."),
}
# what writes below the runs or the cache
WORKING = ("eda", "run", "tune", "ablate", "clean", "blend", "predict", "reproduce", "compare", "data", "runs", "board",
           "export", "writeup", "bundle", "solutions")  # fmt: skip


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx):
        """All verbs, in the order people need them."""
        return list(VERBS)

    def get_command(self, ctx, name):
        """Import the module of a verb."""
        if name not in VERBS:
            return None
        return getattr(importlib.import_module(f"kagglekit.cli.{VERBS[name][0]}"), f"{name}_command")

    def resolve_command(self, ctx, args):
        """Say which verb was probably meant."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            ctx.fail(f"no command is named {args[0]}{did_you_mean(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx, formatter):
        """The lines of `kk --help`, without importing a single verb."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kk")
@click.pass_context
def kk(ctx):
    """Run, tune, take apart and write up solutions of image-segmentation competitions.

    Start with `kk list`, then `kk run ID`: without data a competition draws its own.
    """
    if ctx.invoked_subcommand in WORKING:
        from kagglekit.runs.folder import check_places

        check_places()


def main() -> None:
    """The program: every fault becomes one message and an exit code."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # OpenMP threads spin while they wait for each other, which slowed training tenfold beside other busy processes.
    # Spinning less costs nothing measurable on a free machine. Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        loaded()
        with streams(sys.argv[1:]):
            code = kk.main(prog_name="kk", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__, EOFError):  # click takes a file that ends early for Ctrl-D at a prompt
            fail_unexpectedly(error.__cause__)
        more = "; the same command goes on from the last whole epoch" if "run" in sys.argv[1:2] else ""
        fail(f"interrupted{more}", 130)
    except KagglekitError as error:
        fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe left: nothing to say, nobody to say it to
        sys.exit(1)
    except OSError as error:
        fail(f"{disk_words(error)}; check the folder, its rights and the free space", 1)
    except Exception as error:
        fail_unexpectedly(error)


def fail_unexpectedly(error: Exception) -> None:
    """Leave with a message on an error that nobody foresaw."""
    fail(
        f"unexpected {type(error).__name__}: {error}\nThis is a fault of kagglekit or a plugin, not yours. "
        "KAGGLEKIT_TRACE=1 shows the traceback; please report it with the command.",
        1,
    )


@contextmanager
def streams(arguments: list[str]) -> Iterator[None]:
    """Let every name of a file be printed; with --json keep stdout for the document, whoever prints what meanwhile."""
    from kagglekit.cli.common import apart_for_json

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    apart = "--json" in arguments and not {"-h", "--help"} & {*arguments}
    with apart_for_json() if apart else nullcontext():
        yield


def disk_words(error: OSError) -> str:
    """What the disk says, and of which file or folder; where it does not say which, the fullest that we write to."""
    said = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename}: {said}"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return said
    import shutil
    import tempfile
    from pathlib import Path

    from kagglekit.runs.folder import cache, home

    folders = [Path(folder).absolute() for folder in (home(), cache(), tempfile.gettempdir())]
    there = [next(one for one in (folder, *folder.parents) if one.is_dir()) for folder in folders]
    fullest = min(there, key=lambda folder: shutil.disk_usage(folder).free)
    return f"{fullest}: {said}"


def fail(message: str, code: int) -> None:
    """Print the message (and, when tracing, the traceback) and leave."""
    from kagglekit.files import printable

    if os.environ.get("KAGGLEKIT_TRACE") and code != 130:
        import traceback

        traceback.print_exc()
    print(f"kk: {printable(message)}", file=sys.stderr)
    sys.exit(code)
