"""The toy competition, installed for one test."""

import pytest

from tests.search.toy import at_hand


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy competition in this process; returns its data folder."""
    return at_hand(tmp_path, monkeypatch)
