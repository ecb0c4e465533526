"""JSON and TOML that others may have written: values, or a ValueError with a sentence; never a RecursionError."""

from __future__ import annotations

from typing import Any

DEEPEST = 64  # levels of nesting; what kagglekit writes has fewer than ten
TOO_DEEP = f"is nested more than {DEEPEST} levels deep; no recipe or record is"


def from_json(text: str) -> Any:
    """The value of a JSON text; raises ValueError, also for NaN, which JSON does not know, and for deep nesting."""
    import json

    try:
        return _shallow(json.loads(text, parse_constant=_refuse))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def from_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text; raises ValueError, also for deep nesting."""
    import tomllib

    try:
        return _shallow(tomllib.loads(text))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _shallow(value: Any) -> Any:
    """The value itself. Dotted keys of TOML nest without recursion, but whoever walks them later would recurse."""
    level = [value]
    for _ in range(DEEPEST + 1):
        containers = [one for one in level if isinstance(one, dict | list)]
        if not containers:
            return value
        level = [inner for one in containers for inner in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(TOO_DEEP)


def lone_surrogates(value: Any) -> str | None:
    """The first text in a JSON-like value that is no Unicode, shown with escapes; None where there is none.

    JSON may hold half of a pair (`\\ud800`), and arguments bytes that are no UTF-8; neither can be written to a file.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode()
        return None
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return next((f for f in map(lone_surrogates, inner) if f), None) if isinstance(inner, list | tuple) else None
