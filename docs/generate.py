"""Writes docs/hooks.md from the hook specifications; a test fails when the file on disk differs.

Run it after changing a hook: `python docs/generate.py`.
"""

import inspect
from pathlib import Path

from kagglekit import defaults
from kagglekit.plugins import SPECS

HEAD = """# Hooks

What a plugin may answer. Made from `kagglekit/hookspecs.py` by `docs/generate.py`.

A plugin is a module named by an entry point of the group `kagglekit`; hooks are its functions marked with
`@kagglekit.hookimpl`. A technique is a frozen dataclass with a `name`, returned by `kk_techniques()`, whose methods
wrap hooks with `@kagglekit.hookimpl(wrapper=True)`: each yields once, receives what the competition and the techniques
before it made, and returns what it makes of it. [examples/](../examples) holds one to copy.

Arguments are passed by name: name those you need, without defaults. None means "not mine".
"""


def hooks_page() -> str:
    """The text of docs/hooks.md."""
    parts = [HEAD]
    for name, spec in SPECS.items():
        asked = "the first answer counts" if spec.kagglekit_spec["firstresult"] else "all plugins are asked"
        answered = "the engine has an answer" if hasattr(defaults, name) else "the engine has no answer"
        parts.append(f"## `{name}{inspect.signature(spec)}`\n\n*{asked}; {answered}*\n\n{inspect.getdoc(spec)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("hooks.md").write_text(hooks_page(), encoding="utf-8")
