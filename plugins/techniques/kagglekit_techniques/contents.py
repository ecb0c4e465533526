"""Files that a technique names: their content belongs to the recipe, and must be the same when they are used.

A recipe that states a content is not compared with the file before the file is needed: whoever predicts with a finished
run needs neither its decisions nor its weights, and may have edited them since.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kagglekit import RecipeError


def fill_in(technique: Any, content: Callable[[], str]) -> None:
    """Set `technique.content` to what the file holds now, unless the recipe states what it held."""
    if not technique.content:
        object.__setattr__(technique, "content", content())


def refuse_other(technique: Any, file: str, found: str) -> None:
    """Raise RecipeError where the file no longer holds what the recipe states."""
    if technique.content != found:
        raise RecipeError(
            f"techniques.{technique.name}: {file} has changed since this recipe was made (content {found}, not "
            f"{technique.content}); bring the old file back, or remove content from the recipe to use the new one"
        )
