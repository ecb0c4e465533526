"""Documents are executed, generated or checked against the code."""

import importlib.util
import re
import shlex
import sys
from collections import Counter
from pathlib import Path

import click
import pytest

from kagglekit import api, cli

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.ko.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]


def module_at(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_hook_reference_is_what_the_specifications_say():
    generate = module_at(ROOT / "docs" / "generate.py")
    assert (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8") == generate.hooks_page()


def test_the_page_of_the_public_surface_is_what_docstrings_say_and_each_name_has_one():
    generate = module_at(ROOT / "docs" / "generate.py")
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert text == generate.api_page(), "run: python docs/generate.py"
    lines = re.findall(r"^ *- `([\w.]+)(?:\(.*?\))?`: ?(.*)$", text, re.M)
    assert {name for name, _ in lines if "." not in name} == set(api.__all__)
    assert [name for name, said in lines if len(said) < 10 or said[-1] not in ".!?"] == []
    assert len(lines) >= 170 and ("rle.encode" in dict(lines)) and dict(lines)["Size"] == "(height, width) in pixels."


@pytest.mark.parametrize("package", ["kagglekit", "kagglekit_clouds"])
def test_pages_are_not_made_of_code_from_elsewhere(monkeypatch, tmp_path, package):
    generate = module_at(ROOT / "docs" / "generate.py")
    generate.refuse_strangers()
    where = tmp_path / package
    where.mkdir()
    (where / "__init__.py").write_text("")
    monkeypatch.setattr(sys.modules[package], "__file__", str(where / "__init__.py"))
    with pytest.raises(SystemExit, match=rf"{package} is loaded from .*{package}; .* run `make install` there"):
        generate.techniques_page()


def test_pages_are_not_made_where_a_plugin_of_this_checkout_is_not_installed(monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "hair-seg")
    generate = module_at(ROOT / "docs" / "generate.py")
    with pytest.raises(SystemExit, match=r"docs/generate.py: kagglekit_clouds is not loaded as a plugin; the pages"):
        generate.techniques_page()


def test_the_page_of_techniques_is_what_their_classes_say_and_leaves_none_out():
    from kagglekit.plugin.registry import discover

    generate = module_at(ROOT / "docs" / "generate.py")
    text = (ROOT / "docs" / "techniques.md").read_text(encoding="utf-8")
    assert text == generate.techniques_page(), "run: python docs/generate.py"
    sections = re.findall(r"^## (\S+)$", text, re.M)
    assert sorted(sections) == sorted(discover().techniques) and len(sections) >= 33


def test_what_changes_images_or_masks_is_shown_before_and_after_in_small_files():
    from kagglekit.plugin.registry import discover

    folder = ROOT / "docs" / "images" / "techniques"
    shown = {path.stem for path in folder.glob("*.jpg")}
    asked = {"kk_augment", "kk_postprocess"}
    wanted = {name for name, (_, kind) in discover().techniques.items() if asked & set(dir(kind))}
    assert shown == wanted and len(shown) >= 14
    for path in folder.glob("*.jpg"):
        assert 5_000 < path.stat().st_size < 60_000, path.name


def test_the_page_of_commands_is_what_the_commands_say_and_leaves_no_option_out():
    generate = module_at(ROOT / "docs" / "generate.py")
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert text == generate.commands_page(), "run: python docs/generate.py"
    assert re.findall(r"^## `kk (\w+)`$", text, re.M) == list(cli.VERBS)
    named = Counter(
        option
        for line in re.findall(r"^- `(-[^`]+)`", text, re.M)
        for option in line.replace(",", " ").split()
        if option[0] == "-"
    )
    assert named == options_of(cli.kk, click.Context(cli.kk, info_name="kk", **cli.kk.context_settings))
    assert (
        sum(named.values()) >= 120
        and "- `--promote INTEGER`: Trials that reach the last rung by merit. *(default 1; x ≥ 1)*" in text
    )


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (click.Option(["--data"], help="Where."), "- `--data TEXT`: Where."),
        (click.Option(["--n"], type=int, default=3, help="How many."), "- `--n INTEGER`: How many. *(default 3)*"),
        (click.Option(["--n"], type=click.IntRange(0, 9), default=0), "- `--n INTEGER`: *(default 0; 0 ≤ x ≤ 9)*"),
        (click.Option(["--all"], is_flag=True, help="Each."), "- `--all`: Each."),
        (click.Option(["--on/--off"], default=False), "- `--on / --off`: *(default --off)*"),
        (click.Option(["--run"], required=True, help="Which."), "- `--run TEXT`: Which. *(required)*"),
        (click.Option(["-o", "--out"], metavar="A|B", multiple=True), "- `-o, --out A|B`"),
    ],
)
def test_a_line_of_the_page_of_commands_says_what_an_option_takes_and_is_by_default(option, line):
    generate = module_at(ROOT / "docs" / "generate.py")
    assert generate.option_line(option, click.Context(click.Command("x", params=[option]))) == line


def options_of(command, ctx) -> Counter:
    """How often each option stands in the verbs below a group."""
    found = Counter()
    for name in command.list_commands(ctx):
        one = command.get_command(ctx, name)
        found.update(text for param in one.params for text in (*param.opts, *param.secondary_opts) if text[0] == "-")
        if isinstance(one, click.Group):
            found += options_of(one, click.Context(one, info_name=name, parent=ctx))
    return found


def commands() -> list[str]:
    # The quickstart's build on each other, see test_pages.py.
    blocks = [
        block
        for page in PAGES
        if page.name != "quickstart.md"
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.S)
    ]
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_every_command_shown_in_a_console_block_runs(monkeypatch, capsys):
    ran = 0
    for line in commands():
        words = shlex.split(line)
        assert words[0] == "kk", line
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 0, f"{line}: {capsys.readouterr().err}"
        ran += 1
    assert ran >= 2


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_names_every_verb_and_no_other(name):
    named = set(re.findall(r"^\| `kk (\w+)", (ROOT / name).read_text(encoding="utf-8"), re.M))
    assert named == set(cli.VERBS)


def test_both_readmes_lead_to_every_page_and_show_the_same():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md")]
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}
    for text in texts:
        assert pages <= set(re.findall(r"\]\(([^)#]+)\)", text))
    first, second = (re.findall(r"^(#+|\| `[^`]+`)", text, re.M) for text in texts)
    assert first.count("##") - 1 == second.count("##")  # shell completion is left out of the Korean one
    assert [cell for cell in first if cell[0] == "|"] == [cell for cell in second if cell[0] == "|"]


def test_the_spaces_that_the_page_on_tuning_shows_can_be_searched(tmp_path):
    from kagglekit.cli.common import solution_of
    from kagglekit.plugin.registry import discover
    from kagglekit.search.space import check_space, default_space, read_space

    solution = solution_of(discover(), "hair-seg")
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "tune.md").read_text(), re.S)
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        check_space(read_space(path, default_space(solution)), solution.recipe, solution.registry)
    assert len(blocks) >= 2


def test_the_ladder_that_the_page_on_tuning_shows_is_the_default_one():
    from kagglekit.cli.common import solution_of
    from kagglekit.plugin.registry import discover
    from kagglekit.search.estimate import counts
    from kagglekit.search.ladder import Plan
    from kagglekit.search.rungs import default_rungs

    solution = solution_of(discover(), "hair-seg")
    rungs = default_rungs(solution.competition, solution.recipe, solution.competition.labelled)
    held = counts(Plan("", solution.recipe, {}, rungs))
    work = [rung.work / rungs[-1].work for rung in rungs]
    text = (ROOT / "docs" / "tune.md").read_text()
    shown = re.findall(r"^\| (\d) \| `(.*?)` \| ([\d.]+) \| (\d+) \|", text, re.M)
    assert [(rung, int(trials)) for _, rung, _, trials in shown] == list(zip(map(str, rungs), held, strict=True))
    assert [float(part) for _, _, part, _ in shown] == pytest.approx(work, abs=0.006)
    instead = f"does {sum(w * n for w, n in zip(work, held, strict=True)):.1f} units of work instead of {held[0]}"
    assert instead in " ".join(text.split())


def test_the_page_on_tuning_names_every_option_and_no_other():
    from kagglekit.cli.tune import tune_command

    real = {name for option in tune_command.params for name in option.opts if name.startswith("-")}
    named = set(re.findall(r"(?<![\w-])(--[a-z-]+|-o)\b", (ROOT / "docs" / "tune.md").read_text()))
    assert named == real | {"--help"}


def test_the_page_on_looking_at_data_names_every_fact_and_its_technique_works(tmp_path):
    from tests.eda.facts import facts

    text = (ROOT / "docs" / "eda.md").read_text()
    rows = re.findall(r"^\| (`.+?) \|", text, re.M)
    last = re.search(r"^(`data`.*) are in the file too", text, re.M)[1]
    named = {key for row in (*rows, last) for key in re.findall(r"`(\w+)`", row)}
    assert named == set(facts())
    (tmp_path / "odd_sizes.py").write_text(re.search(r"```python\n(.*?)```", text, re.S)[1])
    suggest = module_at(tmp_path / "odd_sizes.py").OddSizes.suggest
    assert suggest(facts()) is None and suggest(facts(**{"pictures.different": 12})) == "Images have 12 sizes."


def test_local_links_and_images_exist():
    checked = 0
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith(("http:", "https:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
                checked += 1
    assert checked >= 4


def test_no_document_names_this_checkout():
    for page in PAGES:
        assert str(ROOT) not in page.read_text()


def test_the_example_technique_of_a_stranger_loads_and_wraps():
    from kagglekit.plugin.registry import build, discover
    from kagglekit.plugin.solution import resolve
    from kagglekit.recipe import Recipe, TechniqueSpec

    ours = [(p.name, p.source, lambda m=p.module: m) for p in discover().plugins.values()]
    theirs = (
        "vflip",
        "kagglekit-vflip 0.1.0",
        lambda: module_at(ROOT / "examples/your_first_technique/kagglekit_vflip.py"),
    )
    registry = build([*ours, theirs])
    assert not registry.broken
    techniques = (TechniqueSpec(name="flip-tta"), TechniqueSpec(name="vflip-tta"))
    views = resolve(Recipe(competition="hair-seg", techniques=techniques), registry).views()
    assert [v.name for v in views] == ["identity", "vflip", "hflip", "hflip+vflip"]
    assert sum(v.weight for v in views) == pytest.approx(1)
