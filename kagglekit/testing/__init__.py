"""The conformance kit: every law that plugins keep, for their authors' tests and for `kk check`; ours keep them too.

from kagglekit.testing import conformance

test_conformance = conformance("my-plugin")
"""

from kagglekit.testing.conformance import all_laws, conformance, examine
from kagglekit.testing.laws import Law, Verdict

__all__ = ["Law", "Verdict", "all_laws", "conformance", "examine"]
