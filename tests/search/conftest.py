"""The toy competition, installed for one test."""

import pytest

from tests.search.world import install


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy competition in this process; returns its data folder."""
    install(tmp_path / "plugins")
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", "discs")
    data = tmp_path / "data"
    data.mkdir()
    (data / "discs.txt").write_text("32 0")
    return data
