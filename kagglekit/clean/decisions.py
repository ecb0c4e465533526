"""What a person decided about labels: a TOML file to edit, read strictly, and the masks that it names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from kagglekit.errors import DataError, did_you_mean
from kagglekit.files import printable
from kagglekit.parsing import from_toml

Action = Literal["keep", "drop", "relabel"]
ACTIONS = get_args(Action)
HEADER = ("competition", "data", "made", "command")
FIELDS = ("sample", "action", "rule", "why", "who", "mask")
ESCAPE = re.compile(r"\\x([89a-f][0-9a-f]|5c)")
EXPLAINED = """\
# What is to happen with labels. Edit the actions, then use this file.
{use}# keep: use the label, whatever a rule says. drop: do not train on it. relabel: train on another mask, and name it:
#   mask = "better.png"    beside this file; PNG of the image's size: 0 and 1 (or 255), the index of the class of each
#                          pixel, or, where classes overlap, a number whose bit k stands for class k
#   who = "your name"      you have seen the mask: validate against it, too. Without it the mask is trained on, no more
"""


@dataclass(frozen=True)
class Decision:
    """What happens with the label of one sample; `mask` is the file of a new one, relative to that of the decisions.

    A new mask that nobody signed (`who`) is a rule's proposal: good enough to learn from, not to be measured by.
    """

    sample: str
    action: Action
    rule: str = ""
    why: str = ""
    who: str = ""
    mask: str = ""


@dataclass(frozen=True)
class Decisions:
    """A file of decisions: for which competition and data (by fingerprint) it was made, when, and by which command."""

    competition: str
    data: str
    decisions: tuple[Decision, ...] = ()
    made: str = ""
    command: str = ""
    path: Path = field(default=Path(), compare=False)
    use: str = field(default="", compare=False)  # the command that follows them, for the people who edit them

    def to_toml(self) -> str:
        """Text that `read` reads back to equal decisions."""
        import tomli_w

        head = {name: printable(getattr(self, name)) for name in HEADER if getattr(self, name)}
        use = f"#   {self.use}\n" if self.use else ""
        return "\n".join([EXPLAINED.format(use=use) + tomli_w.dumps(head), tables(self.decisions)]).rstrip("\n") + "\n"

    def masks(self, signed: bool) -> dict[str, Path]:
        """Sample id -> PNG of those that are labelled anew, by a person or by a rule alone."""
        new = [d for d in self.decisions if d.action == "relabel" and bool(d.who) == signed]
        return {d.sample: self.path.parent / d.mask for d in new}

    def content(self) -> str:
        """16 hex digits over the decisions, the bytes of their masks and whether these are signed, nothing else.

        Raises DataError for a mask that cannot be read.
        """
        state = hashlib.blake2b(digest_size=8)
        for d in sorted(self.decisions, key=lambda d: d.sample):
            state.update(f"{d.sample}\0{d.action}\0".encode("utf-8", "surrogatepass"))
            if d.action == "relabel":
                state.update(b"signed\0" if d.who else b"")
                state.update(_bytes(self.path, d.sample, self.path.parent / d.mask))
        return state.hexdigest()

    def extended(self, more: Iterable[Decision]) -> Decisions:
        """The same decisions, and those of `more` on samples that nothing was decided about."""
        known = {d.sample for d in self.decisions}
        return replace(self, decisions=(*self.decisions, *(d for d in more if d.sample not in known)))


def tables(decisions: Iterable[Decision]) -> str:
    """The TOML text of some decisions, which may stand at the end of a file of others."""
    import tomli_w

    rows = [{name: _escaped(getattr(d, name)) for name in FIELDS if getattr(d, name)} for d in decisions]
    return "\n".join(f"[[decision]]\n{tomli_w.dumps(row)}" for row in rows)


def _escaped(text: str) -> str:
    """Text that TOML takes: bytes of a file's name that are no UTF-8 as `\\xb0`; `_unescaped` takes it back."""
    text = text.replace("\\x", "\\x5cx")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)


def _unescaped(text: str) -> str:
    return ESCAPE.sub(lambda found: "\\" if found[1] == "5c" else chr(0xDC00 + int(found[1], 16)), text)


def read(path: Path) -> Decisions:
    """The decisions of a TOML file; raises DataError naming the file, the fault and what to do."""
    path = Path(path)
    try:
        content = from_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"decisions {path}: no such file; `kk clean ID --data DIR` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"decisions {path}: cannot be read: {error}") from error
    except ValueError as error:
        raise DataError(f"decisions {path}: not valid TOML: {error}") from error
    rows = content.pop("decision", [])
    _refuse_unknown(f"decisions {path}", content, HEADER, required=("competition", "data"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"decisions {path}: decision must be a list of tables; write [[decision]] above each")
    decisions, seen = [], set()
    for number, row in enumerate(rows, 1):
        one = _decision(path, number, row)
        if one.sample in seen:
            raise DataError(f"decisions {path}: {one.sample} is decided twice; remove one of its [[decision]] tables")
        seen.add(one.sample)
        decisions.append(one)
    head = {name: content.get(name, "") for name in HEADER}
    return Decisions(decisions=tuple(decisions), path=path, **head)


def _decision(path: Path, number: int, row: Mapping[str, Any]) -> Decision:
    who = f"decisions {path}: decision {number}" + (f" ({row['sample']})" if row.get("sample") else "")
    _refuse_unknown(who, row, FIELDS, required=("sample", "action"))
    values: dict[str, Any] = {name: _unescaped(value) for name, value in row.items()}
    one = Decision(**values)
    if one.action not in ACTIONS:
        raise DataError(f"{who}: action {one.action!r} is not one of {', '.join(ACTIONS)}")
    if bool(one.mask) != (one.action == "relabel"):
        fault = 'relabel needs a mask; add mask = "FILE.png"' if not one.mask else f"{one.action} takes no mask"
        raise DataError(f"{who}: {fault}")
    if one.mask:
        file = path.parent / one.mask
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise DataError(f"{who}: mask {one.mask} lies outside the folder of this file; move it beside it")
        if not file.is_file():
            raise DataError(
                f"{who}: mask {one.mask} does not exist in {path.parent}; save it there, or change the action"
            )
    return one


def _refuse_unknown(who: str, table: Mapping[str, Any], known: Sequence[str], required: Sequence[str]) -> None:
    for key, value in table.items():
        if key not in known:
            raise DataError(f"{who}: {key} is not known{did_you_mean(key, known)}; use {', '.join(known)}")
        if not isinstance(value, str):
            raise DataError(f'{who}: {key} must be text; write {key} = "{value}"')
    for key in required:
        if not table.get(key):
            raise DataError(f"{who}: {key} is missing")


def check(decisions: Decisions, competition: str, samples: Collection[str], data_fingerprint: str = "") -> None:
    """Raise DataError for decisions on another competition or other data than those with the ids `samples`.

    `mark` is the fingerprint of the data, "" where it is not known.
    """
    who = f"decisions {decisions.path}"
    if decisions.competition != competition:
        raise DataError(f"{who}: made for {decisions.competition}, not for {competition}; give the file of this one")
    again = "make them anew with `kk clean`"
    if data_fingerprint and decisions.data != data_fingerprint:
        raise DataError(
            f"{who}: made for data with the fingerprint {decisions.data}, these have "
            f"{data_fingerprint}; {again}, or, if you know "
            f'that they fit, write data = "{data_fingerprint}" into the file'
        )
    unknown = [d.sample for d in decisions.decisions if d.sample not in samples]
    if unknown:
        raise DataError(
            f"{who}: the data have no training image {unknown[0]}{did_you_mean(unknown[0], samples)}"
            f"{f' (and {len(unknown) - 1} more of the decisions)' if len(unknown) > 1 else ''}; {again}"
        )


def _bytes(where: Path, sample: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        of = f" of {sample}" if sample else ""
        raise DataError(f"decisions {where}: mask {file}{of}: cannot be read: {error.strerror}") from error
