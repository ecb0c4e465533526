"""The rules on drawn hair whose flaws are known: what needs no network is found, and little else."""

import pytest

from kagglekit.clean.cleaning import CleanRequest, clean
from kagglekit.cli.common import solution_of
from kagglekit.plugin.registry import discover
from tests.benchmarks.cleaning import draw, judge, planted

RULES = ("label-rules", "near-duplicates")


@pytest.mark.slow
def test_flaws_that_need_no_network_are_found_in_a_drawn_sample_and_little_else(tmp_path):
    folder = draw(tmp_path, 100, 5)
    _, result = clean(CleanRequest(solution_of(discover(), "hair-seg", "demo", RULES), folder, out=tmp_path / "found"))
    labels, copies = judge(planted(folder), result)
    assert copies["right"] == copies["planted"] == copies["found"] == 3
    for kind, least in (("empty", 1), ("tiny", 2), ("rotated", 1), ("wide", 2)):
        assert labels[f"planted {kind}"] >= least and labels[f"found {kind}"] >= least, (kind, labels)
    assert labels["right"] >= 0.8 * labels["found"]
    assert result["problems"][0]["rule"] == "empty label"


def test_what_was_planted_and_what_was_found_are_counted_by_kind_and_by_group():
    truth = {
        "a": {"flaw": "tiny"},
        "b": {"flaw": None},
        "c": {"flaw": "wide"},
        "d": {"flaw": "duplicate", "of": "b"},
        "e": {"flaw": "empty"},
    }
    drop = {"action": "drop", "related": []}
    result = {
        "findings": [
            {"sample": "a", "rule": "label-rules/tiny", **drop},
            {"sample": "a", "rule": "label-rules/area", **drop},
            {"sample": "b", "rule": "label-rules/loose", **drop},
            {"sample": "c", "rule": "label-rules/loose", **drop, "action": "keep"},
            {"sample": "d", "rule": "near-duplicates", "action": "drop", "related": ["b"]},
        ],
        "problems": [{"sample": "e"}],
    }
    labels, copies = judge(truth, result)
    assert (labels["planted"], labels["found"], labels["right"]) == (3, 3, 2)
    assert labels["found tiny"] == labels["found empty"] == 1 and labels["found wide"] == 0
    assert dict(copies) == {"found": 1, "right": 1, "planted": 1}
