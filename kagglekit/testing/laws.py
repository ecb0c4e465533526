"""What a law is, and how one is judged: a function with a sentence, that returns if its subject keeps the law."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kagglekit.errors import KagglekitError, RecipeError

Kind = Literal["plugin", "competition", "technique", "stage"]
MARK = "law_of_the_kit"


class Violation(AssertionError):
    """A law is broken; the message says by what and what to do."""


class NotApplicable(Exception):
    """A law says nothing of this subject, or cannot be judged; the message says why."""


@dataclass(frozen=True)
class Law:
    """A named check. Laws of the kind "stage" hold for competitions and techniques alike.

    With a `hook` it is asked only of those who have it. `once`: one world is enough, because asking may take long.
    """

    name: str
    kind: Kind
    text: str
    check: Callable[[Any], str | None]
    hook: str = ""
    once: bool = False


@dataclass(frozen=True)
class Verdict:
    """How a subject stands with a law: "pass", "fail" or "skip", and why."""

    subject: str
    law: str
    text: str
    status: Literal["pass", "fail", "skip"]
    reason: str
    seconds: float


def law(kind: Kind, hook: str = "", once: bool = False) -> Callable:
    """Mark a function as the check of a law; its name is the law's, its docstring says the law."""

    def mark(check: Callable) -> Callable:
        setattr(check, MARK, (kind, hook, once))
        return check

    return mark


def laws_in(module: Any) -> list[Law]:
    """The laws of a module, in the order in which they are written."""
    found = [(name, f) for name, f in vars(module).items() if hasattr(f, MARK) and f.__module__ == module.__name__]
    return [Law(name, kind, f.__doc__.split("\n")[0], f, hook, once) for name, f in found for kind, hook, once in
            [getattr(f, MARK)]]  # fmt: skip


def require(condition: Any, message: str) -> None:
    """Raise Violation with `message` unless `condition` holds."""
    if not condition:
        raise Violation(message)


def check_law(law: Law, subject: Any) -> Verdict:
    """Ask whether `subject` keeps `law`; whatever the plugin raises is a verdict, never an error of the kit."""
    started = time.perf_counter()
    status: Literal["pass", "fail", "skip"] = "pass"
    reason = ""
    try:
        reason = (_over_hosts(law, subject) if law.kind == "stage" else law.check(subject)) or ""
    except NotApplicable as why:
        status, reason = "skip", str(why)
    except (Violation, KagglekitError) as fault:
        status, reason = "fail", str(fault)
    except (Exception, SystemExit) as error:  # code under test may do anything; that is what there is to report
        status, reason = "fail", f"{type(error).__name__}: {error}"
    if status == "fail":
        subject.failed.append(law.name)
    return Verdict(str(subject), law.name, law.text, status, reason, time.perf_counter() - started)


def _over_hosts(law: Law, subject: Any) -> str:
    """Judge a stage in every world that the subject fits; one that it refuses for a stated reason does not count."""
    refusals, checked = [], 0
    for host in subject.hosts():
        try:
            law.check(host)
            checked += 1
            if law.once:
                break
        except RecipeError as refusal:
            refusals.append(str(refusal))
        except Violation as fault:
            raise Violation(f"{fault} ({host})") from fault
    if not checked:
        raise NotApplicable(f"it does not fit: {refusals[0]}" if refusals else "there is nothing to try it on")
    return f"in {checked} of {checked + len(refusals)} worlds; refused: {refusals[0]}" if refusals else ""
