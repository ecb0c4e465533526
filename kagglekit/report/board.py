"""A static page over all runs: a table that sorts and filters in the browser, with links to the pages of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kagglekit.files import write_bytes
from kagglekit.report.run_page import page_environment
from kagglekit.runs import folder as folders
from kagglekit.runs.ledger import SHOWN

# folders below the runs with pages of their own
PAGES = {"searches": "search", "ablations": "ablation", "comparisons": "comparison"}


def write_board(rows: Sequence[Mapping[str, Any]], home: Path, out: Path) -> Path:
    """Write `out`/index.html over the ledger's `rows`; links are relative, so that a folder can be published whole."""
    others = [
        {"kind": kind, "name": page.parent.name, "link": _link(page, out)}
        for below, kind in PAGES.items()
        for page in sorted((home / below).glob("*/report.html"))
    ]
    runs = [_row(row, home, out) for row in rows]
    page = (
        page_environment()
        .get_template("board.html.j2")
        .render(runs=runs, columns=SHOWN, others=others, competitions=sorted({run["competition"] for run in runs}))
    )
    out.mkdir(parents=True, exist_ok=True)
    target = out / "index.html"
    write_bytes(target, page.encode("utf-8", errors="backslashreplace"))
    return target


def _row(row: Mapping[str, Any], home: Path, out: Path) -> dict[str, Any]:
    """A row of the table; a run that was never finished has no page to link to."""
    folder = home / row["path"]
    pages = {"page": folder / "report.html", "write-up": folder / "writeup" / "writeup.html"}
    links = {name: _link(path, out) for name, path in pages.items() if path.is_file()}
    return {**row, "run": folder.name, "links": links}


def _link(path: Path, out: Path) -> str:
    import os
    from urllib.parse import quote

    return quote(Path(os.path.relpath(path, out)).as_posix())


def default_board() -> Path:
    """Where the page lies unless said otherwise."""
    return folders.home() / "board"
