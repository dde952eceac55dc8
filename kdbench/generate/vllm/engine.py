"""vLLM's engine: started, asked, stopped.

It is the asynchronous engine, which alone spreads requests over data-parallel replicas; its event
loop runs while the caller waits for the next finished row, and at no other time.
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

_AHEAD = 4  # times the rows that decode at once are handed over: the engine never waits for one
INSTALL = 'pip install "kdbench[vllm]"'

# What kdbench sets itself: the model and what decides which text it answers.
_OWN = {
    "model": "model=",
    "tokenizer": "model=",
    "revision": "revision=",
    "dtype": "dtype=",
    "trust_remote_code": "trust_remote_code=",
    "max_num_seqs": "batch_size=",
    "seed": "seeds=",
    "generation_config": "the protocol's keys",
    "skip_tokenizer_init": "nothing: kdbench encodes",
    "logits_processors": "the protocol's keys",
    "additional_config": "nothing: kdbench needs it",
    "speculative_config": "nothing: vLLM takes no n-gram rule and no row's noise beside it",
}


@dataclass(frozen=True)
class Request:
    """What the engine is asked.

    Attributes:
        prompt_ids: tokens that it reads.
        params: vLLM's `SamplingParams`.
    """

    prompt_ids: Sequence[int]
    params: Any


def check_installed() -> None:
    """Check that vLLM is here.

    Raises:
        InputError: it is not; the line says how to install it.
    """
    try:
        import vllm  # noqa: F401
    except ImportError as error:
        missing = error.name == "vllm"
        reason = "not installed" if missing else f"cannot be imported ({error})"
        raise InputError(f"backend=vllm: {reason}: {INSTALL} (docs/backends.md)") from None


def check_options(options: Mapping[str, Any]) -> None:
    """Check the names of engine settings.

    Raises:
        InputError: a setting that vLLM does not have, or one that kdbench sets.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in fields(AsyncEngineArgs)}
    for name in options:
        if name in _OWN:
            raise InputError(f"backend_options={name}=…: kdbench sets it; use {_OWN[name]}")
        if name not in known:
            near = nearest(name, known)
            raise InputError(f"backend_options={name}=…: vLLM has no such setting: {near}")


def check_device(device: str) -> None:
    """Check that the installed vLLM runs there.

    Raises:
        InputError: it was built for another device, or one of several is named.
    """
    kind, _, index = device.partition(":")
    if index:
        raise InputError(f"device={device}: choose vLLM's GPUs with CUDA_VISIBLE_DEVICES")
    if kind not in ("auto", here()):
        raise InputError(f"device={device}: the installed vLLM runs on '{here()}'")


def here() -> str:
    """The kind of device that the installed vLLM runs on."""
    from vllm.platforms import current_platform

    return str(current_platform.device_type)


class Engine:
    """A running engine.

    Args:
        arguments: of vLLM's `AsyncEngineArgs`.

    Attributes:
        max_rows: that decode at once, in one replica.

    Raises:
        InputError: it does not start.
    """

    def __init__(self, arguments: Mapping[str, Any]):
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # Its second model runner has another interface of logits processors.
        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
        self._loop = asyncio.new_event_loop()
        try:
            with engine_in_one_line("vllm", "vLLM does not start"), _own_threads():
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
        """Answer requests, in the order in which they are finished.

        Args:
            requests: by a name of the caller's.
            take: is given each output (vLLM's `RequestOutput`) with its request's name; what it
                returns is yielded, and ends the request.

        Raises:
            InputError: the engine refuses a request, or has died.
        """
        done: asyncio.Queue[T | Exception] = asyncio.Queue()
        tasks = self._loop.run_until_complete(self._begin(requests, take, done))
        try:
            for _ in requests:
                with engine_in_one_line("vllm", "vLLM stopped"):
                    one = self._loop.run_until_complete(done.get())
                    if isinstance(one, Exception):
                        raise one
                yield one
        finally:
            self._loop.run_until_complete(_cancelled(tasks))

    async def _begin(
        self,
        requests: Mapping[str, Request],
        take: Callable[[str, Any], T | None],
        done: "asyncio.Queue[T | Exception]",
    ) -> "list[asyncio.Task[None]]":
        places = asyncio.Semaphore(self._in_flight)

        async def follow(name: str, request: Request) -> None:
            try:
                async with places:
                    done.put_nowait(await self._followed(name, request, take))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                done.put_nowait(error)

        return [asyncio.create_task(follow(*one)) for one in requests.items()]

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
            await outputs.aclose()  # which aborts a request that is not finished
        raise InputError(f"request {name} ended without a result")

    def stop(self) -> None:
        """End its processes and free their memory."""
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
def _own_threads() -> Iterator[None]:
    """Keep torch's threads of this process, which vLLM takes down to one; metrics need them."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
