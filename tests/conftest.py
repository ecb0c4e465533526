"""What all tests share: fast ones first, folders of their own, where the real pictures lie."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items):
    """Fast tests first, then browsers, then what trains or kills."""
    items.sort(key=lambda item: 2 * bool(item.get_closest_marker("slow")) + bool(item.get_closest_marker("browser")))


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """No test touches the runs, the cache or the samples of the person who runs it."""
    base = tmp_path_factory.mktemp("home")
    for name in ("RUNS", "CACHE", "SAMPLES"):
        monkeypatch.setenv(f"KAGGLEKIT_{name}", str(base / name.lower()))


@pytest.fixture(scope="session")
def real_hair() -> Path:
    """Real photos in the contest's layout; skips where they are not beside the project."""
    folder = REAL / "hair-seg"
    if not folder.is_dir():
        pytest.skip(f"no real photos at {folder}")
    return folder
