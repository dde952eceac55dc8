"""What vLLM is started with for rollouts; vLLM itself is not needed."""

import pytest

from kdbench.generate.vllm import VLLMBackend
from kdbench.training.rollouts import vllm
from kdbench.training.rollouts.vllm import _SET_HERE, _Backend


@pytest.mark.parametrize("sleeps", [False, True])
def test_log_probabilities_are_those_of_the_model_itself(
    sleeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VLLMBackend, "_arguments", lambda _: {"model": "m"})
    monkeypatch.setattr(vllm, "_is_on_gpu", lambda: False)
    backend = object.__new__(_Backend)
    backend.sleeps = sleeps
    arguments = backend._arguments()
    assert arguments["logprobs_mode"] == "raw_logprobs"
    assert set(_SET_HERE) - {"enable_sleep_mode"} <= arguments.keys()
    assert arguments.get("enable_sleep_mode", False) is sleeps
