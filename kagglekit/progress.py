"""Progress for people: bars with time left on a terminal, plain lines elsewhere; always on stderr.

One `Console` is current at a time; code that takes long calls `track`, code with news calls `say`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from kagglekit.files import printable

QUIET = 2.0  # seconds: what is done sooner is not worth a bar
EVERY = 30.0  # seconds between two plain lines


class Console:
    """Where progress and news go; `log` keeps a copy of the news with times."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False):
        self.given = stream
        self.quiet = quiet
        self.log: Path | None = None

    @property
    def stream(self) -> TextIO:
        """Where news go: what was given, else what stderr is at the moment."""
        return self.given or sys.stderr

    def say(self, text: str) -> None:
        """One line of news."""
        if not self.quiet:
            print(printable(text), file=self.stream, flush=True)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%H:%M:%S')} {printable(text)}\n")

    def track(self, items: Iterable[Any], total: int | None = None, description: str = "") -> Iterator[Any]:
        """Yield the same items, showing how far along they are."""
        if self.quiet:
            yield from items
        elif self.stream.isatty():
            yield from self._bar(items, total, description)
        else:
            yield from self._lines(items, total, description)

    def _bar(self, items: Iterable[Any], total: int | None, description: str) -> Iterator[Any]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        started = time.monotonic()
        # Transient: when done, the line belongs to what comes next; the news of the stage says what was done.
        with Progress(*columns, console=RichConsole(file=self.stream), transient=True, disable=False) as bar:
            task = bar.add_task(description, total=total, visible=False)
            for item in items:
                yield item
                bar.update(task, advance=1, visible=time.monotonic() - started > QUIET / 4)

    def _lines(self, items: Iterable[Any], total: int | None, description: str) -> Iterator[Any]:
        started = said = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - said >= EVERY:
                said = now
                left = f", {(now - started) / done * (total - done):.0f} s left" if total else ""
                self.say(f"{description}: {done}{f'/{total}' if total else ''}{left}")


_current = Console()


@contextmanager
def console(new: Console) -> Iterator[Console]:
    """Make `new` the current console inside the block."""
    global _current
    old, _current = _current, new
    try:
        yield new
    finally:
        _current = old


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Keep a copy of the news in the file `path` inside the block."""
    old, _current.log = _current.log, path
    try:
        yield
    finally:
        _current.log = old


def track(items: Iterable[Any], total: int | None = None, description: str = "") -> Iterable[Any]:
    """Yield the same items, showing on stderr how far along they are."""
    return _current.track(items, total, description)


def say(text: str) -> None:
    """Tell one line of news, on stderr and in the log of the run."""
    _current.say(text)
