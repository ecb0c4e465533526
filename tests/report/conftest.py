"""One browser for the pages of a module."""

import pytest

from tests.browser import open_browser


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    with open_browser() as driver:
        yield driver
