"""Which keys of `kdbench frontier` say how a student is measured."""

from kdbench.config import FrontierSettings
from kdbench.frontiers.students import _NOT_EVAL


def test_what_an_evaluation_does_not_get_are_keys_of_the_verb() -> None:
    assert set(FrontierSettings.model_fields) >= _NOT_EVAL
