"""vLLM as an engine of rollouts: one engine for a run, whose weights are replaced in place."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from kdbench.checkpoint import find_checkpoint
from kdbench.errors import InputError
from kdbench.generate import Options, Row
from kdbench.generate.vllm import VLLMBackend
from kdbench.generate.vllm.engine import Request
from kdbench.system.console import report_progress
from kdbench.training.rollouts import EngineSample, EngineStart, RolloutEngine, engines

_WORKER = "kdbench.training.rollouts.worker.TakesWeights"
_SET_HERE = ("worker_extension_cls", "enable_sleep_mode", "logprobs_mode")
# Beside a trainer; vLLM's own default would take nine tenths of the GPU.
_SHARE_OF_MEMORY = 0.3


class _Backend(VLLMBackend):
    """The backend of `eval` with log-probabilities of the tokens, and workers that take weights."""

    sleeps = False

    def _arguments(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "worker_extension_cls": _WORKER,
            "logprobs_mode": "raw_logprobs",  # of the model itself, before noise and temperature
        }
        if self.sleeps:
            own["enable_sleep_mode"] = True
        if _is_on_gpu():
            own["gpu_memory_utilization"] = _SHARE_OF_MEMORY
        return {**own, **super()._arguments()}

    def sampled(self, rows: Sequence[Row]) -> Iterator[tuple[int, EngineSample]]:
        """Yield the place and the response of each row as it finishes."""
        requests = {}
        for place, row in enumerate(rows):
            params = self._params(row, streamed=False)
            params.logprobs = 0  # of the chosen token alone
            requests[str(place)] = Request(row.prompt_ids, params)

        def take(name: str, output: Any) -> tuple[int, EngineSample] | None:
            done = output.outputs[0]
            tokens = tuple(done.token_ids)
            ends = (place for place, token in enumerate(tokens, 1) if token in self.ends)
            length = min(next(ends, len(tokens)), self.protocol.max_new_tokens)
            log_probs = [
                float(known[token].logprob)
                for token, known in zip(tokens, done.logprobs or (), strict=True)
            ]
            return int(name), EngineSample(tokens[:length], tuple(log_probs[:length]))

        yield from self.engine.run(requests, take)

    @property
    def engine(self) -> Any:
        """The running engine; it starts at the first call."""
        return self._engine


@engines.register("vllm")
class VLLMRollouts(RolloutEngine):
    """vLLM with the draws of `backend=hf`, in processes of its own."""

    silent_options: ClassVar[Collection[str]] = VLLMBackend.silent_options

    def __init__(self, start: EngineStart):
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # torch has run already
        options = Options(
            start.dtype, "auto", start.rows, start.trust_remote_code, engine=start.options
        )
        with _in_our_words():
            self._backend = _Backend(find_checkpoint(str(start.folder)), start.protocol, options)
            self._backend.ends = frozenset(start.ends)
            self._sleeps = start.shares_device and self._can_sleep()
            self._backend.sleeps = self._sleeps
            self.facts = f"{self._backend.facts().engine}"
            _ = self._backend.engine
        self._is_asleep = False

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        """Check that vLLM is installed and has these options.

        Raises:
            InputError: It is not, has not, or kdbench sets one of them.
        """
        for name in _SET_HERE:
            if name in options:
                raise InputError(f"rollout_backend_options={name}=…: kdbench sets it; leave it out")
        with _in_our_words():
            VLLMBackend.check("", options)

    @staticmethod
    def check_student(config: Any, device: str) -> None:
        """Check the size of the attention heads, of which vLLM's CPU kernels have only some.

        Raises:
            InputError: They have no kernel for this size.
        """
        if device != "cpu":
            return
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        text = config.get_text_config()
        size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        known = CPUAttentionBackend.get_supported_head_sizes()
        if size not in known:
            raise InputError(
                f"rollout_backend=vllm: the student's attention heads have {size} dimensions, and "
                f"vLLM has no kernel for that on a CPU (it has {', '.join(map(str, known))}); use "
                "rollout_backend=hf"
            )

    def update(self, weights: Path, version: int) -> None:  # noqa: ARG002
        """Load the weights in place and forget the keys and values of the old ones."""
        with _in_our_words():
            engine = self._awake()
            engine.ask_workers("take_student", str(weights))
            engine.call("reset_prefix_cache")

    def sample(self, rows: Sequence[Row]) -> list[EngineSample]:
        """Sample a response to each row."""
        with _in_our_words():
            self._awake()
            done = dict(self._backend.sampled(rows))
        return [done[place] for place in range(len(rows))]

    def rest(self) -> None:
        """Move the weights to main memory and free the cache of keys and values."""
        if self._sleeps and not self._is_asleep:
            with _in_our_words():
                self._backend.engine.call("sleep", 1)
            self._is_asleep = True

    def close(self) -> None:
        """Stop the engine."""
        self._backend.stop()

    def _awake(self) -> Any:
        engine = self._backend.engine
        if self._is_asleep:
            engine.call("wake_up")
            self._is_asleep = False
        return engine

    @staticmethod
    def _can_sleep() -> bool:
        from vllm.platforms import current_platform

        if current_platform.is_sleep_mode_available():
            return True
        report_progress(
            "note: rollout_backend=vllm: vLLM cannot give memory back on "
            f"'{current_platform.device_type}', so engine and training hold theirs side by side"
        )
        return False


def _is_on_gpu() -> bool:
    from kdbench.generate.vllm.engine import device_kind

    return device_kind() == "cuda"


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Name the keys of `train` in an error of eval's backend."""
    try:
        yield
    except InputError as error:
        text = re.sub(r"\bbackend(_options)?=", r"rollout_backend\1=", str(error))
        raise InputError(text) from None
