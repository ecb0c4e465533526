"""Every law of kagglekit as a test of its own, and the score by hand."""

import numpy as np
from craters_submission import F2

from kagglekit.testing import conformance

test_conformance = conformance("craters")


def test_a_missed_pixel_costs_four_times_a_false_one():
    truth, mask = np.array([[1, 1, 0, 0]]), np.array([[1, 0, 1, 1]])
    assert F2().reduce(F2().compare(truth, mask)[None]) == 5 / (5 + 4 * 1 + 2)
