"""The loss of a chunk, compiled into few kernels on a GPU."""

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from kdbench.system.console import report_progress

if TYPE_CHECKING:
    import torch

ChunkFunction = Callable[..., "Sequence[torch.Tensor]"]
Compiles = bool | Literal["auto"]
# torch counts the variants of all objectives in a process together, and allows 8 by default.
_MOST_VARIANTS = 128


class ChunkCompiler:
    """Compiles the functions of chunks; a function that cannot be compiled runs as it is.

    Args:
        enabled: Whether to compile.
        backend: The compiler of `torch.compile`.

    Attributes:
        enabled: The argument.
        failures: Why functions are not compiled.
    """

    def __init__(self, enabled: bool, backend: str | Callable[..., Any] = "inductor"):
        self.enabled, self._backend = enabled, backend
        self.failures: list[str] = []
        self._compiled: dict[Hashable, ChunkFunction | None] = {}  # None cannot be compiled
        self._last: Hashable = None

    def __call__(self, key: Hashable, function: ChunkFunction, *inputs: Any) -> Any:
        """Run a function compiled, if it can be.

        Args:
            key: What the compiled function is kept under.
            function: Given the inputs, returns tensors with gradient.
            inputs: Tensors, numbers, and dictionaries and lists of them.
        """
        if not self.enabled:
            return function(*inputs)
        import torch

        if key not in self._compiled:
            self._compiled[key] = torch.compile(function, fullgraph=True, backend=self._backend)
        compiled, self._last = self._compiled[key], key
        if compiled is None:
            return function(*inputs)
        try:
            with torch._dynamo.config.patch(recompile_limit=_MOST_VARIANTS):
                return compiled(*inputs)
        except (RuntimeError, torch._dynamo.exc.FailOnRecompileLimitHit) as error:
            if not self.give_up(error):
                raise
            return function(*inputs)

    def give_up(self, error: Exception) -> bool:
        """Run the last function as it is from now on, as its compiled form failed.

        Its backward pass may be compiled, and fail, only when it is first run.

        Args:
            error: What failed.

        Returns:
            Whether it was compiled; if not, or for want of memory, the error is its own.
        """
        import torch

        if self._compiled.get(self._last) is None or isinstance(error, torch.OutOfMemoryError):
            return False
        self._compiled[self._last] = None
        lines = str(error).split("\n", 2)[:2]  # the first may only name the compiler
        reason = " ".join(" ".join(lines).split())[:200] or type(error).__name__
        self.failures.append(reason)
        report_progress(f"note: the loss is not compiled, which is slower: {reason}")
        return True


def compiler_for(device: "torch.device | str", setting: Compiles = "auto") -> ChunkCompiler:
    """The compiler of a run: on a GPU if the setting is `auto`."""
    import torch

    on_gpu = torch.device(device).type == "cuda"
    return ChunkCompiler(on_gpu if setting == "auto" else setting)
