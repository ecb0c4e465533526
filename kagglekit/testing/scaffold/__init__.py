"""New distributions from templates: small, whole, and passing their own tests as they are."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.files import new_folder

TEMPLATES = {
    "pyproject.toml.txt": "pyproject.toml",
    "module.py.txt": "@MODULE@.py",
    "test.py.txt": "test_@MODULE@.py",
    "README.md.txt": "README.md",
}
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40


def create(kind: str, name: str, out: Path, version: str) -> Path:
    """Write a distribution that brings the competition or technique `name` to the new folder `out`; returns it.

    Written beside and renamed: whatever happens, `out` is whole or not there. Raises UsageError for a name that cannot
    be one, and for a folder that exists.
    """
    check_name(name)
    out = Path(out)
    if out.exists():
        raise UsageError(f"{out}: exists; name another folder with --out, nothing is overwritten")
    values = words(name, version)
    with new_folder(out) as part:
        for template, target in TEMPLATES.items():
            text = (Path(__file__).parent / kind / template).read_text(encoding="utf-8")
            (part / filled(target, values)).write_text(filled(text, values), encoding="utf-8")
    return out


def check_name(name: str) -> None:
    """Raises UsageError for a name that people could not type, or Python could not import."""
    if not NAME.fullmatch(name) or len(name) > LONGEST or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot be a name; use up to {LONGEST} small letters and digits, words joined by single hyphens, "
            "beginning with a letter"
        )


def words(name: str, version: str) -> dict[str, str]:
    """What stands in a template for what."""
    parts = name.split("-")
    return {
        "@NAME@": name,
        "@MODULE@": "_".join(["kagglekit", *parts]),
        "@CLASS@": "".join(part.capitalize() for part in parts),
        "@TITLE@": " ".join(part.capitalize() for part in parts),
        "@DIST@": f"kagglekit-{name}",
        "@VERSION@": ".".join(version.split(".")[:2]),
    }


def filled(text: str, values: dict[str, str]) -> str:
    """`text` with all of its placeholders replaced."""
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
