"""One process at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from kagglekit import progress
from kagglekit.runs.folder import cache


@contextmanager
def alone(place: str, does: str) -> Iterator[None]:
    """Only one process of this cache works at `place` at a time; others say what it `does` and wait.

    The lock lies in the cache, not beside what it guards.
    """
    from filelock import FileLock, Timeout

    locks = cache() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.blake2b(place.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()  # paths hold any bytes
    lock = FileLock(locks / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say(f"another process {does}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
