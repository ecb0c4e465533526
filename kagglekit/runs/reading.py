"""JSON records read once and typed: a value of the asked kind, or a sentence.

Others may have written them: they come with bundles and shared folders. What a sentence names is the file, the key, the
fault and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kagglekit import progress
from kagglekit.errors import KagglekitError, RunError
from kagglekit.runs import folder as folders

SCHEMA = 1  # of records; those of before it was written count as 0, and what they lack has defaults
REPAIR = "remove the folder, or make it anew by repeating its command"

Kind = TypeVar("Kind")


def read(path: Path, kind: type[Kind], advice: str = "", needed: Iterable[str] = ()) -> Kind:
    """The JSON object of a file as `kind`; raises RunError that names the file, the key, the fault and `advice`.

    `needed` are keys, dotted where they lie deeper, that must be there although `kind` has defaults for them. A record
    of a later schema than `SCHEMA` is refused.
    """
    return typed(folders.read_json(path), kind, path, advice, needed)


def typed(found: Any, kind: type[Kind], who: object, advice: str = "", needed: Iterable[str] = ()) -> Kind:
    """A JSON-like value as `kind`; raises RunError."""
    try:
        if isinstance(found, Mapping) and (schema := msgspec.convert(found.get("schema", 0), int)) > SCHEMA:
            raise RunError(
                f"{who}: was written by a newer kagglekit (schema {schema}, this one reads up to {SCHEMA}); "
                "update kagglekit"
            )
        value = msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        fault, _, place = str(error).partition(" - at ")
        key = place.strip("`").removeprefix("$").lstrip(".")
        raise damaged(who, key, fault[:1].lower() + fault[1:].replace("`", ""), advice) from error
    for key in needed:
        check_there(found, key, who, advice)
    return value


def check_there(found: Any, key: str, who: object, advice: str = "") -> None:
    """Raise RunError unless the dotted `key` is there and not null; parts of a null are not asked for."""
    *above, name = key.split(".")
    for part in above:
        found = found.get(part)
        if found is None:
            return
    if name not in found:
        raise damaged(who, ".".join(above), f"object missing required field {name}", advice)
    if found[name] is None:
        raise damaged(who, key, "expected a value, got null", advice)


def damaged(who: object, key: str, fault: str, advice: str = "") -> RunError:
    """The sentence on a damaged record."""
    return RunError(f"{who}: damaged: {key + ': ' if key else ''}{fault}; {advice or REPAIR}")


def text_of(path: Path, advice: str = "save it as UTF-8") -> str:
    """The text of a file; raises RunError for one that is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start}); {advice}") from error


def sound(paths: Iterable[Path], reader: Callable[[Path], Kind]) -> Iterator[tuple[Path, Kind]]:
    """What `reader` reads of each path; of one that it cannot read a line says what is wrong, and it is passed over.

    Somebody else's damage must not end what is done with all the rest.
    """
    for path in paths:
        try:
            yield path, reader(path)
        except (KagglekitError, OSError) as error:
            pass_over(error)


def pass_over(error: Exception) -> None:
    """Say what is wrong with a record that is passed over."""
    progress.say(f"note: {error} (passed over)")
