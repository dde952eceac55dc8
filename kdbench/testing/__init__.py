"""Conformance tests for the objectives of a method: what every loss of the trainer must fulfil.

In the tests of a package with a method:

    from kdbench.testing import conformance_tests

    @conformance_tests(MyMethod(), MyMethod(temperature=2))
    def test_conformance(check):
        check()
"""

from kdbench.testing.case import Case, cases_of
from kdbench.testing.suite import FACTS, conformance_tests

__all__ = ["FACTS", "Case", "cases_of", "conformance_tests"]
