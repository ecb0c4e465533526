"""What all tests share: fast ones first, folders of their own, where the real images lie."""

import signal
from pathlib import Path

import pytest

from kagglekit import files

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "data"
ORDER = ("fast", "browser", "demo", "long", "slow")  # what is long is begun early: begun last, it would end alone
EARLY = ("test_workers.py", "test_on_ray.py", "test_end_to_end.py", "test_installed.py")  # minutes each


# Where the tests run in the background, interrupts are ignored, by the programs that they start and interrupt as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items):
    """Fast tests first, then browsers, then what trains or kills.

    Slow tests of a file share what they set up, so one worker runs them all; demos share nothing, and contests do not
    share with each other.
    """
    items.sort(key=lambda item: (ORDER.index(kind(item)), kind(item) != "fast" and item.path.name not in EARLY))
    for item in items:
        if kind(item) != "fast":
            item.add_marker(pytest.mark.xdist_group(group_of(item)))


def group_of(item: pytest.Item) -> str:
    """The tests that one worker runs, one after the other."""
    if kind(item) == "demo":
        return item.nodeid
    contest = item.callspec.id if item.path.name == "test_contests.py" and hasattr(item, "callspec") else ""
    return f"{item.path}{contest}"


def kind(item: pytest.Item) -> str:
    """How long a test takes, by its markers; a demo trains on real images."""
    if item.get_closest_marker("long"):
        return "demo" if item.get_closest_marker("real") else "long"
    if item.get_closest_marker("slow"):
        return "slow"
    return "browser" if item.get_closest_marker("browser") else "fast"


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """No test touches the runs, the cache or the samples of the person who runs it."""
    base = tmp_path_factory.mktemp("home")
    files._tidied.clear()  # folders of tests that passed are removed, and their names used again
    for name in ("RUNS", "CACHE", "SAMPLES"):
        monkeypatch.setenv(f"KAGGLEKIT_{name}", str(base / name.lower()))


@pytest.fixture(scope="session")
def real_hair() -> Path:
    """Real photos in the contest's layout; skips where they are not beside the project."""
    folder = REAL / "hair-seg"
    if not folder.is_dir():
        pytest.skip(f"no real photos at {folder}")
    return folder
