"""vLLM's engine: start, requests, stop.

Only the asynchronous engine spreads requests over data-parallel replicas. Its event loop runs only
while the caller waits for the next finished request.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from kdbench.errors import InputError, nearest
from kdbench.generate.engine_backend import engine_in_one_line

T = TypeVar("T")

_AHEAD = 4  # requests in flight, in multiples of the rows that decode at once: no idle engine
INSTALL = 'pip install "kdbench[vllm]"'

# Settings that kdbench sets, with the key that decides each, if any.
_SET_BY_KDBENCH = {
    "model": "model=",
    "tokenizer": "model=",
    "revision": "revision=",
    "dtype": "dtype=",
    "trust_remote_code": "trust_remote_code=",
    "max_num_seqs": "batch_size=",
    "seed": "seeds=",
    "generation_config": "the protocol's keys",
    "skip_tokenizer_init": None,
    "logits_processors": "the protocol's keys",
    "additional_config": None,
    "speculative_config": None,  # vLLM cannot combine it with the n-gram rule and row noise
}


@dataclass(frozen=True)
class Request:
    """A request to the engine.

    Attributes:
        prompt_ids: Token ids of the prompt.
        params: vLLM's `SamplingParams`.
    """

    prompt_ids: Sequence[int]
    params: Any


def check_installed() -> None:
    """Check that vLLM is installed.

    Raises:
        InputError: vLLM is not installed; the message names the command that installs it.
    """
    try:
        import vllm  # noqa: F401
    except ImportError as error:
        missing = error.name == "vllm"
        reason = "not installed" if missing else f"cannot be imported ({error})"
        raise InputError(f"backend=vllm: {reason}: {INSTALL} (docs/backends.md)") from None


def check_options(options: Mapping[str, Any]) -> None:
    """Check the names of the engine's options.

    Raises:
        InputError: vLLM has no such option, or kdbench sets it.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in fields(AsyncEngineArgs)}
    for name in options:
        if name in _SET_BY_KDBENCH:
            use = _SET_BY_KDBENCH[name]
            hint = f"; use {use}" if use else "; leave it out"
            raise InputError(f"backend_options={name}=…: kdbench sets it{hint}")
        if name not in known:
            near = nearest(name, known)
            raise InputError(f"backend_options={name}=…: vLLM has no such option; {near}")


def check_device(device: str) -> None:
    """Check that the installed vLLM runs on a device.

    Args:
        device: Value of `device=`.

    Raises:
        InputError: vLLM was built for another kind of device, or the device has an index.
    """
    kind, _, index = device.partition(":")
    if index:
        raise InputError(f"device={device}: choose vLLM's GPUs with CUDA_VISIBLE_DEVICES")
    if kind not in ("auto", device_kind()):
        raise InputError(f"device={device}: the installed vLLM runs on '{device_kind()}'")


def device_kind() -> str:
    """Return the kind of device on which the installed vLLM runs, such as `cuda`."""
    from vllm.platforms import current_platform

    return str(current_platform.device_type)


class Engine:
    """A running engine.

    Args:
        arguments: Arguments of vLLM's `AsyncEngineArgs`.

    Attributes:
        max_rows: Number of rows that decode together in one replica.

    Raises:
        InputError: The engine does not start.
    """

    def __init__(self, arguments: Mapping[str, Any]):
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # vLLM's second model runner has a different interface for logits processors.
        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
        self._loop = asyncio.new_event_loop()
        try:
            with engine_in_one_line("vllm", "vLLM does not start"), _threads_restored():
                self._engine = self._loop.run_until_complete(_started(arguments))
        except InputError:
            self._loop.close()
            raise
        config = self._engine.vllm_config
        self.max_rows: int = config.scheduler_config.max_num_seqs
        self._in_flight = _AHEAD * self.max_rows * config.parallel_config.data_parallel_size

    def run(
        self, requests: Mapping[str, Request], take: Callable[[str, Any], T | None]
    ) -> Iterator[T]:
        """Yield the results of requests, in the order in which they finish.

        Args:
            requests: Requests by a name that the caller chooses.
            take: Called with the request's name and each of its outputs (vLLM's `RequestOutput`).
                The first value that is not None is yielded and ends the request.

        Raises:
            InputError: The engine refuses a request or stopped.
        """
        done: asyncio.Queue[T | Exception] = asyncio.Queue()
        tasks = self._loop.run_until_complete(self._begin(requests, take, done))
        try:
            for _ in requests:
                with engine_in_one_line("vllm", "vLLM stopped"):
                    result = self._loop.run_until_complete(done.get())
                    if isinstance(result, Exception):
                        raise result
                yield result
        finally:
            self._loop.run_until_complete(_cancelled(tasks))

    async def _begin(
        self,
        requests: Mapping[str, Request],
        take: Callable[[str, Any], T | None],
        done: "asyncio.Queue[T | Exception]",
    ) -> "list[asyncio.Task[None]]":
        slots = asyncio.Semaphore(self._in_flight)

        async def follow(name: str, request: Request) -> None:
            try:
                async with slots:
                    done.put_nowait(await self._followed(name, request, take))
            except Exception as error:  # noqa: BLE001 - `run` raises it
                done.put_nowait(error)

        return [asyncio.create_task(follow(name, request)) for name, request in requests.items()]

    async def _followed(
        self, name: str, request: Request, take: Callable[[str, Any], T | None]
    ) -> T:
        prompt = {"prompt_token_ids": list(request.prompt_ids)}
        outputs = self._engine.generate(prompt, request.params, name)
        try:
            async for output in outputs:
                if (taken := take(name, output)) is not None:
                    return taken
        finally:
            await outputs.aclose()  # aborts an unfinished request
        raise InputError(f"request {name} ended without a result")

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of vLLM's engine, such as `reset_prefix_cache`, and wait for it.

        Raises:
            InputError: It failed, or the engine stopped.
        """
        with engine_in_one_line("vllm", f"{method} failed"):
            return self._loop.run_until_complete(getattr(self._engine, method)(*arguments))

    def ask_workers(self, method: str, *arguments: Any) -> Any:
        """Call a method of every worker, and wait for all of them.

        Args:
            method: Its name; `worker_extension_cls` may add some.
            arguments: What it is given: texts and numbers.

        Raises:
            InputError: It failed in a worker, or the engine stopped.
        """
        with engine_in_one_line("vllm", f"{method} failed"):
            ask = self._engine.collective_rpc(method, args=arguments)
            return self._loop.run_until_complete(ask)

    def stop(self) -> None:
        """End the engine's processes and free their memory."""
        self._engine.shutdown()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


async def _started(arguments: Mapping[str, Any]) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


async def _cancelled(tasks: "Sequence[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Restore torch's number of threads, which vLLM sets to one; metrics need them."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
