"""The law of the whole path: a competition on its own sample data, from files to a scored submission."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from kagglekit.testing.laws import NotApplicable, law, require

LIMIT = 60.0  # seconds on a CPU


@law("competition")
def the_whole_path_ends_in_a_scored_submission(subject):
    """A run of one epoch at 64 pixels on the competition's own data ends within a minute in a scored submission."""
    if subject.failed:
        raise NotApplicable(f"first mend {subject.failed[0]}")
    from kagglekit import progress
    from kagglekit.pipeline.experiment import run
    from kagglekit.pipeline.request import Request
    from kagglekit.predict.submission import check_file

    solution, data, dataset = subject.solution, subject.sample, subject.dataset
    started, worked = time.perf_counter(), time.process_time()
    with _elsewhere(subject), progress.console(progress.Console(quiet=True)):
        folder, result, _ = run(Request(solution, data, "demo", "kk check"))
    # Of a busy machine a process gets a part; of several threads the clock on the wall counts.
    seconds = min(time.perf_counter() - started, time.process_time() - worked)
    require((result.score.count or 0) >= 1, "no image was validated")
    metric = solution.competition.metric.name
    require(result.metric == metric, f"the score is called {result.metric}, the metric {metric}")
    faults = check_file(folder / result.submission.file, dataset)
    require(not faults, f"the submission has a fault: {faults[0] if faults else ''}")
    require(not dataset.answers or result.test, "the answers are known, but the submission was not scored")
    require(
        seconds <= LIMIT,
        f"it took {seconds:.0f} s, expected at most {LIMIT:.0f}; draw smaller images, or mend the recipe",
    )
    return f"{seconds:.1f} s"


@contextmanager
def _elsewhere(subject):
    """Runs and caches go into the subject's own folder, so that nothing of a check stays in the ledger."""
    places = {f"KAGGLEKIT_{name}": str(subject.folder / name.lower()) for name in ("RUNS", "CACHE")}
    before = {key: os.environ.get(key) for key in places}
    os.environ.update(places)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
