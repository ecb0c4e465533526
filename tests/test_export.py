"""Exports: what TensorBoard and MLflow read back is what the run's files say, and a second export adds nothing."""

import base64
import csv
import io
import json
import sys
import tempfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kagglekit.cli import kk
from kagglekit.errors import RunError, UsageError
from kagglekit.pipeline.prepare import EVERYTHING
from kagglekit.pipeline.reuse import name_of
from kagglekit.publish.export import to_mlflow, to_tensorboard
from kagglekit.publish.export.records import _curves, chosen, record_of, records_of
from kagglekit.recipe import compose
from kagglekit.runs.history import read_history as history_of
from kagglekit.runs.history import write_history
from kagglekit.train.trained import Epoch
from kagglekit.types import untracked
from tests.helpers import run_folder

HISTORY = "epoch,seconds,lr,train_loss,valid_loss,valid_score\n0,10,0.1,0.9,0.8,0.25\n1,20,0.05,0.5,,0.75\n"
FOLDS = "fold,epoch,seconds,train_loss\n0,0,10,0.9\n0,1,10,0.8\n1,0,10,0.7\n1,1,10,0.6\n"
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
TECHNIQUES = [{"name": "blur", "settings": {"p": 0.5, "sizes": [3, 5]}}]
START = 1767323045.0  # 2026-01-02T03:04:05Z


def recipe(**changes) -> dict:
    """A recipe as a manifest holds it."""
    made, _ = compose([("t", {"competition": "toy", "techniques": TECHNIQUES, **changes})])
    return made.model_dump(mode="json")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty runs folder."""
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "runs"


def ran(home, name: str = "a" * 12, history: str = HISTORY, **manifest):
    """A finished run with two epochs and one image on its page."""
    folder = run_folder(home, name, **({"recipe": recipe(), "drawn": True} | manifest))
    (folder / "history.csv").write_text(history)
    png = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(png, "PNG")
    uri = base64.b64encode(png.getvalue()).decode()
    (folder / "report.html").write_text(f'<img alt="Photo p1" src="data:image/png;base64,{uri}">')
    return folder


def trial(home, name: str, value: float = 0.4):
    """A trial of a search: validated, never finished."""
    folder = ran(home, name)
    (folder / "result.json").unlink()
    score = {"value": value, "low": 0.3, "high": 0.5, "count": 3}
    content = {"validation": score, "metric": "mean IoU", "seconds": {"data": 1.0, "train": 2.0}}
    (folder / "validated.json").write_text(json.dumps(content))
    return folder


def test_a_record_holds_curves_scores_with_intervals_settings_costs_and_times(home):
    record = record_of(ran(home))
    assert record.name == f"toy/{'a' * 12}" and record.tags["kind"] == "run" and record.tags["drawn_data"] == "true"
    assert record.curves["valid_score"] == [(0, 0.25, START + 10), (1, 0.75, START + 30)]
    assert record.curves["valid_loss"] == [(0, 0.8, START + 10)]
    assert (record.started, record.ended) == (START, START + 60)
    assert (record.final["validation"], record.final["validation/low"], record.final["validation/high"]) == (
        0.5,
        0.4,
        0.6,
    )
    assert record.final["seconds/total"] == 60 and not [name for name in record.final if name.startswith("test")]
    assert record.params["lr"] == recipe()["lr"] and record.params["techniques.blur.settings.p"] == 0.5
    assert record.params["fidelity.epochs"] == recipe()["fidelity"]["epochs"]


def test_folds_have_curves_of_their_own_each_epoch_at_the_time_that_it_ended(home):
    curves = record_of(ran(home, history=FOLDS)).curves
    assert curves == {
        "fold-0/train_loss": [(0, 0.9, START + 10), (1, 0.8, START + 20)],
        "fold-1/train_loss": [(0, 0.7, START + 30), (1, 0.6, START + 40)],
    } | {name: curves[name] for name in ("fold-0/seconds", "fold-1/seconds")}


def test_the_network_that_learned_from_all_images_is_named_as_its_folder_is(home):
    curves = record_of(ran(home, history=FOLDS.replace("\n1,", "\n-1,"))).curves
    assert {name.partition("/")[0] for name in curves} == {"fold-0", name_of(EVERYTHING)} == {"fold-0", "everything"}


@given(st.lists(st.lists(st.floats(0, 1e4), min_size=1, max_size=4), min_size=1, max_size=4))
def test_times_of_folds_rise_over_the_whole_run_and_end_with_its_last_epoch(seconds):
    rows = [
        {"fold": fold, "epoch": epoch, "seconds": one, "lr": 1.0}
        for fold, part in enumerate(seconds)
        for epoch, one in enumerate(part)
    ]
    with tempfile.TemporaryDirectory() as place:
        write_history(Path(place), [Epoch(**row) for row in rows])
        curves = _curves(history_of(Path(place)), START)
    times = [time for fold in range(len(seconds)) for _, _, time in curves[f"fold-{fold}/lr"]]
    assert times == sorted(times) and times[-1] == pytest.approx(START + sum(map(sum, seconds)))
    assert len(times) == sum(map(len, seconds))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"seconds": st.floats(0, 1e4), "train_loss": NUMBERS, "valid_loss": st.none() | NUMBERS, "lr": NUMBERS}
        ),
        min_size=1,
        max_size=12,
    )
)
def test_curves_are_those_that_the_run_wrote_down_to_the_last_bit(rows):
    with tempfile.TemporaryDirectory() as place:
        history = [{"epoch": epoch, **row} for epoch, row in enumerate(rows)]
        write_history(Path(place), [Epoch(**row) for row in history])
        curves = _curves(history_of(Path(place)), START)
    for name in ("train_loss", "valid_loss", "lr"):
        points = [(row["epoch"], row[name]) for row in history if row[name] is not None]
        assert [point[:2] for point in curves.get(name, [])] == points
    epochs, _, times = zip(*curves["lr"], strict=True)
    assert list(epochs) == list(range(len(rows))) and list(times) == sorted(times)
    assert times[-1] == pytest.approx(START + sum(row["seconds"] for row in rows))


def test_a_run_without_a_history_has_no_curves_and_is_exported_all_the_same(home):
    folder = ran(home)
    (folder / "history.csv").unlink()
    record = record_of(folder)
    assert record.curves == {} and record.final["validation"] == 0.5


def test_a_trial_is_a_record_too_and_a_run_that_has_not_finished_is_none(home):
    record = record_of(trial(home, "b" * 12))
    assert record.tags["kind"] == "trial" and record.final["validation"] == 0.4 and record.final["seconds/total"] == 3
    folder = run_folder(home, "c" * 12, done=False)
    with pytest.raises(RunError, match="has not finished"):
        record_of(folder)
    (ran(home, "d" * 12) / "history.csv").write_text("epoch,seconds\nx,y\n")
    with pytest.raises(RunError, match=r"history\.csv: damaged"):
        record_of(home / "toy" / ("d" * 12))


def test_the_digest_changes_with_what_is_exported_and_with_nothing_else(home):
    folder = ran(home)
    before = record_of(folder).digest
    (folder / "log.txt").write_text("more")
    assert record_of(folder).digest == before
    (folder / "history.csv").write_text(HISTORY.replace("0.75", "0.76"))
    assert record_of(folder).digest != before


def test_a_run_a_search_or_all_can_be_meant(home):
    ran(home), trial(home, "b" * 12), run_folder(home, "c" * 12, done=False)
    search = home / "searches" / "mine"
    search.mkdir(parents=True)
    (search / "search.json").write_text("{}")
    with pytest.raises(RunError, match="search mine has no result yet"):
        chosen("mine", False)
    steps = [{"run": "b" * 12}, {"run": "gone"}, {"run": "b" * 12}, {"run": None}]
    (search / "result.json").write_text(json.dumps({"competition": "toy", "trials": [{"steps": steps}]}))
    assert [path.name for path in chosen("mine", False)] == ["b" * 12]
    assert sorted(path.name for path in chosen(None, True)) == ["a" * 12, "b" * 12]
    assert [path.name for path in chosen("aaa", False)] == ["a" * 12]
    (home / "toy" / ("b" * 12) / "validated.json").unlink()
    with pytest.raises(RunError, match="none of its trials has a run folder"):
        chosen("mine", False)


def test_what_cannot_be_exported_is_refused_or_left_out_with_a_reason(home):
    for name, everything in ((None, False), ("a", True)):
        with pytest.raises(UsageError, match="name a run or a search"):
            chosen(name, everything)
    with pytest.raises(RunError, match="no finished run below"):
        chosen(None, True)
    good, bad = ran(home), ran(home, "b" * 12, started="yesterday")
    records, faults = records_of([good, bad], strict=False)
    assert [one.name for one in records] == [f"toy/{'a' * 12}"] and len(faults) == 1 and "damaged" in faults[0]
    with pytest.raises(RunError, match=rf"{'b' * 12}.manifest\.json: damaged: started"):
        records_of([good, bad], strict=True)


@pytest.fixture
def fields_have_a_limit():
    """As `csv` begins; who reads run lengths raises the limit for the whole process."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


DAMAGE = {
    "result.json": ("[]", "{", '"x"', '{"seconds": null}', '{"seconds": {"total": "x"}, "metric": "m"}'),
    "manifest.json": ("[]", "null", "{}", '{"competition": ["toy"]}'),
    "history.csv": (
        "epoch,seconds\nx,y\n",
        "fold,epoch,seconds\nz,0,1\n",
        "epoch,lr\n0,0.1,0.2\n",
        "epoch\0\n1\0\n",
        f"epoch,lr\n0,{'1' * 200_000}\n",
    ),
}


@pytest.mark.parametrize(("file", "content"), [(file, one) for file, some in DAMAGE.items() for one in some])
def test_a_damaged_record_costs_its_own_line_and_hides_no_other_run(home, fields_have_a_limit, file, content):
    good, bad = ran(home), ran(home, "b" * 12)
    (bad / file).write_text(content)
    records, faults = records_of([bad, good], strict=False)
    assert [one.tags["run"] for one in records] == ["a" * 12] and len(faults) == 1
    with pytest.raises(RunError):
        records_of([bad], strict=True)


@pytest.mark.parametrize(
    "change",
    [{"validation": {"value": "high"}}, {"seconds": {"total": float("inf")}}, {"seconds": {"train": None, "total": 1}},
     {"seconds": [1]}, {"validation": [1]}],
)  # fmt: skip
def test_scores_and_seconds_that_are_no_numbers_are_damage(home, change):
    folder = ran(home)
    content = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(content | change))
    records, faults = records_of([folder], strict=False)
    assert records == [] and "damaged" in faults[0]


@pytest.mark.parametrize(
    ("kind", "modules"), [("tensorboard", ["torch.utils.tensorboard"]), ("mlflow", ["mlflow", "mlflow.tracking"])]
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(home, monkeypatch, kind, modules):
    ran(home)
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf"--to {kind} needs a package: pip install 'kagglekit\[{kind}\]'"):
        CliRunner().invoke(kk, ["export", "aaa", "--to", kind], catch_exceptions=False)
    before = sorted(home.rglob("*"))
    with pytest.raises(UsageError, match="needs a package"):
        CliRunner().invoke(kk, ["export", "aaa", "--to", kind, "-o", str(home / "new/place")], catch_exceptions=False)
    assert sorted(home.rglob("*")) == before and not (home / kind).exists()


def read_back(folder):
    """What TensorBoard reads of a log folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


@pytest.mark.slow
def test_tensorboard_reads_back_what_the_run_says_and_a_second_export_changes_no_byte(home, tmp_path):
    folder, out = ran(home), tmp_path / "logs"
    assert to_tensorboard.export([record_of(folder)], out, untracked) == 1
    log = out / "toy" / ("a" * 12)
    found = read_back(log)
    scalars = [(e.step, e.value, e.wall_time) for e in found.Scalars("train_loss")]
    assert scalars == [(0, pytest.approx(0.9), START + 10), (1, pytest.approx(0.5), START + 30)]
    assert len(found.Scalars("final/validation")) == 1 and found.Scalars("final/validation/low")[
        0
    ].value == pytest.approx(0.4)
    [image] = found.Tags()["images"]
    assert "Photo p1" in image and (found.Images(image)[0].height, found.Images(image)[0].width) == (4, 6)
    settings = hparams(found)
    assert settings["lr"] == recipe()["lr"] and settings["techniques.blur.settings.p"] == 0.5
    assert settings["techniques.blur.settings.sizes"] == "[3, 5]" and settings["run.drawn_data"] == "true"

    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert to_tensorboard.export([record_of(folder)], out, untracked) == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (folder / "history.csv").write_text(HISTORY + "2,5,0.01,0.4,0.6,0.8\n")
    assert to_tensorboard.export([record_of(folder)], out, untracked) == 1
    assert [e.step for e in read_back(log).Scalars("train_loss")] == [0, 1, 2]
    assert not list(out.rglob(".*.part"))


def hparams(found) -> dict:
    """The settings that TensorBoard's table of runs shows."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    held = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in held.items()}


def test_a_folder_of_something_else_is_not_overwritten(home, tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "logs/toy" / ("a" * 12)).mkdir(parents=True)
    with pytest.raises(UsageError, match="was not written by kk export"):
        to_tensorboard.export([record_of(ran(home))], tmp_path / "logs", untracked)


@pytest.mark.slow
def test_an_export_that_fails_leaves_the_older_log_and_no_half_one(home, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    folder, out = ran(home), tmp_path / "logs"
    to_tensorboard.export([record_of(folder)], out, untracked)
    before = sorted(path.name for path in out.rglob("*"))
    (folder / "history.csv").write_text(HISTORY.replace("0.75", "0.76"))
    (folder / "report.html").write_text('<img alt="x" src="data:image/png;base64,AAAA">')
    with pytest.raises(OSError):
        to_tensorboard.export([record_of(folder)], out, untracked)
    assert sorted(path.name for path in out.rglob("*")) == before


def test_where_mlflow_runs_go_can_be_a_folder_a_file_a_uri_or_the_environment(home, tmp_path, monkeypatch):
    assert to_mlflow.store_of(None) == f"sqlite:///{home.resolve()}/mlflow.db"
    assert to_mlflow.store_of(str(tmp_path / "m")) == f"sqlite:///{tmp_path.resolve()}/m/mlflow.db"
    assert to_mlflow.store_of(str(tmp_path / "x.db")) == f"sqlite:///{tmp_path.resolve()}/x.db"
    assert to_mlflow.store_of("https://tracking.example.org") == "https://tracking.example.org"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example.org")
    assert to_mlflow.store_of(None) == "https://tracking.example.org"


@pytest.mark.slow
def test_mlflow_reads_back_what_the_run_says_and_holds_each_run_once_whatever_happened(home, tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow-skinny is not installed")
    folder, store = (
        ran(home, recipe=recipe(**{"loss": {f"part{i}": 0.1 for i in range(120)}})),
        to_mlflow.store_of(str(tmp_path)),
    )
    assert to_mlflow.export([record_of(folder)], store, untracked) == 1
    client = tracking.MlflowClient(tracking_uri=store)

    def runs():
        return client.search_runs([client.get_experiment_by_name("kagglekit/toy").experiment_id])

    [run] = runs()
    history = [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, "train_loss")]
    assert history == [(0, 0.9, round(1000 * (START + 10))), (1, 0.5, round(1000 * (START + 30)))]
    assert run.data.metrics["final/validation"] == 0.5 and run.data.metrics["final/validation/high"] == 0.6
    assert run.data.params["techniques.blur.settings.sizes"] == "[3, 5]" and len(run.data.params) > 120
    assert run.info.run_name == "a" * 12 and run.info.status == "FINISHED" and run.info.start_time == 1000 * START
    assert run.data.tags["kagglekit.drawn_data"] == "true" and run.data.tags["kagglekit.metric"] == "mean IoU"

    assert to_mlflow.export([record_of(folder)], store, untracked) == 0 and len(runs()) == 1
    (folder / "history.csv").write_text(HISTORY + "2,5,0.01,0.4,0.6,0.8\n")

    with monkeypatch.context() as patched:
        patched.setattr(tracking.MlflowClient, "set_terminated", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            to_mlflow.export([record_of(folder)], store, untracked)
    assert len(runs()) == 2, "the older one stays until the new one is whole"
    assert to_mlflow.export([record_of(folder)], store, untracked) == 1
    [run] = runs()
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")] == [0, 1, 2]
    in_file = f"sqlite:///{folder}/history.csv/x.db"
    for uri, said in (("nowhere://x", "nowhere"), (in_file, "history.csv"), (f"sqlite:///{home}", "unable to open")):
        with pytest.raises(RunError, match=f"{uri}: .*{said}.*name another one with -o"):
            to_mlflow.export([record_of(folder)], uri, untracked)


@pytest.mark.slow
def test_the_verb_says_where_it_wrote_how_much_and_what_it_left_out(home):
    pytest.importorskip("tensorboard")
    ran(home), (ran(home, "b" * 12) / "history.csv").write_text("epoch,seconds\nx,y\n")
    done = CliRunner().invoke(kk, ["export", "--all", "--to", "tensorboard"], catch_exceptions=False)
    assert done.exit_code == 0 and f"{home}/tensorboard  (1 written)" in done.stdout and "(left out)" in done.stderr
    done = CliRunner().invoke(kk, ["export", "aaa", "--to", "tensorboard"], catch_exceptions=False)
    assert "(0 written, 1 were there)" in done.stdout and "tensorboard --logdir" in done.stdout
    found = json.loads(CliRunner().invoke(kk, ["export", "--all", "--to", "tensorboard", "--json"]).stdout)
    assert found["written"] == 0 and found["runs"] == [f"toy/{'a' * 12}"] and len(found["left_out"]) == 1


@pytest.mark.slow
def test_a_real_search_is_exported_run_by_run_with_the_scores_that_it_ranked(home, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from kagglekit.search.local import objective_at
    from kagglekit.search.tune import tune
    from tests.search.test_tune import climb, wanted
    from tests.search.toy import at_hand

    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    toy = at_hand(tmp_path, monkeypatch)
    result = tune(wanted(toy, trials=3, controls=0), lambda ladder, place: climb(ladder, objective_at(place)))
    records, faults = records_of(chosen(result.name, False), strict=True)
    ranked = {s.run: s.score for t in result.trials for s in t.steps if s.status == "done"}
    assert faults == [] and {one.tags["run"]: one.final["validation"] for one in records} == ranked and len(ranked) >= 3
    out = tmp_path / "logs"
    assert to_tensorboard.export(records, out, untracked) == len(records)
    for one in records:
        found = read_back(out / one.name)
        assert found.Scalars("final/validation")[0].value == pytest.approx(ranked[one.tags["run"]], rel=1e-6)
        assert [e.step for e in found.Scalars("valid_score")] == list(range(one.params["fidelity.epochs"]))
