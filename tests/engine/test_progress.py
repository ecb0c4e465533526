"""Progress never changes what it shows, keeps stdout clean, and speaks plainly where there is no terminal."""

import io
import re

import pytest

from kagglekit import progress
from kagglekit.progress import Console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """It is."""
        return True


@pytest.mark.parametrize("console", [Console(io.StringIO()), Console(Terminal()), Console(quiet=True)])
@pytest.mark.parametrize("total", [None, 5, 3])
def test_tracking_yields_the_same_items_in_order(console, total):
    assert list(console.track(iter("hello"), total, "greeting")) == list("hello")
    assert list(console.track([], total, "nothing")) == []


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_items_are_taken_one_by_one_and_an_error_passes_through(stream):
    taken = []

    def items():
        for i in range(3):
            taken.append(i)
            yield i
        raise ValueError("broken item")

    tracked = Console(stream).track(items(), 3, "taking")
    assert taken == []
    assert next(tracked) == 0 and taken == [0]
    with pytest.raises(ValueError, match="broken item"):
        list(tracked)


def test_a_tracker_that_is_left_early_is_over():
    stream = Terminal()
    for item in Console(stream).track(range(100), 100, "leaving"):
        if item == 3:
            break
    assert list(Console(stream).track(range(3), 3, "the next one")) == [0, 1, 2]


def test_what_is_done_at_once_says_nothing_where_there_is_no_terminal():
    stream = io.StringIO()
    list(Console(stream).track(range(1000), 1000, "counting"))
    assert stream.getvalue() == ""


def test_a_long_task_says_now_and_then_how_far_it_is_and_how_long_it_will_take(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    for _ in Console(stream).track(range(100), 100, "decoding"):
        now[0] += 1
    assert stream.getvalue().splitlines() == [
        "decoding: 30/100, 70 s left",
        "decoding: 60/100, 40 s left",
        "decoding: 90/100, 10 s left",
    ]


def test_without_a_total_the_count_alone_is_said(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0)
    stream = io.StringIO()
    list(Console(stream).track("ab", None, "reading"))
    assert stream.getvalue().splitlines() == ["reading: 1", "reading: 2"]


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    monkeypatch.setattr(progress, "QUIET", -1)
    stream = Terminal()
    list(Console(stream).track(range(7), 7, "decoding"))
    shown = stream.getvalue()
    assert "decoding" in shown and "7/7" in shown
    assert shown.rstrip("\n").endswith("\x1b[2K")  # the line is wiped at the end


def test_news_go_to_stderr_so_that_stdout_can_be_piped(capsys):
    with progress.console(Console()):
        progress.say("news")
        list(progress.track(range(3), 3, "x"))
    assert capsys.readouterr() == ("", "news\n")


def test_a_quiet_console_is_silent_but_still_keeps_the_log(tmp_path, capsys):
    console = Console(quiet=True)
    console.log = tmp_path / "log.txt"
    console.say("epoch 1")
    console.say("epoch 2: größer")
    assert capsys.readouterr() == ("", "")
    lines = console.log.read_text(encoding="utf-8").splitlines()
    assert [re.fullmatch(r"\d\d:\d\d:\d\d (.*)", line)[1] for line in lines] == ["epoch 1", "epoch 2: größer"]


def test_a_console_is_current_inside_its_block_alone_even_after_an_error():
    outer, inner = io.StringIO(), io.StringIO()
    with progress.console(Console(outer)):
        with pytest.raises(ZeroDivisionError), progress.console(Console(inner)) as current:
            assert isinstance(current, Console)
            progress.say("in")
            _ = 1 / 0
        progress.say("out")
    assert (outer.getvalue(), inner.getvalue()) == ("out\n", "in\n")
