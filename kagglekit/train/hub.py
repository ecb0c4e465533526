"""The model hub, asked only when it can answer: without a network its client retries for most of a minute."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

PATIENCE = 3.0  # seconds to wait for a connection


@contextmanager
def cached_when_unreachable() -> Iterator[bool]:
    """Inside the block the hub's client uses its cache alone if the hub cannot be reached; yields whether it can."""
    from huggingface_hub import constants

    reachable = is_reachable(constants.ENDPOINT)
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable
    try:
        yield reachable and not before
    finally:
        constants.HF_HUB_OFFLINE = before


def is_reachable(address: str) -> bool:
    """Does anybody listen at `address`? Behind a proxy the answer is the proxy's business, so yes."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port or 443), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
