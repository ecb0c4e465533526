"""Every law of the kit is kept by a sound plugin, and broken alone by the plugin that was made to break it."""

import re
import sys

import pytest

from kagglekit import Finding, hookimpl
from kagglekit.plugin.registry import build, discover
from kagglekit.testing import all_laws, examine
from tests.helpers import techniques_of, write_plugin
from tests.testing.broken import COMPETITION, INSTALLED, SOURCE, TECHNIQUE
from tests.testing.sound import fresh, registry

LAWS = 64  # how many there are; a law that is added needs a plugin that breaks it


def failing(name: str, found) -> dict[str, str]:
    """Law -> reason of what fails."""
    return {v.law: v.reason for v in examine(name, registry=found) if v.status == "fail"}


def test_a_plugin_for_every_law_breaks_it_and_each_law_has_a_sentence():
    laws = all_laws()
    assert len(laws) == len({law.name for law in laws}) == LAWS
    assert {law.name for law in laws} == {*COMPETITION, *TECHNIQUE, *INSTALLED}
    assert len(COMPETITION) + len(TECHNIQUE) + len(INSTALLED) == LAWS
    assert all(re.fullmatch(r"[A-Za-z].{20,}\.", law.text) for law in laws)


@pytest.mark.parametrize(
    ("action", "mask", "fault"),
    [
        ("relabel", "", "those who relabel, and they alone, give a mask"),
        ("drop", "AAAA", "those who relabel, and they alone, give a mask"),
        ("relabel", "AAAA", "not a PNG, or damaged"),
        ("delete", "", "an action is neither drop, keep nor relabel"),
    ],
)
def test_a_rule_that_proposes_no_mask_or_none_that_can_be_read_breaks_the_law_of_findings(action, mask, fault):
    @hookimpl
    def kk_clean(dataset):
        return [Finding(dataset.train[0].id, "odd", 1.0, action, mask=mask)]

    module = fresh("competition")
    module.kk_clean = kk_clean
    reasons = failing("sound", registry(module, "sound"))
    assert fault in reasons["findings_are_reproducible_and_name_samples"]


@pytest.mark.slow
def test_a_sound_competition_keeps_every_law():
    verdicts = list(examine("sound", registry=registry(fresh("competition"), "sound")))
    assert [v for v in verdicts if v.status == "fail"] == []
    skipped = {v.law for v in verdicts if v.status == "skip"}
    in_memory = {name for name, (_, source, _) in INSTALLED.items() if source != "import os\n"} - {"its_name_is_plain"}
    assert skipped == in_memory | {"its_search_space_holds_settings"}  # it is not installed, and offers no space
    assert len(verdicts) >= 50


def test_a_sound_technique_keeps_every_law():
    verdicts = list(examine("lit", registry=registry(fresh("technique"), "lit")))
    assert [v for v in verdicts if v.status == "fail"] == [] and len(verdicts) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("law", COMPETITION)
def test_a_broken_competition_fails_its_law_alone(law):
    spoil, pattern = COMPETITION[law]
    module = fresh("competition")
    spoil(module)
    failed = failing("sound", registry(module, "sound"))
    assert list(failed) == [law], failed
    assert re.search(pattern, failed[law]), failed[law]


@pytest.mark.parametrize("law", TECHNIQUE)
def test_a_broken_technique_fails_its_law_alone(law):
    kind, pattern = TECHNIQUE[law]
    failed = failing("broken", _registry_of(kind))
    assert list(failed) == [law], failed
    assert re.search(pattern, failed[law]), failed[law]


def _registry_of(kind):
    return build([("broken", "dist-broken 1.0", lambda: techniques_of(kind))])


def _install(tmp_path, monkeypatch, name: str, source: str):
    """The registry of an installed plugin, as this process and its children find it."""
    module = f"made_{name.lower()}"
    write_plugin(tmp_path, name, source, module_name=module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KAGGLEKIT_PLUGINS", name)
    sys.modules.pop(module, None)
    return discover()


@pytest.mark.slow
@pytest.mark.parametrize("law", INSTALLED)
def test_a_broken_installation_fails_its_law_alone(law, tmp_path, monkeypatch):
    name, source, pattern = INSTALLED[law]
    failed = failing(name, _install(tmp_path, monkeypatch, name, source))
    assert list(failed) == [law], failed
    assert re.search(pattern, failed[law]), failed[law]


@pytest.mark.slow
def test_a_sound_installation_keeps_every_law(tmp_path, monkeypatch):
    found = _install(tmp_path, monkeypatch, "calm", SOURCE)
    verdicts = list(examine("calm", registry=found))
    assert [v for v in verdicts if v.status == "fail"] == []
    assert {"importing_it_loads_nothing_heavy", "a_recipe_resolves_in_a_fresh_process"} <= {
        v.law for v in verdicts if v.status == "pass"
    }
