"""Generation by any model of lm-eval: `backend=lm_eval:NAME`, such as hf or local-completions.

lm-eval's models take text. What a protocol asks for and a model cannot do is an error; the protocol
is never changed silently (`models`). The seed of a row is derived from (seed, document), and
sampled rows are requested one by one, so that a text does not depend on the batch composition.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from kdbench.checkpoint import Checkpoint, one_line, pick_device
from kdbench.errors import InputError
from kdbench.generate import Facts, Options, Prompt, Row, Sample, backends
from kdbench.generate.engine_backend import EngineBackend, engine_in_one_line
from kdbench.generate.lm_eval.answers import Answers
from kdbench.generate.lm_eval.models import (
    check_options,
    check_protocol,
    find_kind,
    forget_generation_settings,
    generation_settings,
)
from kdbench.generate.prompts import check_has_prompt, encode_prompt, prompt_text
from kdbench.generate.row.noise import step_keys
from kdbench.generate.row.text import special_texts
from kdbench.protocol import Protocol
from kdbench.views.chat import ChatMessage, turns_of, with_system

_BATCH = 8
_NO_LIMIT = 10**9  # tokens; otherwise lm-eval's client cuts longer prompts on the left


@backends.register("lm_eval")
class LMEvalBackend(EngineBackend):
    """Any model of lm-eval, as lm_eval:NAME: hf, local-completions, sglang and others.

    Raises:
        InputError: The model cannot follow the protocol, or does not load.
    """

    silent_options = frozenset(
        {
            "auth_token",
            "ca_cert_path",
            "header",
            "max_retries",
            "num_concurrent",
            "timeout",
            "verify_certificate",
        }
    )
    secret_options = frozenset({"auth_token", "header"})

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        self._kind = find_kind(options.argument)
        check_protocol(self._kind, protocol, options.engine)
        self._requested: dict[tuple[int, ...], Any] = {}  # text or messages, by the prompt's ids
        if checkpoint.served:
            self.checkpoint, self.protocol, self.options = checkpoint, protocol, options
            self.batch_size = options.batch_size
            self.tokenizer = _tokenizer(options.engine.get("tokenizer"))
        else:
            super().__init__(checkpoint, protocol, options)
        self._samples = Answers(self._kind, protocol, self.tokenizer)

    @staticmethod
    def check(argument: str, engine: Mapping[str, Any]) -> None:
        """Check the name and the options of lm-eval's model.

        Raises:
            InputError: lm-eval has no such model, or the model does not take an option.
        """
        check_options(find_kind(argument), engine)

    @staticmethod
    def is_served(argument: str) -> bool:
        """Return whether the model's weights are on a server."""
        return find_kind(argument).is_served

    def encode(self, prompt: str, message: ChatMessage) -> Prompt:
        """Encode what the model will be given; without a tokenizer, as the bytes of its text.

        Raises:
            InputError: The prompt has no tokens, or the text of a cut prompt encodes differently.
        """
        request: Any
        if self.tokenizer is None:
            request, encoded = self._untokenized(prompt, message)
        elif self.checkpoint.served:
            encoded = encode_prompt(self.tokenizer, self.protocol, prompt, message)
            request = self._text(encoded, prompt, message)
        else:
            encoded = super().encode(prompt, message)
            request = self._text(encoded, prompt, message)
        self._requested[encoded.ids] = request
        return encoded

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield one batch if rows are requested one by one, else the longest prompts first."""
        if not rows:
            return
        assert self._lm is not None  # noqa: S101 - loaded here, outside of what is timed
        ordered = sorted(rows, key=lambda row: -len(row.prompt_ids))
        alone = self._kind.is_api or self.protocol.temperature > 0
        self.batch_size = 1 if alone else self.batch_size or _BATCH
        size = len(ordered) if alone else self.batch_size
        for start in range(0, len(ordered), size):
            yield ordered[start : start + size]

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield the sample of each row as it finishes.

        Raises:
            InputError: The model or its server fails.
        """
        with engine_in_one_line(f"lm_eval:{self._kind.name}", "no answer"):
            if self._kind.is_api:
                yield from self._concurrently(rows, until)
            elif self.protocol.temperature > 0 or self._stops_at_special(until):
                for row in rows:
                    yield from self._answers([row], until)
            else:
                yield from self._answers(rows, until)

    def _stops_at_special(self, until: Sequence[str]) -> bool:
        """Return whether a stop string holds a special token.

        lm-eval decodes without them, so a row whose batch continues would run past such a stop.
        """
        until = self._samples.requested_stops(until)
        return self.tokenizer is not None and bool(special_texts(self.tokenizer, until))

    def facts(self) -> Facts:
        """Return lm-eval's version, and size and precision unless a server has the weights."""
        from importlib.metadata import version

        engine = f"lm_eval {version('lm_eval')}"
        if self.checkpoint.served:
            return Facts(engine=engine)
        device = pick_device(self.options.device)
        dtype = self.unloaded.dtype(self.options.dtype, device)
        return Facts(self.unloaded.parameters, dtype, engine)

    def stop(self) -> None:
        """Drop lm-eval's model and free its memory."""
        vars(self).pop("_lm", None)

    @cached_property
    def model(self) -> Any:
        """The checkpoint in transformers; None for a model on a server."""
        return None if self.checkpoint.served else self.load_model()

    def likelihoods(self, requests: Sequence[tuple[str, ...]]) -> list[tuple[float, bool | None]]:
        """Return the log-probability of given texts, as lm-eval's model computes it.

        Raises:
            InputError: The model or its server fails, or reports none.
        """
        from lm_eval.api.instance import Instance

        rolling = [request for request in requests if len(request) == 1]
        pairs = [request for request in requests if len(request) > 1]
        found: dict[tuple[str, ...], tuple[float, bool | None]] = {}
        problem = "gives no log-probabilities of texts"
        with engine_in_one_line(f"lm_eval:{self._kind.name}", problem):
            if pairs:
                asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
                answers = self._lm.loglikelihood(asked, disable_tqdm=True)
                found |= {
                    pair: (float(log_p), bool(greedy))
                    for pair, (log_p, greedy) in zip(pairs, answers, strict=True)
                }
            if rolling:
                asked = [
                    Instance("loglikelihood_rolling", {}, text, i) for i, text in enumerate(rolling)
                ]
                sums = self._lm.loglikelihood_rolling(asked, disable_tqdm=True)
                found |= {
                    text: (float(log_p), None) for text, log_p in zip(rolling, sums, strict=True)
                }
        return [found[request] for request in requests]

    def _concurrently(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Keep `num_concurrent` requests in flight; lm-eval's own client yields only at the end."""
        from concurrent.futures import ThreadPoolExecutor, as_completed

        workers = int(self.options.engine.get("num_concurrent", 1))
        with ThreadPoolExecutor(workers) as pool:
            requests = [pool.submit(self._answers, [row], until) for row in rows]
            try:
                for request in as_completed(requests):
                    yield from request.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _answers(self, rows: Sequence[Row], until: Sequence[str]) -> list[Sample]:
        from lm_eval.api.instance import Instance

        requests, stops = [], self._samples.requested_stops(until)
        for index, row in enumerate(rows):
            arguments = (self._requested[row.prompt_ids], self._settings(row, stops))
            requests.append(Instance("generate_until", {}, arguments, index))
        texts = self._lm.generate_until(requests, disable_tqdm=True)
        pairs = zip(rows, texts, strict=True)
        return [self._samples.sample(row, text, until) for row, text in pairs]

    def _settings(self, row: Row, until: list[str]) -> dict[str, Any]:
        """Return the settings of one request; call `set_seed` if a request carries no seed."""
        seed = int(step_keys(row.seed, row.document, 1)[0, 0]) & 0x7FFFFFFF
        key = self.options.engine.get("seed_key", "seed" if self._kind.is_api else None)
        if key is None and self.protocol.temperature > 0:
            from transformers import set_seed

            set_seed(seed)
        named = {} if key is None else {key: seed}
        return generation_settings(self._kind, self.protocol, until, named)

    def _untokenized(self, prompt: str, message: ChatMessage) -> tuple[Any, Prompt]:
        """Return a request for a server that encodes it, and the bytes of its text."""
        if self.protocol.prompt != "chat":
            check_has_prompt(prompt, message)
            return prompt, Prompt(tuple(prompt.encode()), cut=False)
        system = self.protocol.system
        turns = turns_of(with_system(message, system))
        asks = turns[-1]["role"] != "assistant"
        request = self._lm.apply_chat_template(turns, add_generation_prompt=asks)
        alone = isinstance(message, str) and system is None
        text = str(message) if alone else json.dumps(turns)
        return request, Prompt(tuple(text.encode()), cut=False)

    def _text(self, encoded: Prompt, prompt: str, message: ChatMessage) -> str:
        """Return the text that the model encodes as these tokens."""
        if encoded.cut:
            text = str(self.tokenizer.decode(encoded.ids, skip_special_tokens=True))
        else:
            text = prompt_text(self.tokenizer, self.protocol, prompt, message)
            if not self.protocol.add_bos:
                return text
        again = self.tokenizer(text, add_special_tokens=self.protocol.add_bos)["input_ids"]
        if tuple(again) == encoded.ids:
            return text
        if self.protocol.add_bos and tuple(again[: len(encoded.ids)]) == encoded.ids:
            raise InputError(
                f"backend=lm_eval:{self._kind.name}: takes text, and with add_bos=true the "
                "tokenizer ends a text with a special token; use add_bos=false or backend=hf"
            )
        if encoded.cut:
            raise InputError(
                f"backend=lm_eval:{self._kind.name}: takes text, and the text of a prompt cut at "
                f"{len(encoded.ids)} tokens encodes to different tokens: '{text[:40]}'; change "
                "max_prompt_tokens="
            )
        return text

    @cached_property
    def _lm(self) -> Any:
        """lm-eval's model; the transformers model is freed before it loads."""
        self.forget_model()
        with engine_in_one_line(f"lm_eval:{self._kind.name}", "does not load"):
            model = self._kind.kind.create_from_arg_obj(self._arguments())
            if self._kind.is_hf:
                forget_generation_settings(model.model)
                if self._samples.has_special_marks:  # else the texts would lack them
                    model.tok_decode = partial(model.tok_decode, skip_special_tokens=False)
        return model

    def _arguments(self) -> dict[str, Any]:
        kind, options = self._kind, self.options
        given = {key: value for key, value in options.engine.items() if key != "seed_key"}
        if kind.is_api:
            text = self.tokenizer is not None and not kind.takes_messages
            defaults = {
                "model": self.checkpoint.served,
                "max_length": _NO_LIMIT,
                "tokenizer_backend": "huggingface" if text else "none",
                "tokenized_requests": text,
                "add_bos_token": self.protocol.add_bos,
            }
            return {**defaults, **given, "num_concurrent": 1}
        if kind.is_served:
            return {
                **({"model": self.checkpoint.served} if "model" in kind.parameters else {}),
                **given,
            }
        defaults = {
            "pretrained": str(self.checkpoint.path),
            "dtype": self.unloaded.dtype(options.dtype, pick_device(options.device)),
            "device": pick_device(options.device),
            "batch_size": self.batch_size or 1,
            "trust_remote_code": options.trust_remote_code,
            "add_bos_token": self.protocol.add_bos,
        }
        known = {key: value for key, value in defaults.items() if key in kind.parameters}
        return {**known, **given}


def _tokenizer(folder: str | None) -> Any:
    """Load the tokenizer that `backend_options=tokenizer=` names, if any."""
    if folder is None:
        return None
    from transformers import AutoTokenizer

    with one_line(Path(folder)):
        return AutoTokenizer.from_pretrained(folder)
