"""Facts to files: one HTML page, the same as Markdown with its images, a notebook, and the facts themselves."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import RunError, UsageError
from kagglekit.files import write_bytes, write_text
from kagglekit.plugin.registry import Registry
from kagglekit.publish.writeup.facts import gather, stale
from kagglekit.publish.writeup.page_images import PageImage, images_of
from kagglekit.publish.writeup.words import WORDS
from kagglekit.report.run_page import duration_text, page_environment, score_text, setting_text
from kagglekit.runs import folder as folders
from kagglekit.runs.reading import read, text_of
from kagglekit.runs.record import Writeup

NOTES, FACTS = "notes.md", "writeup.json"  # the author's own text, and what the write-up says, below a run's folder
TRIPLE = 3  # images of one example: the photo, its truth, the prediction
BEST, WORST = 2, 4  # examples that are shown


@dataclass(frozen=True)
class Section:
    """A headline with paragraphs, a table (the first row its head) and examples (title, images)."""

    key: str
    title: str
    text: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    items: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    examples: tuple[tuple[str, tuple[PageImage, ...]], ...] = ()


def write_up(registry: Registry, folder: Path, lang: str = "en", out: Path | None = None) -> dict[str, str]:
    """Write the write-up of a finished run into its folder, or to `out`; returns the paths. Raises KagglekitError.

    `notes.md` beside the run is the author's: it is taken in and never written.
    """
    if lang not in WORDS:
        raise UsageError(f"--lang {lang}: there is {' and '.join(WORDS)}")
    out = out or folder / "writeup"
    facts = gather(registry, folder)
    images = images_of(folder / "report.html")
    notes = text_of(folder / NOTES) if (folder / NOTES).is_file() else ""
    found = list(sections(facts, WORDS[lang], images))
    title = WORDS[lang]["solution"].format(**_headline(facts))
    out.mkdir(parents=True, exist_ok=True)
    page = (
        page_environment()
        .get_template("writeup.html.j2")
        .render(
            title=title, lang=lang, words=WORDS[lang], facts=facts, sections=found, notes=_html(notes), embed=_embed
        )
    )
    write_bytes(out / "writeup.html", page.encode("utf-8", errors="backslashreplace"))
    for section in found:
        for number, (_, some) in enumerate(section.examples):
            for position, image in enumerate(some):
                write_bytes(out / _file(section.key, number, position, image), image.content)
    write_text(out / "writeup.md", markdown(title, WORDS[lang], facts, found, notes))
    write_text(out / "writeup.ipynb", notebook(title, WORDS[lang], facts))
    try:
        write_text(folder / FACTS, json.dumps({"lang": lang, "facts": facts}, indent=1) + "\n")
    except OSError as error:
        if not folders.is_read_only(error):
            raise
        progress.say(f"note: {folder} cannot be written, so that `kk writeup --check` will not know this write-up")
    return {kind: str(out / f"writeup.{kind}") for kind in ("html", "md", "ipynb")}


def check(registry: Registry, folder: Path) -> list[str]:
    """What the write-up of a run says and its record no longer does; raises RunError where there is no write-up."""
    if not (folder / FACTS).is_file():
        raise RunError(f"run {folder.name} has no write-up; kk writeup {folder.name} makes one")
    again = f"`kk writeup {folder.name}` makes it anew"
    saved = read(folder / FACTS, Writeup, again).facts
    return stale(saved, json.loads(json.dumps(gather(registry, folder))))


def _headline(facts: Mapping[str, Any]) -> dict[str, str]:
    score = facts["scores"]["test"] or facts["scores"]["validation"]
    return {"title": facts["competition"]["title"], "metric": facts["metric"]["name"],
            "score": score_text(score["value"])}  # fmt: skip


def sections(facts: Mapping[str, Any], w: Mapping[str, str], images: Sequence[PageImage]) -> Iterator[Section]:
    """The parts of a write-up in their order."""
    contest, data = facts["competition"], facts["data"]
    text = w["task_text"].format(**contest | {"classes": ", ".join(contest["classes"])})
    yield Section("task", w["task"], (text,))
    yield _score(facts, w)
    counts = {k: data["counts"][k] for k in ("train", "validation", "test")}
    rules = tuple(f"{rule}: {count}" for rule, count in data["rules"].items())
    wrong = w["left_out"].format(count=len(data["skipped"])) if data["skipped"] else w["nothing_wrong"]
    said = [w["data_text"].format(**counts, fingerprint=data["fingerprint"])]
    if replaced := data["replaced"]:
        named = ", ".join(f"{rule}: {count}" for rule, count in replaced.items())
        said.append(w["replaced"].format(count=sum(replaced.values()), rules=named))
    yield Section("data", w["data"], (*said, wrong), items=rules)
    yield _techniques(facts, w)
    if facts["search"]:
        yield _search(facts["search"], w)
    yield from _images(w, images)
    rows = tuple((key, setting_text(value)) for key, value in facts["recipe"]["values"].items())
    yield Section("recipe", w["recipe"], (), ((w["setting"], w["value"]), *rows))
    if contest["references"]:
        yield Section("sources", w["sources"], items=tuple(contest["references"]))
    seconds, hardware = facts["cost"]["seconds"], facts["environment"]["hardware"]
    machine = ", ".join(f"{k.replace('_', ' ')} {setting_text(v)}" for k, v in hardware.items())
    cost = w["cost_text"].format(
        total=duration_text(seconds["total"]), train=duration_text(seconds["train"]), hardware=machine
    )
    yield Section("cost", w["cost"], (cost,))
    hashes = w["weights"].format(hashes=", ".join(facts["weights"]))
    yield Section("check", w["check"], (w["check_text"], hashes), code=tuple(facts["commands"]))
    versions = tuple((k, str(v)) for k, v in facts["environment"]["versions"].items())
    yield Section("environment", w["environment"], (facts["environment"]["weights"],), (("", ""), *versions))


def _score(facts: Mapping[str, Any], w: Mapping[str, str]) -> Section:
    rows = [(facts["metric"]["name"], "", w["interval"], w["pictures_count"])]
    for part in ("validation", "test"):
        if one := facts["scores"][part]:
            interval = f"{score_text(one['low'])} – {score_text(one['high'])}"
            rows.append((w[part], score_text(one["value"]), interval, str(one["count"])))
    for name, both in facts["also"].items():
        rows += [(f"{name}, {w[part]}", score_text(both[part]), "", "") for part in both if both[part] is not None]
    text = [f"**{w['warning']}** {warning}" for warning in facts["warnings"]]
    if seeds := facts["seeds"]:
        values = list(seeds["scores"].values())
        low, high, bottom, top = (score_text(v) for v in (min(values), max(values), *seeds["band"]))
        said = {"count": len(values), "low": low, "high": high, "band_low": bottom, "band_high": top}
        text.append(w["seed_noise"].format(**said))
    else:
        text.append(w["no_seeds"])
    return Section("score", w["score"], tuple(text), tuple(rows))


def _techniques(facts: Mapping[str, Any], w: Mapping[str, str]) -> Section:
    found = facts["ablation"]
    if not found:
        command = f"kk ablate {facts['competition']['id']} --data DIR"
        return Section("techniques", w["techniques"], (w["no_ablation"],), code=(command,))

    def said(one: Mapping[str, Any] | None) -> str:
        if not one:
            return ""
        return f"{score_text(one['value'], True)} ({score_text(one['low'], True)} … {score_text(one['high'], True)})"

    rows = [(w["technique"], w["with_others"], w["verdict"], w["alone"])]
    for e in sorted(found["effects"], key=lambda e: -e["left_out"]["value"]):
        rows.append((e["axis"], said(e["left_out"]), w[e["left_out"]["verdict"]], said(e.get("alone"))))
    text = [w["ablation_text"].format(**found)] + ([] if found["same_recipe"] else [w["other_recipe"]])
    return Section("techniques", w["techniques"], tuple(text), tuple(rows), code=(found["command"],))


def _search(found: Mapping[str, Any], w: Mapping[str, str]) -> Section:
    share, second = found["cost"]["share"], found["runner_up"]
    part = w["share"].format(share=f"{100 * share:.0f}%") if share else ""
    text = [w["search_text"].format(cost=duration_text(found["cost"]["seconds"]), share=part, **{
        k: found[k] for k in ("trials", "id")})]  # fmt: skip
    if second and second["lead"]:
        text.append(w["lead"].format(**{k: score_text(second["lead"][k], True) for k in ("value", "low", "high")}))
    changes = tuple(f"{key}: {setting_text(old)} → {setting_text(new)}" for key, (old, new) in found["changes"].items())
    return Section("search", w["search"], tuple(text), items=changes, code=(found["command"],))


def _images(w: Mapping[str, str], images: Sequence[PageImage]) -> Iterator[Section]:
    cards = [tuple(images[i : i + TRIPLE]) for i in range(0, len(images) - TRIPLE + 1, TRIPLE)]
    if not cards:
        return
    middle = (len(cards) + 1) // 2  # a run's page shows the best first, then the worst, the worst of all before others
    examples = [(w["best"], card) for card in cards[:middle][:BEST]]
    examples += [(w["worst"], card) for card in cards[middle:][:WORST]]
    yield Section("pictures", w["pictures"], examples=tuple(examples))


def _embed(image: PageImage) -> str:
    kind = {".jpg": "jpeg", ".png": "png"}[image.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(image.content).decode()}"


def _file(key: str, number: int, position: int, image: PageImage) -> str:
    return f"{key}/{number}-{position}{image.suffix}"


def _html(text: str) -> str:
    """An author's Markdown as HTML; HTML in it stays text, and links lead nowhere but to the web."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").render(text)


def markdown(title: str, w: Mapping[str, str], facts: Mapping[str, Any], found: Sequence[Section], notes: str) -> str:
    """The write-up as Markdown; images lie beside it."""
    lines = [f"# {_plain(title)}", "", w["made"].format(run=facts["run"]), ""]
    if notes.strip():
        lines += [f"## {w['notes']}", "", notes.strip(), ""]
    for section in found:
        lines += [f"## {_plain(section.title)}", "", *(line for text in section.text for line in (_plain(text), ""))]
        if section.rows:
            head, *rows = section.rows
            lines += [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows), ""]
        lines += [f"- {_plain(item)}" for item in section.items] + ([""] if section.items else [])
        if section.code:
            lines += ["```", *section.code, "```", ""]
        for number, (name, some) in enumerate(section.examples):
            shown = (f"![{_plain(p.alt)}]({_file(section.key, number, i, p)})" for i, p in enumerate(some))
            lines += [f"{_plain(name)}: " + " ".join(shown), ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text that Markdown takes for text: names of files may hold anything."""
    return text.replace("<", "&lt;").replace("[", "\\[").replace("\n", " ")


def notebook(title: str, w: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """A Kaggle notebook that runs the same commands."""
    packages = " ".join(
        sorted({name.split(" ")[0] for name in facts["environment"]["plugins"].values()} | {"kagglekit"})
    )

    def cell(kind: str, text: str) -> dict[str, Any]:
        code: dict[str, Any] = {"outputs": [], "execution_count": None} if kind == "code" else {}
        return {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True), **code}

    cells = [cell("markdown", f"# {_plain(title)}\n\n{w['made'].format(run=facts['run'])}"),
             cell("code", f"!pip install --quiet {packages}")]  # fmt: skip
    cells += [cell("code", f"!{command}") for command in facts["commands"]]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
