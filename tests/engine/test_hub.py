"""The model hub is asked only when it can answer."""

import socket

import pytest
from huggingface_hub import constants

from kagglekit.train.hub import cached_when_unreachable, is_reachable

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_address_where_somebody_listens_is_reachable(listener):
    assert is_reachable(f"https://127.0.0.1:{listener}")


def test_an_address_where_nobody_listens_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not is_reachable(f"https://127.0.0.1:{port}")


@pytest.mark.parametrize("name", PROXIES)
def test_behind_a_proxy_the_hub_counts_as_reachable(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert is_reachable("https://127.0.0.1:9")


def test_without_a_network_the_client_works_from_its_cache_and_only_inside_the_block(monkeypatch):
    monkeypatch.setattr("kagglekit.train.hub.is_reachable", lambda address: False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with cached_when_unreachable() as reachable:
        assert not reachable and constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_a_reachable_hub_is_left_as_it_is_even_when_the_block_fails(monkeypatch):
    monkeypatch.setattr("kagglekit.train.hub.is_reachable", lambda address: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ValueError), cached_when_unreachable() as reachable:
        assert reachable and not constants.HF_HUB_OFFLINE
        raise ValueError
    assert not constants.HF_HUB_OFFLINE


def test_a_user_who_chose_offline_stays_offline(monkeypatch):
    monkeypatch.setattr("kagglekit.train.hub.is_reachable", lambda address: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with cached_when_unreachable() as reachable:
        assert not reachable and constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_OFFLINE
