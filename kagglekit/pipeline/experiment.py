"""One experiment, computed once: found if it is known, waited for if it is being computed, else run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from kagglekit import progress
from kagglekit.data.fingerprint import hash_tree, root_of
from kagglekit.errors import KagglekitError
from kagglekit.files import remove_unfinished, write_text
from kagglekit.pipeline import line
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import take_over
from kagglekit.plugin.registry import blaming
from kagglekit.protocols import Dataset
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import code_version, identity, manifest_of, source_hashes, training_identity
from kagglekit.runs.ledger import Ledger
from kagglekit.runs.record import (
    KNOWN,
    WHOLE_VALIDATED,
    Result,
    Validated,
    amend,
    read_manifest,
    read_result,
    read_validated,
    write_manifest,
)
from kagglekit.runs.record_parts import Score

Record = TypeVar("Record", Result, Validated)
Known = Callable[[Dataset, Path], Record | None]
Compute = Callable[[Dataset, str, Path, float], Record]


def run(request: Request) -> tuple[Path, Result, bool]:
    """Run the experiment, or return the result it already has; returns (run folder, result, was it new).

    The same experiment is never computed twice at once: a second call waits. Raises KagglekitError.
    """

    def known(dataset: Dataset, folder: Path) -> Result | None:
        return known_result(request, dataset, folder) if folders.is_done(folder) else None

    def compute(dataset: Dataset, data_fingerprint: str, folder: Path, started: float) -> Result:
        return line.finish(request, line.validate(request, dataset, data_fingerprint, folder, started), folder)

    return _once(request, known, compute)


def validate(request: Request) -> tuple[Path, Validated, bool]:
    """The same up to the score on validation, as trials of a search do; the test part is left for a later `run`."""

    def known(dataset: Dataset, folder: Path) -> Validated | None:
        return read_validated(folder, WHOLE_VALIDATED) if (folder / folders.VALIDATED).exists() else None

    def compute(dataset: Dataset, data_fingerprint: str, folder: Path, started: float) -> Validated:
        return line.validate(request, dataset, data_fingerprint, folder, started, test=False).record

    return _once(request, known, compute)


def _once(request: Request, known: Known[Record], compute: Compute[Record]) -> tuple[Path, Record, bool]:
    """What is known of the experiment, or what is computed now, by one process at a time."""
    solution = request.solution
    started = time.perf_counter()
    dataset = solution.dataset(request.data)
    solution.check(dataset)
    tree = hash_tree(request.data, dataset.files, folders.cache(), progress.track)
    data_fingerprint = root_of(tree)
    code = code_version(solution)
    base = folders.home() / solution.competition.id / identity(solution, data_fingerprint, code)
    with folders.held(base, progress.say):
        folder = choose_folder(base, request)
        request.begun(folder.name)
        ledger = Ledger(folders.home())
        if (record := known(dataset, folder)) is not None:
            # A run killed right after its result was written is not in it yet.
            ledger.record(folder, needed=False)
            return folder, record, False
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        if not (folder / folders.MANIFEST).exists():
            write_text(folder / folders.RECIPE, solution.recipe.to_toml())
            folders.write_hashes(folder / folders.DATA, tree)
            folders.write_hashes(folder / folders.CODE, source_hashes(solution))
            manifest = msgspec.structs.replace(
                manifest_of(solution, data_fingerprint, code, **request.recorded()),
                training=training_identity(solution, data_fingerprint),
            )
            if not request.again and (donor := take_over(folder, manifest.training)):
                progress.say(f"reusing the checkpoints of run {donor}, which trained the same network")
            write_manifest(folder, manifest)
        ledger.record(folder)
        try:
            with progress.logged(folder / "log.txt"), blaming(solution.plugins):
                record = compute(dataset, data_fingerprint, folder, started)
        except KagglekitError:
            forget_refused(folder)
            raise
        ledger.record(folder)
        return folder, record, True


def forget_refused(folder: Path) -> None:
    """Remove the folder of a run that was refused before it trained anything: there is nothing to go on with.

    It would be listed as interrupted for ever, and what refused it was told.
    """
    if not any(folder.rglob("*.safetensors")):
        shutil.rmtree(folder, ignore_errors=True)


def known_result(request: Request, dataset: Dataset, folder: Path) -> Result:
    """The result of a finished run; its submission is scored now if the truth of the test part came since."""
    from kagglekit.predict.submission import score_file

    result = read_result(folder, KNOWN, "--again runs it anew")
    if dataset.answers and (result.test.count if result.test else 0) != len(dataset.answers):
        test = score_file(folder / result.submission.file, dataset, request.solution.competition.metric)
        result = msgspec.structs.replace(result, test=Score.of(test) if test else None)
        try:
            amend(folder / folders.RESULT, test=result.test)
        except OSError as error:
            if not folders.is_read_only(error):
                raise
        progress.say("the submission of this run is scored against a truth that was not there before")
    if "could not be fetched" in result.weights:
        progress.say(f"note: this run began with {result.weights}; --again tries once more")
    return result


def choose_folder(base: Path, request: Request) -> Path:
    """The folder to use: the finished or interrupted one of this experiment, or a new one."""
    existing = folders.repeats(base)
    finished = [f for f in existing if folders.is_done(f)]
    unfinished = [f for f in existing if not folders.is_done(f)]
    if finished and not (request.again or request.resume):
        return finished[-1]
    if unfinished:
        trial = (unfinished[-1] / folders.VALIDATED).exists()
        before = "was a trial of a search" if trial else "of this experiment was interrupted"
        progress.say(f"run {unfinished[-1].name} {before}; going on with it")
        return unfinished[-1]
    if finished and not request.again:
        return finished[-1]
    if not existing:
        say_what_is_near(base, request)
    return folders.next_repeat(base)


def say_what_is_near(base: Path, request: Request) -> None:
    """Say when an interrupted run differs from this experiment in its code alone; its bits would be mixed."""
    recipe = request.solution.recipe.identity()
    for other in base.parent.glob(f"*/{folders.MANIFEST}"):
        try:
            manifest = read_manifest(other.parent)
        except KagglekitError:
            continue  # somebody else's damage must not stop this run
        if manifest.recipe_identity == recipe and not folders.is_done(other.parent):
            progress.say(
                f"run {other.parent.name} of this recipe was interrupted, but data or code have changed since; "
                "it is left alone and a new run starts"
            )
            return
    if request.resume:
        progress.say("nothing to resume: this experiment has no interrupted run; starting it")
