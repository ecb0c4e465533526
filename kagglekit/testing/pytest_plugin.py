"""Fixtures for tests of plugins; pytest loads them wherever kagglekit is installed, so nothing is imported early."""

import pytest


@pytest.fixture(scope="session")
def kk_registry():
    """All plugins of this environment, and the drawn competitions drawn-binary, drawn-multilabel, drawn-multiclass."""
    from kagglekit.plugin.registry import discover
    from kagglekit.testing.fixtures import with_drawn

    return with_drawn(discover())


@pytest.fixture(scope="session")
def kk_solution(kk_registry):
    """`kk_solution("my-technique", ..., competition="drawn-binary", **recipe)`: a small solution, resolved."""
    from kagglekit.plugin.solution import resolve
    from kagglekit.recipe import compose
    from kagglekit.testing.subjects import CHEAP, SMALL

    def make(*techniques, competition="drawn-binary", **changes):
        _, found = kk_registry.competition(competition)
        asked = {**CHEAP, **SMALL, "techniques": list(techniques), **changes}
        return resolve(compose([("", {"competition": competition}), ("", found.recipe), ("", asked)])[0], kk_registry)

    return make


@pytest.fixture
def kk_discs():
    """`kk_discs(solution)`: a dozen drawn images in the form of the solution's task, as a data set in memory."""
    from kagglekit.testing.fixtures import dataset_for

    return lambda solution: dataset_for(solution.competition)


@pytest.fixture
def kk_network():
    """`kk_network(channels, classes)`: a network of two convolutions."""
    from kagglekit.testing.fixtures import tiny_network

    return tiny_network
