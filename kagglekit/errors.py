"""Errors that a user can meet: each says who, what is wrong and what to do.

`exit_code` is what the command line returns: 1 the work failed, 2 it was asked wrongly.
"""

from __future__ import annotations

from collections.abc import Iterable


class KagglekitError(Exception):
    """Base of every error that is shown as one message without a traceback."""

    exit_code = 1


class PluginError(KagglekitError):
    """A plugin does not load, misspells a hook, or answers something that does not fit."""


class RecipeError(KagglekitError):
    """A recipe or an override names an unknown key, or a value of a wrong type or range."""

    exit_code = 2


class DataError(KagglekitError):
    """A data folder, an image or a label cannot be used as it is."""


class SubmissionError(KagglekitError):
    """A submission file does not have the form the competition asks for."""


class RunError(KagglekitError):
    """A run cannot start, go on or be found."""


class UsageError(KagglekitError):
    """A command was asked for something that does not exist."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to end an error with: `; did you mean X?`, or the known words when none is near."""
    from difflib import get_close_matches

    known = sorted(map(str, known))
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    if not known:
        return ""
    return "; known: " + ", ".join(known)


def first_line(error: Exception) -> str:
    """What a library says first, without codes of a terminal; the kind of the error where it says nothing."""
    import re

    lines = (re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).strip() for line in str(error).splitlines())
    text = next((line for line in lines if line), "")
    return "".join(c if c.isprintable() else "?" for c in text)[:200].rstrip(":") or type(error).__name__
