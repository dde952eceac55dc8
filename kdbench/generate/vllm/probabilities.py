"""Log-probabilities of a text's tokens, and of the likeliest tokens, from the engine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import ScoredText, TopScores
from kdbench.generate.vllm.engine import Engine, Request


def top_scores(
    engine: Engine, texts: Sequence[ScoredText], k: int
) -> Iterator[tuple[int, TopScores]]:
    """Yield the index and the scores of each text as it is scored.

    Args:
        engine: Engine, started with `max_logprobs` of at least k.
        texts: Prompts and responses.
        k: Number of tokens at each position.

    Raises:
        InputError: The engine refuses a text, stopped, or has log-probabilities that are not
            finite.
    """
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=1, prompt_logprobs=k, detokenize=False, ignore_eos=True)
    requests = {
        str(index): Request((*prompt, *response), params)
        for index, (prompt, response) in enumerate(texts)
    }

    def take(name: str, output: Any) -> tuple[int, TopScores] | None:
        if not output.prompt_logprobs:
            return None
        prompt, response = texts[int(name)]
        positions = output.prompt_logprobs[len(prompt) :]
        return int(name), _scores(positions, response, k)

    yield from engine.run(requests, take)


def _scores(positions: Sequence[Mapping[int, Any]], response: Sequence[int], k: int) -> TopScores:
    import numpy as np

    log_p, ids, target = [], [], []
    for logprobs, token in zip(positions, response, strict=True):
        # The text's own token is listed too, whatever its rank. Ties go to the lowest id.
        pairs = [
            (-entry.logprob, token_id) for token_id, entry in logprobs.items() if entry.rank <= k
        ]
        ranked = sorted(pairs)[:k]
        log_p.append([-value for value, _ in ranked])
        ids.append([token_id for _, token_id in ranked])
        target.append(logprobs[token].logprob)
    scores = TopScores(
        np.array(log_p, dtype=np.float32),
        np.array(ids, dtype=np.int32),
        np.array(target, dtype=np.float32),
    )
    if not np.isfinite(scores.log_p).all():
        raise InputError("backend=vllm: log-probabilities are not finite: the weights are broken")
    return scores
