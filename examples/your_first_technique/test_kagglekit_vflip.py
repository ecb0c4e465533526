"""Every law of kagglekit as a test of its own."""

from kagglekit.testing import conformance

test_conformance = conformance("vflip")
