"""Generation on vLLM: the same draws as backend=hf, by an engine that schedules rows itself.

`rows` has the choice of each next token, `processor` hands it to the engine, `engine` runs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from kdbench.checkpoint import Checkpoint
from kdbench.errors import InputError
from kdbench.generate import Facts, Options, Row, Sample, backends
from kdbench.generate.engine_backend import ApartFromModel
from kdbench.generate.row.response import Response
from kdbench.generate.vllm.engine import (
    Engine,
    Request,
    check_device,
    check_installed,
    check_options,
    here,
)
from kdbench.generate.vllm.probabilities import Text, TopScores, top_scores
from kdbench.generate.vllm.rows import KEY, Told
from kdbench.protocol import Protocol
from kdbench.system.processes import this_process

PROCESSOR = "kdbench.generate.vllm.processor:RowNoise"


@backends.register("vllm")
class VLLMBackend(ApartFromModel):
    """vLLM: one engine for all tasks and seeds, each sample the draw that hf makes.

    Raises:
        InputError: vLLM is not installed or does not start; what it cannot take.
    """

    # They say where and how fast. Every other setting may change a number.
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
        self.ends = self.folder.ends(self.tokenizer)
        self._dtype = self.folder.dtype(options.dtype, here())

    @staticmethod
    def check(argument: str, engine: Mapping[str, Any]) -> None:
        """Check installation and settings.

        Raises:
            InputError: as it says.
        """
        if argument:
            raise InputError(f"backend=vllm:{argument}: vllm takes nothing after a colon")
        check_installed()
        check_options(engine)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """All at once: the engine takes up a row as soon as another has finished."""
        if rows:
            self.batch_size = self._engine.max_rows  # started here, outside of what is timed
            yield list(rows)

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield each sample as soon as it is finished.

        Raises:
            InputError: the engine has died, for example of logits that are not finite.
        """
        responses = {
            str(place): Response(row, self.protocol, self.tokenizer, self.ends, until)
            for place, row in enumerate(rows)
        }
        requests = {
            name: Request(one.row.prompt_ids, self._params(one.row, bool(until)))
            for name, one in responses.items()
        }

        def take(name: str, output: Any) -> Sample | None:
            # The loop of hf reads the tokens here too: the same ends, cuts and text.
            for token in output.outputs[0].token_ids:
                if (sample := responses[name].take(token)) is not None:
                    return sample
            return None

        yield from self._engine.run(requests, take)

    def top_scores(self, texts: Sequence[Text], k: int) -> Iterator[tuple[int, TopScores]]:
        """The k likeliest tokens at each position of texts, as they come.

        Raises:
            InputError: the engine has died.
        """
        yield from top_scores(self._engine, texts, k)

    def facts(self) -> Facts:
        """Size, precision, and the engine's version."""
        import vllm

        return Facts(self.folder.parameters, self._dtype, f"vllm {vllm.__version__}")

    def stop(self) -> None:
        """Stop the engine, if it runs."""
        if (engine := vars(self).pop("_engine", None)) is not None:
            engine.stop()

    @cached_property
    def _engine(self) -> Engine:
        """Started at the first row; a model that was loaded for a forward pass goes first."""
        self.forget_model()
        return Engine(self._arguments())

    def _arguments(self) -> dict[str, Any]:
        protocol, options = self.protocol, self.options
        arguments: dict[str, Any] = {
            "model": str(self.checkpoint.path),
            "skip_tokenizer_init": True,
            "dtype": self._dtype,
            "trust_remote_code": options.trust_remote_code,
            "generation_config": "vllm",  # the checkpoint's own has no say
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "max_logprobs": -1,  # `top_scores` asks for as many as it needs
            "use_tqdm_on_load": False,
            "logits_processors": [PROCESSOR],
            "additional_config": Told(protocol, len(self.tokenizer), this_process()),
        }
        if options.batch_size is not None:
            arguments["max_num_seqs"] = options.batch_size
        if protocol.max_prompt_tokens is not None:  # else vLLM plans for the model's positions
            # One more: to score a text the engine must be able to go on.
            longest = protocol.max_prompt_tokens + protocol.max_new_tokens + 1
            positions = getattr(self.folder.config, "max_position_embeddings", None)
            arguments["max_model_len"] = min(longest, positions or longest)
        return {**arguments, **options.engine}

    def _params(self, row: Row, watched: bool) -> Any:
        """A greedy request that says whose noise it takes."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=0.0,
            max_tokens=self.protocol.max_new_tokens,
            ignore_eos=True,  # the end tokens are ours
            stop_token_ids=sorted(self.ends),
            detokenize=False,
            output_kind=RequestOutputKind.DELTA if watched else RequestOutputKind.FINAL_ONLY,
            extra_args={KEY: {"seed": row.seed, "document": row.document}},
        )
