"""Copies that are planted within the training part and between both parts are found, and nothing else is."""

from dataclasses import replace

import numpy as np

from kagglekit.eda.copies import copies
from kagglekit.eda.summaries import summarize_image
from tests.techniques.flawed import Flawed


def summaries(copied: dict[int, int], count: int = 12, prefix: str = "") -> list:
    data = Flawed(count, copies=copied)
    renamed = [replace(sample, id=prefix + sample.id) for sample in data.train]
    return [summarize_image(sample, data.read_image(sample), None) for sample in renamed]


def test_copies_within_the_training_part_form_groups():
    found = copies(summaries({5: 4, 7: 2, 9: 2}), [])
    assert found["train"] == [["s002", "s007", "s009"], ["s004", "s005"]] and found["pictures"] == 5
    assert found["leaks"] == []
    assert found["across_groups"] == 1, "s004 and s005 are of one group, the others are not"


def test_a_test_image_that_repeats_a_training_image_is_a_leak():
    test = summaries({1: 0, 2: 30, 3: 31}, 4, "t")[1:]
    found = copies(summaries({}), test)
    assert found["leaks"] == [{"train": ["s000"], "test": ["ts001"]}] and found["train"] == []


def test_different_images_are_no_copies_and_no_images_have_none():
    assert copies(summaries({}), [])["pictures"] == 0
    assert copies([], []) == {"train": [], "leaks": [], "pictures": 0, "across_groups": 0}


def test_copies_among_test_images_alone_are_nobodys_business():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    twins = [summarize_image(replace(Flawed(2).train[i], id=f"t{i}"), image, None) for i in range(2)]
    assert copies(summaries({}), twins)["leaks"] == []
