"""One experiment, computed once: found if it is known, waited for if it is being computed, else run."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.data.fingerprint import hash_tree, root_of
from kagglekit.errors import KagglekitError
from kagglekit.files import remove_unfinished, write_text
from kagglekit.pipeline.line import execute
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import take_over
from kagglekit.pipeline.sample_data import is_drawn
from kagglekit.plugin.registry import blaming
from kagglekit.protocols import Dataset
from kagglekit.runs import folder as folders
from kagglekit.runs import records
from kagglekit.runs.identity import code_version, identity, manifest, source_hashes, training_identity
from kagglekit.runs.kinds import KnownResult, WholeValidated
from kagglekit.runs.ledger import Ledger


def run(request: Request) -> tuple[Path, dict[str, Any], bool]:
    """Run the experiment, or return the result it already has; returns (run folder, result, was it new).

    The same experiment is never computed twice at once: a second call waits. Raises KagglekitError.
    """
    solution = request.solution
    started = time.perf_counter()
    dataset = solution.dataset(request.data)
    solution.check(dataset)
    tree = hash_tree(request.data, dataset.files, folders.cache(), progress.track)
    mark = root_of(tree)
    code = code_version(solution)
    base = folders.home() / solution.competition.id / identity(solution, mark, code)
    with folders.held(base, progress.say):
        folder = choose_folder(base, request)
        request.seen["run"] = folder.name
        ledger = Ledger(folders.home())
        if request.only_validation and (folder / folders.VALIDATED).exists():
            return folder, records.read(folder / folders.VALIDATED, WholeValidated), False
        if folders.is_done(folder):
            result = known_result(request, dataset, folder)
            # A run killed right after its result was written is not in it yet.
            ledger.record(folder, needed=False)
            return folder, result, False
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        if not (folder / folders.MANIFEST).exists():
            write_text(folder / folders.RECIPE, solution.recipe.to_toml())
            folders.write_hashes(folder / folders.DATA, tree)
            folders.write_hashes(folder / folders.CODE, source_hashes(solution))
            record = manifest(solution, mark, code, request.data, request.command)
            asked = {"fidelity": request.fidelity, "workers": request.workers, "drawn": is_drawn(request.data)}
            training = training_identity(solution, mark)
            if not request.again and (known := take_over(folder, training)):
                progress.say(f"reusing the checkpoints of run {known}, which trained the same network")
            folders.write_json(folder / folders.MANIFEST, {**record, **asked, "training": training})
        ledger.record(folder)
        try:
            with progress.logged(folder / "log.txt"), blaming(solution.plugins):
                result = execute(request, dataset, mark, folder, started)
        except KagglekitError:
            forget_refused(folder)
            raise
        ledger.record(folder)
        return folder, result, True


def forget_refused(folder: Path) -> None:
    """Remove the folder of a run that was refused before it trained anything: there is nothing to go on with.

    It would be listed as interrupted for ever, and what refused it was told.
    """
    if not any(folder.rglob("*.safetensors")):
        shutil.rmtree(folder, ignore_errors=True)


def known_result(request: Request, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """The result of a finished run; its submission is scored now if the truth of the test part came since."""
    from kagglekit.predict.submission import score_file

    result = records.read(folder / folders.RESULT, KnownResult, "--again runs it anew")
    if dataset.answers and (result["test"] or {}).get("count") != len(dataset.answers):
        test = score_file(folder / result["submission"]["file"], dataset, request.solution.competition.metric)
        result["test"] = dataclasses.asdict(test) if test else None
        try:
            folders.write_json(folder / folders.RESULT, result)
        except OSError as error:
            if not folders.is_read_only(error):
                raise
        progress.say("the submission of this run is scored against a truth that was not there before")
    if "could not be fetched" in result["weights"]:
        progress.say(f"note: this run began with {result['weights']}; --again tries once more")
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
            manifest = folders.read_json(other)
        except KagglekitError:
            continue  # somebody else's damage must not stop this run
        if manifest.get("recipe_identity") == recipe and not folders.is_done(other.parent):
            progress.say(
                f"run {other.parent.name} of this recipe was interrupted, but data or code have changed since; "
                "it is left alone and a new run starts"
            )
            return
    if request.resume:
        progress.say("nothing to resume: this experiment has no interrupted run; starting it")
