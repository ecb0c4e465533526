"""A handful of the faults of `tests/benchmarks/faults.py`: what strikes a command costs time and nothing else."""

import random
import signal
import time

import pytest

from tests import faults
from tests.faults import Place, Report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A place with a run that nothing struck, and how long it took."""
    top = tmp_path_factory.mktemp("faults")
    place, started = Place(top / "quiet", faults.sample(top)), time.monotonic()
    assert place.finish("run")[0] == 0
    place.run = next((place.base / "runs/hair-seg").glob("*/result.json")).parent.name
    return place, time.monotonic() - started


@pytest.mark.parametrize("number", faults.SIGNALS, ids=lambda number: number.name)
def test_a_run_that_is_struck_twice_gives_the_same_bits_and_leaves_nothing_over(quiet, tmp_path, number):
    place, duration = quiet
    report = Report()
    faults.struck(tmp_path / "here", "run", lambda folder: Place(folder, place.data), faults.results(place, "run"),
                  0.8 * duration, [number, signal.SIGKILL], random.Random(number), report)  # fmt: skip
    assert report.sound, str(report)


MOMENTS = {
    "a first checkpoint is being written": "runs/*/*/checkpoints/.epoch-000*.part",
    "the state is being written": "runs/*/*/checkpoints/.state*.part",
    "probabilities are being kept": "runs/*/*/validation/*/.*.part",
    "the submission is there, the result is not": "runs/*/*/submission.json",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_a_bad_moment_costs_time_and_nothing_else(quiet, tmp_path, moment):
    place, report = quiet[0], Report()
    here = Place(tmp_path, place.data)
    said = faults.strike(here, "run", lambda: any(tmp_path.glob(MOMENTS[moment])), signal.SIGKILL)
    assert said.startswith("SIGKILL") or moment.startswith("probabilities")
    report.check(here, "run", faults.results(place, "run"))
    assert report.sound, str(report)


@pytest.mark.parametrize("verb", faults.ON_A_RUN)
def test_what_is_made_of_a_run_is_made_whole_after_a_kill(quiet, tmp_path, verb):
    if verb in ("mlflow", "tensorboard"):
        pytest.importorskip(verb)
    place, report = quiet[0], Report()
    code, said = place.finish(verb)
    assert code == 0, said
    here = Place(tmp_path / "here", place.data, place.run)
    faults.copy_of_run(place, here)
    faults.strike(here, verb, 0.4, signal.SIGKILL)
    faults.strike(here, verb, lambda: any((tmp_path / "here/runs").rglob("*.part")), signal.SIGKILL)
    report.check(here, verb, faults.results(place, verb))
    assert report.sound, str(report)


def test_two_searches_of_one_name_at_once_are_one_search(quiet, tmp_path):
    here = Place(tmp_path, quiet[0].data)
    both = [here.start("tune"), here.start("tune")]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 1] and any("search t is under way in another process" in text for text in said), said
    assert here.leftovers() == [] and len(list(tmp_path.glob("runs/searches/*/result.json"))) == 1
