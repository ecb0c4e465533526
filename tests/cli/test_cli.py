"""`kk` as people use it: each verb answers, --json is JSON, and light verbs stay light."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from kagglekit import __version__
from kagglekit.cli import VERBS, kk
from kagglekit.cli.common import table
from kagglekit.plugin.registry import discover
from kagglekit.recipe import setting_names
from tests.helpers import KK, environment, run_folder
from tests.helpers import kk as program

HEAVY = ("torch", "ray", "cv2", "pandas", "numpy", "pydantic", "albumentations", "matplotlib", "timm", "rich", "optuna")
IMPORTS = """
import sys
from kagglekit.cli import main

sys.argv = ["kk", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    code = left.code
names = {name.partition(".")[0] for name in sys.modules}
print("LOADED", code, " ".join(sorted(names)), file=sys.stderr)
"""


def answer(*arguments: str) -> str:
    """What `kk` prints on stdout, run in this process; it must end well."""
    result = CliRunner().invoke(kk, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def id() -> str:
    """A competition that is installed here."""
    return min(discover().competitions)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_verb_with_a_line_that_says_what_it_does(flag):
    text = answer(flag)
    listed = re.findall(r"^  (\w+)  +\S", text.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(VERBS) and len(listed) >= 8


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_of_its_own(verb):
    text = answer(verb, "--help")
    assert text.startswith("Usage: ") and len(text.splitlines()) > 5
    assert verb in ("data", "new", "submission") or "--json" in text


def test_the_version_is_printed():
    assert answer("--version").strip() == f"kk, version {__version__}"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["list", "--json"], ["info"], ["plugins"]])
def test_light_verbs_load_nothing_heavy(tmp_path, id, arguments):
    arguments = [*arguments, id] if arguments == ["info"] else arguments
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *arguments], capture_output=True, text=True, env=environment(tmp_path)
    )
    [(code, names)] = re.findall(r"^LOADED (\S+) (.*)$", done.stderr, re.MULTILINE)
    loaded = set(names.split())
    assert code == "0" and done.stdout
    assert {"kagglekit", "click"} <= loaded  # the list is not empty for a wrong reason
    assert not loaded & set(HEAVY)


def test_list_shows_competitions_and_techniques_with_their_plugins():
    found, text = discover(), answer("list")
    for name in (*found.competitions, *found.techniques):
        assert re.search(rf"^{re.escape(name)}  ", text, re.MULTILINE), name
    content = json.loads(answer("list", "--json"))
    assert {c["id"] for c in content["competitions"]} == set(found.competitions)
    assert {t["name"] for t in content["techniques"]} == set(found.techniques)
    assert all(t["about"].endswith(".") and t["plugin"] for t in content["techniques"])
    assert content["broken"] == []


def test_list_without_any_plugin_says_how_to_get_some(monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "")
    assert "No competition is installed. Competitions are plugins: pip install" in answer("list")
    assert json.loads(answer("list", "--json")) == {"competitions": [], "techniques": [], "broken": []}


def test_info_says_all_there_is_to_know_about_each_competition():
    swept = 0
    for id, (plugin, competition) in discover().competitions.items():
        text, facts = answer("info", id), json.loads(answer("info", id, "--json"))
        for part in (competition.title, competition.task, competition.metric.name, plugin.source, *competition.presets):
            assert part in text, part
        for line in competition.layout.splitlines():
            assert line in text
        assert facts["id"] == id and facts["classes"] == list(competition.classes)
        assert set(facts["presets"]) == set(competition.presets)
        swept += 1
    assert swept >= 1


def shown(*arguments: str) -> dict:
    """What `kk show ... --json` prints."""
    return json.loads(answer("show", *arguments, "--json"))


def test_show_prints_every_setting_and_where_it_came_from(id):
    content, lines = shown(id), answer("show", id).splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert rows.keys() == content["from"].keys()
    plain = {name for name in setting_names() if name != "loss"}
    assert plain <= rows.keys() and any(name.startswith("loss.") for name in rows)
    for name, source in content["from"].items():
        assert rows[name].endswith(f"  {source}")
    assert {"default", f"competition {id}", "preset full"} <= set(content["from"].values())


def test_show_follows_a_value_through_the_layers(id):
    assert shown(id)["from"]["fidelity.epochs"] == "preset full"
    assert shown(id, "--fidelity", "demo")["from"]["fidelity.epochs"] == "preset demo"
    content = shown(id, "--fidelity", "demo", "-o", "fidelity.epochs=3", "-o", "lr=3e-4", "--seed", "7")
    assert (content["recipe"]["fidelity"]["epochs"], content["recipe"]["lr"], content["recipe"]["seed"]) == (3, 3e-4, 7)
    assert [content["from"][k] for k in ("fidelity.epochs", "lr", "seed", "clip")] == ["-o", "-o", "-o", "default"]


def test_show_says_which_techniques_were_added_and_leaves_the_others_their_origin(id, tmp_path):
    names = [t["name"] for t in shown(id)["recipe"]["techniques"]]
    assert len(names) >= 2
    content = shown(id, "--without", names[0])
    assert [t["name"] for t in content["recipe"]["techniques"]] == names[1:]
    assert content["from"][f"techniques.{names[1]}"] == f"competition {id}"
    path = tmp_path / "one.toml"
    path.write_text(f'competition = "{id}"\ntechniques = ["{names[1]}"]\n')
    content = shown(str(path), "--with", names[0])
    assert [t["name"] for t in content["recipe"]["techniques"]] == [names[1], names[0]]
    assert content["from"][f"techniques.{names[0]}"] == "--with"
    assert content["from"][f"techniques.{names[1]}"] == str(path)


def test_show_of_a_recipe_file_is_the_recipe_in_the_file(id, tmp_path):
    import tomli_w

    recipe = shown(id, "--fidelity", "demo", "-o", "batch_size=3")["recipe"]
    (tmp_path / "r.toml").write_text(tomli_w.dumps(recipe))
    (tmp_path / "r.json").write_text(json.dumps(recipe))
    for name in ("r.toml", "r.json"):
        content = shown(str(tmp_path / name))
        assert content["recipe"] == recipe
        assert content["from"]["batch_size"] == str(tmp_path / name)
    assert shown(str(tmp_path / "r.toml"), "-o", "batch_size=5")["from"]["batch_size"] == "-o"


def test_show_of_a_run_is_the_recipe_of_the_run(id, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path))
    folder = run_folder(tmp_path, "abc123", id)
    (folder / "recipe.toml").write_text(f'competition = "{id}"\nbatch_size = 3\n')
    for name in ("abc123", "abc", f"{id}/abc123", str(folder)):
        assert shown(name)["recipe"]["batch_size"] == 3
    assert tomllib.loads((folder / "recipe.toml").read_text())["batch_size"] == 3


def test_doctor_shows_versions_device_weights_and_plugins():
    text, report = answer("doctor"), json.loads(answer("doctor", "--json"))
    for name, version in report["versions"].items():
        assert re.search(rf"^{re.escape(name)} +{re.escape(version)}$", text, re.MULTILINE), name
    assert {"python", "kagglekit", "torch", "numpy"} <= set(report["versions"])
    assert report["weights"] and report["weights"][0].startswith("bundled: ")
    assert report["plugins"] == {name: plugin.source for name, plugin in discover().plugins.items()}
    assert report["broken"] == {} and "BROKEN" not in text
    assert min(report["disk_free_gib"].values()) >= 0 and report["memory_free_gib"] > 0


def test_runs_of_nothing_says_how_to_start_one():
    assert re.fullmatch(r"no runs below .* yet; start one: kk run ID\n", answer("runs"))
    assert answer("runs", "nobody").startswith("no runs of nobody below ")
    assert json.loads(answer("runs", "--json")) == []


def test_runs_lists_what_the_ledger_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path))
    run_folder(tmp_path, "aaa", started="2026-01-01T00:00:00Z")
    run_folder(tmp_path, "bbb", "other", done=False, started="2026-01-02T00:00:00Z")
    rows = json.loads(answer("runs", "--json"))
    assert [(r["run"], r["status"]) for r in rows] == [("other/bbb", "interrupted"), ("toy/aaa", "done")]
    lines = answer("runs").splitlines()
    assert lines[2].split() == ["other/bbb", "demo", "interrupted", "2026-01-02", "00:00:00"]
    done = "toy/aaa demo done 0.5000 0.4000 .. 0.6000 1.0 2026-01-01 00:00:00"
    assert " ".join(lines[3].split()) == done
    assert [r["run"] for r in json.loads(answer("runs", "toy", "--json"))] == ["toy/aaa"]
    result = CliRunner().invoke(kk, ["runs", "--rebuild", "--json"])
    assert len(json.loads(result.stdout)) == 2 and result.stderr.startswith("2 runs found below ")


def test_sample_data_are_drawn_checked_and_reported_as_json(id, tmp_path):
    folder = tmp_path / "sample"
    made = json.loads(answer("data", "sample", id, str(folder), "--count", "8", "--seed", "3", "--json"))
    assert made == {"folder": str(folder), "count": 8, "seed": 3}
    report = json.loads(answer("data", "check", id, str(folder), "--json"))
    assert report["damaged"] == 0 and report["test"] > 0
    assert 0 < report["train"] <= 8
    text = answer("data", "check", id, str(folder))
    assert text.startswith(f"{report['train']} training and {report['test']} test images, ")


def test_a_check_takes_the_settings_that_decide_how_labels_are_read(tmp_path):
    folder = tmp_path / "sample"
    answer("data", "sample", "hair-seg", str(folder), "--count", "8")
    alike = answer("data", "check", "hair-seg", str(folder), "-o", "settings.group_regex=(.)")
    assert ", 1 groups" in alike and ", 1 groups" not in answer("data", "check", "hair-seg", str(folder))
    refused = CliRunner().invoke(kk, ["data", "check", "hair-seg", str(folder), "-o", "settings.none=1"])
    assert "settings.none is not a setting" in str(refused.exception)


def test_a_table_is_aligned_and_shows_none_as_nothing():
    assert table(["a", "long header"], [["wide cell", None], [1, 2.5]]).splitlines() == [
        "a          long header",
        "---------  -----------",
        "wide cell",
        "1          2.5",
    ]


def test_the_program_prints_results_on_stdout_and_nothing_on_stderr(tmp_path):
    done = program(tmp_path, "list", "--json")
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["competitions"]
    assert list(tmp_path.iterdir()) == []  # looking around leaves no traces


def test_a_reader_that_leaves_a_pipe_is_no_fault(tmp_path):
    left = subprocess.run(
        f"{KK} list | true", shell=True, env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert left.stderr == ""


def test_two_that_draw_into_one_folder_do_not_disturb_each_other(tmp_path):
    words = [KK, "data", "sample", "hair-seg", str(tmp_path / "drawn"), "--count", "24"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], errors
    assert "exists and is not empty" in "".join(errors)
    assert [p.name for p in tmp_path.iterdir()] == ["drawn"]
    assert (tmp_path / "drawn" / "truth.json").exists()
