"""What the engine says of a text: log-probabilities of its tokens, and of the likeliest ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.generate.vllm.engine import Engine, Request

if TYPE_CHECKING:
    import numpy as np

Text = tuple[tuple[int, ...], tuple[int, ...]]  # prompt and response


@dataclass(frozen=True)
class TopScores:
    """What is known of a response's n positions, normalised over the model's whole head.

    Attributes:
        log_p: float32, the k likeliest tokens' log-probabilities, (n, k), likeliest first.
        ids: int32, these tokens.
        target: float32, the response's own tokens' log-probabilities, (n,).
    """

    log_p: "np.ndarray"
    ids: "np.ndarray"
    target: "np.ndarray"


def top_scores(engine: Engine, texts: Sequence[Text], k: int) -> Iterator[tuple[int, TopScores]]:
    """The scores of each text, with its place in the list, as they come.

    Args:
        engine: started with `max_logprobs` of k at least.
        texts: prompts and responses.
        k: tokens of each position.

    Raises:
        InputError: the engine refuses a text, or has died.
    """
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=1, prompt_logprobs=k, detokenize=False, ignore_eos=True)
    requests = {
        str(place): Request((*prompt, *response), params)
        for place, (prompt, response) in enumerate(texts)
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
    for known, token in zip(positions, response, strict=True):
        # Beside the k likeliest stands the text's own token, with its rank.
        pairs = [(-one.logprob, token_id) for token_id, one in known.items() if one.rank <= k]
        ranked = sorted(pairs)[:k]  # of equals the lowest id comes first
        log_p.append([-value for value, _ in ranked])
        ids.append([token_id for _, token_id in ranked])
        target.append(known[token].logprob)
    scores = TopScores(
        np.array(log_p, dtype=np.float32),
        np.array(ids, dtype=np.int32),
        np.array(target, dtype=np.float32),
    )
    if not np.isfinite(scores.log_p).all():
        raise InputError("backend=vllm: log-probabilities that are not finite: broken weights")
    return scores
