"""One process at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from kagglekit import progress
from kagglekit.files import locked
from kagglekit.runs.folder import cache


@contextmanager
def alone(key: str, does: str) -> Iterator[None]:
    """Only one process of this cache works at `place` at a time; others say what it `does` and wait.

    The lock lies in the cache, not beside what it guards.
    """
    name = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()  # paths hold any bytes
    with locked(cache() / "locks" / f"{name}.lock", lambda: progress.say(f"another process {does}; waiting for it")):
        yield
