"""The three APIs, from replies as the servers give them."""

import pytest

from kdbench.scores.served.apis import APIS, api_of

IDS = (504, 3575, 282)


def none(text: str) -> int:
    raise LookupError(text)


def test_vllm_as_version_0_32_replied() -> None:
    """A reply of vLLM 0.32 to "The capital of", with prompt_logprobs=2."""
    at = [
        None,
        {
            "3575": {"logprob": -11.589910507202148, "rank": 2936, "decoded_token": " capital"},
            "29": {"logprob": -1.0501283407211304, "rank": 1, "decoded_token": "-"},
            "28": {"logprob": -2.1946120262145996, "rank": 2, "decoded_token": ","},
        },
        {
            "282": {"logprob": -0.5246380567550659, "rank": 1, "decoded_token": " of"},
            "2240": {"logprob": -2.5155649185180664, "rank": 2, "decoded_token": " city"},
        },
    ]
    reply = {"choices": [{"text": " is", "finish_reason": "length", "prompt_logprobs": at}]}
    first, second = APIS["vllm"].read(reply, IDS, 1, none)
    assert first.token == 3575
    assert first.log_p == -11.589910507202148
    assert first.text == " capital"
    assert first.likeliest[:2] == [(29, -1.0501283407211304), (28, -2.1946120262145996)]
    assert second.likeliest == [(282, -0.5246380567550659), (2240, -2.5155649185180664)]
    assert APIS["vllm"].body("m", IDS, 1, 2)["prompt"] == list(IDS)
    for broken in ({}, {"choices": []}, {"choices": [{"prompt_logprobs": None}]}, []):
        with pytest.raises((LookupError, TypeError)):
            APIS["vllm"].read(broken, IDS, 1, none)
    short = {"choices": [{"prompt_logprobs": at[:2]}]}
    with pytest.raises(ValueError, match="2 positions for 3 tokens"):
        APIS["vllm"].read(short, IDS, 1, none)


def test_sglang_counts_from_where_it_was_asked() -> None:
    facts = {
        "input_token_logprobs": [[None, 3575, None], [-0.5, 282, None]],
        "input_top_logprobs": [None, [[-0.5, 282, None], [-2.5, 2240, None]]],
    }
    body = APIS["sglang"].body("m", IDS, 2, 2)
    assert body["logprob_start_len"] == 1
    assert body["input_ids"] == list(IDS)
    (at,) = APIS["sglang"].read({"meta_info": facts}, IDS, 2, none)
    assert at == (282, -0.5, [(282, -0.5), (2240, -2.5)], None)


def test_openai_by_id_or_by_text() -> None:
    scores = {
        "tokens": ["token_id:504", " capital", "token_id:282"],
        "token_logprobs": [None, -1.5, -0.5],
        "top_logprobs": [None, {"token_id:7": -2.0, " capital": -1.5}, {"token_id:282": -0.5}],
    }
    reply = {"choices": [{"logprobs": scores}]}
    first, second = APIS["openai"].read(reply, IDS, 1, {" capital": 3575}.__getitem__)
    assert first == (3575, -1.5, [(3575, -1.5), (7, -2.0)], None)
    assert second.token == 282
    with pytest.raises(LookupError, match=" capital"):
        APIS["openai"].read(reply, IDS, 1, none)
    generated = {"tokens": [" is"], "token_logprobs": [-1.0], "top_logprobs": [{}]}  # llama.cpp
    with pytest.raises(LookupError, match="1 of 3 tokens of the prompt"):
        APIS["openai"].read({"choices": [{"logprobs": generated}]}, IDS, 1, none)
    with pytest.raises(LookupError, match="no log-probabilities of the prompt"):
        APIS["openai"].read({"choices": [{"logprobs": None}]}, IDS, 1, none)


def test_a_server_is_known_by_the_owner_of_its_models() -> None:
    assert [api_of(owner) for owner in ("vllm", "sglang", "llamacpp", None)] == [
        *("vllm", "sglang", "openai", "openai")
    ]
