"""What `kk` says when something is wrong: one message, the right exit code, never a traceback."""

import json
import os
import re
import subprocess
import sys

import click
import pytest

from kagglekit import cli
from kagglekit.cli import VERBS
from kagglekit.errors import DataError, KagglekitError, PluginError, RecipeError, RunError, SubmissionError, UsageError
from kagglekit.plugin.registry import discover
from tests.helpers import environment, run_folder, write_plugin
from tests.helpers import kk as program
from tests.search.toy import path_of


@pytest.fixture(scope="module")
def id() -> str:
    """A competition that is installed here."""
    return min(discover().competitions)


def kk(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `kk`, run in this process through the program's own entrance."""
    monkeypatch.setattr(sys, "argv", ["kk", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return left.value.code, out, err


def refused(capsys, monkeypatch, *arguments: str, code: int = 2) -> str:
    """What `kk` says while refusing; nothing may appear on stdout."""
    found, out, err = kk(capsys, monkeypatch, *arguments)
    assert (found, out) == (code, ""), err
    return err


def test_a_misspelled_command_is_answered_with_the_right_one(capsys, monkeypatch):
    assert "no command is named lst; did you mean list?" in refused(capsys, monkeypatch, "lst")
    said = refused(capsys, monkeypatch, "zzzzz")
    assert f"no command is named zzzzz; known: {sorted(VERBS)[0]}, {sorted(VERBS)[1]}, " in said


@pytest.mark.parametrize("arguments", [["--nonsense"], ["show"], ["runs", "a", "b"], ["list", "--jsn"]])
def test_wrong_options_and_arguments_show_the_usage(capsys, monkeypatch, arguments):
    text = refused(capsys, monkeypatch, *arguments)
    assert text.startswith("Usage: kk") and "Error: " in text


@pytest.mark.parametrize("verb", ["info", "show", "run", "solutions"])
def test_a_misspelled_competition_is_answered_with_the_right_one(capsys, monkeypatch, id, verb):
    wrong = id[:-2] + id[-1]
    text = refused(capsys, monkeypatch, verb, wrong)
    assert text == f"kk: no competition is named {wrong}; did you mean {id}?\n"


@pytest.mark.parametrize("verb", [["data", "check"], ["data", "sample"]])
def test_data_of_a_misspelled_competition_is_answered_with_the_right_one(capsys, monkeypatch, id, verb, tmp_path):
    text = refused(capsys, monkeypatch, *verb, id + "x", tmp_path / "new")
    assert text == f"kk: no competition is named {id}x; did you mean {id}?\n"


@pytest.mark.parametrize("verb", ["show", "run"])
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-o", "lrr=1"], "-o: lrr is not a setting of a recipe; did you mean lr?"),
        (["-o", "lr"], "-o lr: expected key=value, for example -o lr=3e-4"),
        (["-o", "lr=fast"], "recipe: lr: Input should be a valid number, unable to parse string as a number"),
        (["-o", "lr=1", "-o", "lr=2"], "-o: a setting is given twice"),
        (["-o", "fold=99", "-o", "folds=10"], "recipe: fold=99 does not exist with folds=10; use 0..9"),
        (["-o", "fidelity=3", "-o", "fidelity.epochs=1"], "-o: fidelity.epochs: fidelity was set to 3"),
        (["-o", "settings.qqq=1"], "settings.qqq is not a setting"),
        (["--seed", "-1"], "recipe: seed: Input should be greater than or equal to 0 (got -1)"),
        (["--fidelity", "dem"], "has no preset dem; did you mean demo?"),
        (["--with", "qqq"], "no technique is named qqq; known: "),
        (["--without", "qqq"], "--without qqq: the recipe has no such technique"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_is_done(capsys, monkeypatch, id, verb, arguments, error, tmp_path):
    text = refused(capsys, monkeypatch, verb, id, *arguments)
    assert text.startswith("kk: ") and error in text and len(text.splitlines()) == 1


def test_a_recipe_file_without_a_competition_or_with_a_fault_says_so(capsys, monkeypatch, tmp_path):
    path = tmp_path / "r.toml"
    assert "r.toml: cannot be read: " in refused(capsys, monkeypatch, "run", path)
    path.write_text("lr = 3\n")
    assert "r.toml: says no competition; add competition" in refused(capsys, monkeypatch, "run", path)
    path.write_text("lr = \n")
    assert "r.toml: not valid toml: " in refused(capsys, monkeypatch, "show", path)
    path.write_text('competition = "toyy"\n')
    assert "no competition is named toyy" in refused(capsys, monkeypatch, "show", path)


def test_an_ambiguous_run_names_the_candidates(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path))
    for name in ("abc1", "abc2"):
        run_folder(tmp_path, name)
    assert "no run is named abd below " in refused(capsys, monkeypatch, "predict", "abd", "--images", tmp_path)
    text = refused(capsys, monkeypatch, "predict", "abc", "--images", tmp_path)
    assert text == "kk: abc is the beginning of several runs: abc1, abc2; give more of it\n"


def test_predicting_with_a_run_that_has_not_finished_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path))
    run_folder(tmp_path, "abc1", done=False)
    text = refused(capsys, monkeypatch, "predict", "abc1", "--images", tmp_path, code=1)
    assert "run abc1 has not finished; go on with it by repeating its command" in text


def test_again_and_resume_contradict_each_other(capsys, monkeypatch, id):
    text = refused(capsys, monkeypatch, "run", id, "--again", "--resume")
    assert text == "kk: --again starts afresh and --resume goes on; give one of them\n"


@pytest.mark.parametrize("verb", [["run"], ["data", "check"]])
def test_a_data_folder_that_is_not_there_is_the_fault_of_the_data(capsys, monkeypatch, id, verb, tmp_path):
    folder = tmp_path / "nowhere"
    place = ["--data", folder] if verb == ["run"] else [folder]
    text = refused(capsys, monkeypatch, *verb, id, *place, code=1)
    assert text.startswith("kk: ") and str(folder) in text and len(text.splitlines()) == 1


def test_sample_data_never_go_into_a_folder_that_holds_something(capsys, monkeypatch, id, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    text = refused(capsys, monkeypatch, "data", "sample", id, tmp_path, "--count", "8")
    assert text == f"kk: {tmp_path}: exists and is not empty; name a new folder\n"
    assert refused(capsys, monkeypatch, "data", "sample", id, tmp_path / "mine.txt").endswith("name a new folder\n")
    assert (tmp_path / "mine.txt").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


ENDS = [
    (UsageError("u"), 2, "kk: u\n"),
    (RecipeError("r"), 2, "kk: r\n"),
    (DataError("d"), 1, "kk: d\n"),
    (PluginError("p"), 1, "kk: p\n"),
    (RunError("r"), 1, "kk: r\n"),
    (SubmissionError("s"), 1, "kk: s\n"),
    (KeyboardInterrupt(), 130, "kk: interrupted\n"),
    (click.Abort(), 130, "kk: interrupted\n"),
    (OSError(28, "No space left on device", "/x/y"), 1, "kk: /x/y: No space left on device; check the folder, its "),
    (OSError("odd"), 1, "kk: odd; check the folder, its rights and the free space\n"),
    (ZeroDivisionError("division by zero"), 1, "kk: unexpected ZeroDivisionError: division by zero\nThis is a fault "),
    (EOFError("file ends early"), 1, "kk: unexpected EOFError: file ends early\n"),
]


def raising(monkeypatch, error) -> None:
    """Let `kk doctor` raise `error`."""

    def fail():
        raise error

    monkeypatch.setattr("kagglekit.cli.doctor.discover", fail)


@pytest.mark.parametrize(("error", "code", "text"), ENDS, ids=[type(e).__name__ for e, _, _ in ENDS])
def test_every_fault_is_one_message_with_its_exit_code(capsys, monkeypatch, error, code, text):
    raising(monkeypatch, error)
    assert refused(capsys, monkeypatch, "doctor", code=code).lstrip("\n").startswith(text)


def test_every_error_of_the_engine_has_been_tried():
    def below(kind):
        return {kind, *(deep for sub in kind.__subclasses__() for deep in below(sub))}

    ours = {kind for kind in below(KagglekitError) if kind.__module__ == "kagglekit.errors"} - {KagglekitError}
    assert ours == {type(e) for e, _, _ in ENDS if isinstance(e, KagglekitError)}


def test_tracing_adds_the_traceback_to_the_message(capsys, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_TRACE", "1")
    raising(monkeypatch, ZeroDivisionError("x"))
    monkeypatch.setattr(sys, "argv", ["kk", "doctor"])
    with pytest.raises(SystemExit):
        cli.main()
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and "kk: unexpected ZeroDivisionError: x" in err


BROKEN = "import sys\nsys.exit('I am not ready')\n"


def test_a_broken_plugin_costs_one_line_on_stderr_and_nothing_else(tmp_path):
    places = str(write_plugin(tmp_path / "site", "kk-broken", BROKEN))
    done = program(tmp_path, "list", "--json", PYTHONPATH=places)
    line = "plugin kk-broken (kk-broken 1.0): SystemExit: I am not ready"
    assert (done.returncode, done.stderr) == (0, f"kk: {line} (left out)\n")
    content = json.loads(done.stdout)
    assert content["competitions"] and [b["name"] for b in content["broken"]] == ["kk-broken"]
    done = program(tmp_path, "info", "kk-broken", PYTHONPATH=places)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"kk: {line}; mend or uninstall it (KAGGLEKIT_TRACE=1 shows the traceback)"
    done = program(tmp_path, "doctor", PYTHONPATH=places)
    assert done.returncode == 0 and f"  BROKEN {line}" in done.stdout


LOUD = "import os\nprint('a word', flush=True)\nos.write(1, b'another\\n')\n"


def test_with_json_nothing_but_the_document_is_on_stdout_whatever_plugins_print(tmp_path):
    place = write_plugin(tmp_path / "site", "kk-loud", LOUD)
    for arguments in (("list", "--json"), ("plugins", "--json"), ("doctor", "--json")):
        done = program(tmp_path, *arguments, PYTHONPATH=path_of(place), KAGGLEKIT_PLUGINS="kk-loud")
        assert done.returncode == 0 and json.loads(done.stdout), done.stderr
        assert "a word" in done.stderr and "another" in done.stderr


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "GeneratorExit", "BaseException('x')", "SystemExit(0)"])
def test_a_plugin_that_raises_what_ends_programs_ends_nothing(tmp_path, raised):
    place = write_plugin(tmp_path / "site", "kk-ends", f"raise {raised}\n")
    done = program(tmp_path, "list", PYTHONPATH=path_of(place))
    assert done.returncode == 0 and "hair-seg" in done.stdout
    assert done.stderr.startswith(f"kk: plugin kk-ends (kk-ends 1.0): {raised.partition('(')[0]}")


def test_a_plugin_that_is_asked_for_and_not_installed_is_told(tmp_path):
    done = program(tmp_path, "list", KAGGLEKIT_PLUGINS="nope")
    assert done.returncode == 2 and "kk: KAGGLEKIT_PLUGINS: no installed plugin is named nope" in done.stderr


def test_entry_points_of_another_package_that_cannot_be_read_end_nothing(tmp_path):
    place = write_plugin(tmp_path / "site", "kk-odd", "")
    (place / "kk_odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff = \xfe\n")
    done = program(tmp_path, "list", PYTHONPATH=path_of(place))
    assert done.returncode == 0 and "hair-seg" in done.stdout


@pytest.mark.parametrize("name", ["RUNS", "CACHE", "SAMPLES"])
@pytest.mark.parametrize(
    "verb",
    [
        ("run", "hair-seg"),
        ("tune", "hair-seg", "--local"),
        ("ablate", "hair-seg"),
        ("clean", "hair-seg"),
        ("eda", "hair-seg"),
    ],
)
def test_a_file_where_a_folder_belongs_is_told_before_any_work(capsys, monkeypatch, tmp_path, name, verb):
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        monkeypatch.setenv(f"KAGGLEKIT_{name}", str(tmp_path / place))
        said = refused(capsys, monkeypatch, *verb)
        assert (
            said
            == f"kk: {tmp_path / 'file'}: is a file where a folder belongs; name another one with KAGGLEKIT_{name}\n"
        )


def test_a_disk_that_is_full_is_named_even_where_its_error_names_no_file(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "not" / "yet"))
    raising(monkeypatch, OSError(28, "No space left on device"))
    said = refused(capsys, monkeypatch, "doctor", code=1)
    assert re.match(r"kk: /.*: No space left on device; check the folder, its rights and the free space", said)


def test_names_in_any_bytes_and_characters_that_steer_terminals_are_shown_with_escapes(tmp_path):
    odd = os.fsdecode(b"\xbb\xe7\x1b[31m.toml")
    done = program(tmp_path, "run", odd)
    assert done.returncode == 2 and r"\udcbb\udce7\x1b[31m.toml: cannot be read" in done.stderr


def test_an_interrupted_program_leaves_with_130(tmp_path):
    waiting = "import time\nprint('waiting', flush=True)\ntime.sleep(60)\n"
    place = write_plugin(tmp_path / "site", "kk-waiting", waiting)
    process = subprocess.Popen(
        [sys.executable, "-c", "from kagglekit.cli import main; main()", "list"],
        env=environment(tmp_path, PYTHONPATH=str(place), KAGGLEKIT_PLUGINS="kk-waiting"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline() == "waiting\n"
    import signal

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "kk: interrupted"
