"""A handful of the faults of `tests/benchmarks/faults.py`: what strikes a command costs time and nothing else."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from tests import faults
from tests.faults import Report, TrialContext
from tests.helpers import read_only

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A place with a run that nothing struck, and how long it took."""
    top = tmp_path_factory.mktemp("faults")
    place, started = TrialContext(top / "quiet", faults.sample(top)), time.monotonic()
    assert place.finish("run")[0] == 0
    place.run = next((place.base / "runs/hair-seg").glob("*/result.json")).parent.name
    return place, time.monotonic() - started


@pytest.mark.parametrize("number", faults.SIGNALS, ids=lambda number: number.name)
def test_a_run_that_is_struck_twice_gives_the_same_bits_and_leaves_nothing_over(quiet, tmp_path, number):
    place, duration = quiet
    report = Report()
    faults.struck(tmp_path / "here", "run", lambda folder: TrialContext(folder, place.data),
                  faults.results(place, "run"),
                  0.8 * duration, [number, signal.SIGKILL], random.Random(number), report)  # fmt: skip
    assert report.sound, str(report)


MOMENTS = {
    "images are being decoded": "cache/store/*/images.raw",
    "an epoch has begun": "runs/*/*/checkpoints/epoch-000.safetensors",
    "a first checkpoint is being written": "runs/*/*/checkpoints/.epoch-000*.part",
    "the state is being written": "runs/*/*/checkpoints/.state*.part",
    "probabilities are being kept": "runs/*/*/validation/*/.*.part",
    "the submission is there, the result is not": "runs/*/*/submission.json",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_a_bad_moment_costs_time_and_nothing_else(quiet, tmp_path, moment):
    place, report = quiet[0], Report()
    here = TrialContext(tmp_path, place.data)
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
    here = TrialContext(tmp_path / "here", place.data, place.run)
    faults.copy_of_run(place, here)
    faults.strike(here, verb, 0.4, signal.SIGKILL)
    faults.strike(here, verb, lambda: any((tmp_path / "here/runs").rglob("*.part")), signal.SIGKILL)
    report.check(here, verb, faults.results(place, verb))
    assert report.sound, str(report)


def test_two_searches_of_one_name_at_once_are_one_search(quiet, tmp_path):
    here = TrialContext(tmp_path, quiet[0].data)
    both = [here.start("tune"), here.start("tune")]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 1] and any("search t is under way in another process" in text for text in said), said
    assert here.leftovers() == [] and len(list(tmp_path.glob("runs/searches/*/result.json"))) == 1


def test_where_runs_can_be_read_and_not_written_they_are_listed_written_up_and_known(quiet, tmp_path):
    place = quiet[0]
    here = TrialContext(tmp_path / "here", place.data, place.run)
    faults.copy_of_run(place, here)
    out, runs = tmp_path / "out", here.base / "runs"
    with read_only(runs):
        for words in (
            ["runs"],
            ["solutions", "hair-seg"],
            ["board", "--out", str(out / "board")],
            ["writeup", place.run, "--out", str(out / "writeup")],
            ["bundle", place.run, "--out", str(out / "one.kkbundle")],
            ["export", place.run, "--to", "tensorboard", "--out", str(out / "logs")],
        ):
            done = here.plain(*words)
            assert done.returncode == 0, (words, done.stderr)
            assert words != ["runs"] or place.run in done.stdout
        code, said = here.finish("run")
        assert code == 0 and "This experiment was run before" in said
        done = here.plain("writeup", place.run)
        assert done.returncode == 1 and f"{runs}/" in done.stderr and "check the folder, its rights" in done.stderr
    assert (out / "board/index.html").is_file() and (out / "writeup/writeup.html").is_file()


def test_images_and_folders_with_names_in_any_bytes_are_predicted_and_trained_on(quiet, tmp_path):
    place = quiet[0]
    images = tmp_path / os.fsdecode("사진".encode("euc-kr"))
    images.mkdir()
    names = [os.fsdecode("머리.jpg".encode("euc-kr")), "=1+1.jpg", "\x1b[31mred.jpg"]
    for name, source in zip(names, sorted((place.data / "task02_test/images").iterdir()), strict=False):
        shutil.copy(source, images / name)
    done = place.plain("predict", place.run, "--images", str(images), "--out", str(tmp_path / "masks"), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["predicted"] == 3, done.stderr
    assert {p.stem for p in (tmp_path / "masks").glob("*.png")} == {name.removesuffix(".jpg") for name in names}
    assert f"\n{names[0].encode('utf-8', 'backslashreplace').decode()}," in (tmp_path / "masks/index.csv").read_text()
    data = shutil.copytree(place.data, images / "data")
    here = TrialContext(tmp_path / "here", data)
    for words in (["eda", "hair-seg"], ["clean", "hair-seg", "--with", faults.TINY_TEACHING]):
        done = here.plain(*words, "--data", str(data))
        assert done.returncode == 0, done.stderr
    code, said = here.finish("run")
    assert code == 0, said


def test_a_run_that_is_refused_for_damaged_data_is_not_listed_as_interrupted(quiet, tmp_path):
    data = shutil.copytree(quiet[0].data, tmp_path / "data")
    for path in sorted((data / "task02_train/images").iterdir())[:5]:
        path.write_text("no image")
    here = TrialContext(tmp_path / "here", data)
    code, said = here.finish("run")
    assert code == 1 and "are damaged, more than the 1.0% that a run passes over" in said
    assert json.loads(here.plain("runs", "--json").stdout) == []
    assert list((tmp_path / "here/runs/hair-seg").glob("*/manifest.json")) == [] and here.leftovers() == []
