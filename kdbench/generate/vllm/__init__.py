"""Generation with vLLM: the same draws as backend=hf, by an engine that schedules rows itself.

`rows` chooses each next token, `processor` is how the engine calls it, `engine` runs the engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from kdbench.checkpoint import Checkpoint
from kdbench.errors import InputError
from kdbench.generate import Facts, Options, Row, Sample, ScoredText, TopScores, backends
from kdbench.generate.engine_backend import EngineBackend
from kdbench.generate.row.response import Response
from kdbench.generate.thinking import find_marks
from kdbench.generate.vllm.engine import (
    Engine,
    Request,
    check_device,
    check_installed,
    check_options,
    device_kind,
)
from kdbench.generate.vllm.probabilities import top_scores
from kdbench.generate.vllm.rows import KEY, ProcessorConfig
from kdbench.protocol import Protocol
from kdbench.system.processes import this_process
from kdbench.views.tokenizers import vocabulary_size

PROCESSOR = "kdbench.generate.vllm.processor:RowNoise"


@backends.register("vllm")
class VLLMBackend(EngineBackend):
    """vLLM: one engine for all tasks and seeds, with the same draws as hf.

    Raises:
        InputError: vLLM is not installed, does not start, or does not take a setting.
    """

    # These decide where and how fast vLLM runs. Every other option may change a number.
    silent_options = frozenset(
        {
            "async_scheduling",
            "block_size",
            "cpu_offload_gb",
            "data_parallel_backend",
            "data_parallel_size",
            "disable_custom_all_reduce",
            "disable_log_stats",
            "distributed_executor_backend",
            "enable_chunked_prefill",
            "enable_prefix_caching",
            "enforce_eager",
            "gpu_memory_utilization",
            "kv_cache_memory_bytes",
            "max_model_len",
            "max_num_batched_tokens",
            "max_parallel_loading_workers",
            "pipeline_parallel_size",
            "swap_space",
            "tensor_parallel_size",
        }
    )

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        check_device(options.device)
        super().__init__(checkpoint, protocol, options)
        self.ends = frozenset() if options.ignore_eos else self.unloaded.ends(self.tokenizer)
        self._dtype = self.unloaded.dtype(options.dtype, device_kind())

    @staticmethod
    def check(argument: str, engine: Mapping[str, Any]) -> None:
        """Check that vLLM is installed and has these options.

        Raises:
            InputError: vLLM is not installed, or does not take the argument or an option.
        """
        if argument:
            raise InputError(f"backend=vllm:{argument}: vllm takes no argument after a colon")
        check_installed()
        check_options(engine)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield all rows as one batch; the engine starts a row as soon as another finishes."""
        if rows:
            self.batch_size = self._engine.max_rows  # started here, outside of what is timed
            yield list(rows)

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield each sample as soon as it finishes.

        Raises:
            InputError: The engine stopped, for example because logits are not finite.
        """
        marks = find_marks(self.tokenizer, self.protocol)
        responses = {
            str(index): Response(row, self.protocol, self.tokenizer, self.ends, until, marks)
            for index, row in enumerate(rows)
        }
        requests = {
            name: Request(response.row.prompt_ids, self._params(response.row, bool(until)))
            for name, response in responses.items()
        }

        def take(name: str, output: Any) -> Sample | None:
            # `Response` reads the tokens, as in hf's loop: the same ends, cuts and text.
            for token in output.outputs[0].token_ids:
                if (sample := responses[name].take(token)) is not None:
                    return sample
            return None

        yield from self._engine.run(requests, take)

    def top_scores(self, texts: Sequence[ScoredText], k: int) -> Iterator[tuple[int, TopScores]]:
        """Yield the index and the k likeliest tokens of each text as it is scored.

        Raises:
            InputError: The engine stopped.
        """
        yield from top_scores(self._engine, texts, k)

    def facts(self) -> Facts:
        """Return size, precision and vLLM's version."""
        import vllm

        return Facts(self.unloaded.parameters, self._dtype, f"vllm {vllm.__version__}")

    def stop(self) -> None:
        """Stop the engine if it runs."""
        if (engine := vars(self).pop("_engine", None)) is not None:
            engine.stop()

    @cached_property
    def _engine(self) -> Engine:
        """The engine; the transformers model is freed before it starts."""
        self.forget_model()
        return Engine(self._arguments())

    def _arguments(self) -> dict[str, Any]:
        protocol, options = self.protocol, self.options
        arguments: dict[str, Any] = {
            "model": str(self.checkpoint.path),
            "skip_tokenizer_init": True,
            "dtype": self._dtype,
            "trust_remote_code": options.trust_remote_code,
            "generation_config": "vllm",  # ignores the checkpoint's own
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "max_logprobs": -1,  # no limit on what `top_scores` requests
            "use_tqdm_on_load": False,
            "logits_processors": [PROCESSOR],
            "additional_config": ProcessorConfig(
                protocol, vocabulary_size(self.tokenizer), this_process()
            ),
        }
        if options.batch_size is not None:
            arguments["max_num_seqs"] = options.batch_size
        if protocol.max_prompt_tokens is not None:  # else vLLM plans for all positions
            # Scoring a text needs room for one more token.
            longest = protocol.max_prompt_tokens + protocol.max_new_tokens + 1
            positions = getattr(self.unloaded.config, "max_position_embeddings", None)
            arguments["max_model_len"] = min(longest, positions or longest)
        return {**arguments, **options.engine}

    def _params(self, row: Row, streamed: bool) -> Any:
        """Return the parameters of a greedy request, with seed and document for the noise.

        Args:
            row: Row to generate.
            streamed: Whether tokens are needed as they come, to find stop strings.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=0.0,
            max_tokens=self.protocol.max_new_tokens,
            ignore_eos=True,  # kdbench passes the end tokens
            stop_token_ids=sorted(self.ends),
            detokenize=False,
            output_kind=RequestOutputKind.DELTA if streamed else RequestOutputKind.FINAL_ONLY,
            extra_args={KEY: {"seed": row.seed, "document": row.document}},
        )
