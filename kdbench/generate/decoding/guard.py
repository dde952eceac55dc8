"""The guard of generation: a way of decoding must give the logits of a plain forward pass.

Architectures break batches in many ways: states that do not move with the rows, masks that take
padding for tokens, positions that count it, caches of their own. No list of names keeps up with
them. So each model answers a few short prompts before its first real work, first in the fastest
way that it seems to allow, and the first way that agrees with the plain forward pass is used. The
prompts are random tokens. Where a low precision may be why a way disagrees on them, it is asked
again on text that the model wrote itself.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from kdbench.errors import InputError
from kdbench.generate.decoding.kinds import Begin, CachedDecoding, Decoding, of_model
from kdbench.generate.decoding.own_text import own_text
from kdbench.generate.decoding.prefill import Prompts
from kdbench.generate.decoding.rope import within_rope
from kdbench.generate.decoding.rowwise import AloneDecoding, RecomputedDecoding
from kdbench.system.console import report_progress
from kdbench.views.probe import distance, plain_logits, plainly, probe_tokens, tolerance
from kdbench.views.rope import rope_limit

if TYPE_CHECKING:
    import torch

Path = Literal["fast", "batch", "alone", "recomputed"]
Texts = Callable[[Any, int, Sequence[int]], list[tuple[int, ...]]]

# Lengths of the prompts; the third grows with a local window.
_LENGTHS = (3, 17, 9, 6)
_PLACES = 4
_STEPS = 4
_STEPS_BEFORE_ROWS_LEAVE = 1
# On a GPU the second step of the same rows is captured as a graph, which the third replays.
_STEPS_OF_GRAPHS = 7
_STEPS_OF_GRAPHS_BEFORE_ROWS_LEAVE = 3
_NOT_CAUSAL = 0.3  # what rounding never explains, even where routers of experts flip
_LOW_PRECISION = 1e-3  # a tolerance from here on is that of float16 or bfloat16
_FAILS = "it fails"
_LONGEST_WINDOW = 300  # a longer window costs more to fill than the first answers do

_HOW: dict[Path, str] = {
    "fast": "",
    "batch": "rows wait for the slowest of their batch, instead of giving their places to others",
    "alone": "rows are decoded one at a time",
    "recomputed": "rows are decoded one at a time and without a cache, which is slow",
}


@dataclass(frozen=True)
class SoundDecoding:
    """A way of decoding that agrees with a model's plain forward pass.

    Attributes:
        path: which of the ways, from fast to slow.
        begin: begins a batch.
        note: one line for the user where it is not the fast one, else None.
    """

    path: Path
    begin: Begin
    note: str | None = None


class SoundDecodings:
    """The decodings of the models of one training, each checked once.

    Args:
        vocabulary: number of tokens V.
    """

    def __init__(self, vocabulary: int):
        self._vocabulary = vocabulary
        self._known: dict[int, tuple[Any, Begin]] = {}

    def of(self, model: Any) -> Begin:
        """The decoding of one model; a slow one is announced at its check.

        Raises:
            InputError: no way of decoding agrees with the plain forward pass.
        """
        if id(model) not in self._known:  # the model is kept too, so that its id stays its own
            self._known[id(model)] = model, guarded(model, self._vocabulary)
        return self._known[id(model)][1]


def guarded(model: Any, vocabulary: int, frozen: bool = False) -> Begin:
    """The fastest decoding that agrees with a plain forward pass; a slow one is announced.

    Args:
        model: a transformers model.
        vocabulary: number of tokens V.
        frozen: whether the weights stay as they are from now on.

    Raises:
        InputError: there is none.
    """
    sound = sound_decoding(model, vocabulary, frozen)
    if sound.note:
        report_progress(sound.note)
    return sound.begin


def sound_decoding(model: Any, vocabulary: int, frozen: bool = False) -> SoundDecoding:
    """Find the fastest decoding that agrees with the model's plain forward pass.

    Args:
        model: a transformers model; its mode is left as it is.
        vocabulary: number of tokens V; logits beyond it, padding of the head, are cut off.
        frozen: whether the weights stay as they are from now on.

    Raises:
        InputError: there is none, later tokens change earlier logits, or logits are not finite.
    """
    name, why = type(model).__name__, ""
    with plainly(model):
        probe = _Probe(model, vocabulary)
        of_own_text = cache(partial(_probe_of_own_text, model, vocabulary))
        for path, begin in _ways(model, vocabulary, frozen):
            reason = _disagreement(begin, probe)
            if reason and _may_be_rounding(probe, reason) and (second := of_own_text()):
                reason = _disagreement(begin, second)
            if reason is None:
                note = f"{name}: {_HOW[path]}: {why}" if _HOW[path] else None
                return SoundDecoding(path, within_rope(model, vocabulary, begin), note)
            why = why or f"in a batch {reason}"
    raise InputError(f"{name}: no way of decoding agrees with its plain forward pass: {reason}")


def _ways(model: Any, vocabulary: int, frozen: bool) -> Iterator[tuple[Path, Begin]]:
    """Ways to decode, from fast to slow."""
    of_this = cache(partial(of_model, model, vocabulary, frozen))

    def fast(prompts: Prompts, places: int, room: int) -> Decoding:
        # Asked within the check, since some models fail when they are asked for their layers.
        return of_this()(prompts, places, room)

    yield "fast", fast
    yield "batch", partial(CachedDecoding, model, vocabulary)
    yield "alone", partial(AloneDecoding, model, vocabulary)
    yield "recomputed", partial(RecomputedDecoding, model, vocabulary)


class _Probe:
    """Prompts, the tokens that follow them whatever the logits, and the right logits.

    Attributes:
        prompts: of five rows, of which four have a place at first.
        forced: the tokens of each row's steps.
        expected: logits of each row, (steps + 1, V).
        leaving: the step after which two rows leave.
        tolerance: the largest distance that rounding explains.

    Args:
        model: a transformers model.
        vocabulary: number of tokens V.
        texts: makes token ids of these lengths.

    Raises:
        InputError: later tokens change earlier logits, or logits are not finite.
    """

    def __init__(self, model: Any, vocabulary: int, texts: Texts = probe_tokens):
        graphs = model.device.type == "cuda"
        self.steps = _STEPS_OF_GRAPHS if graphs else _STEPS
        self.leaving = _STEPS_OF_GRAPHS_BEFORE_ROWS_LEAVE if graphs else _STEPS_BEFORE_ROWS_LEAVE
        lengths = [*_LENGTHS[:2], _longest(model.config), _LENGTHS[3]]
        room = max(1, _positions(model.config) - self.steps - 1)
        whole = [min(length, room) + self.steps for length in lengths]
        tokens = texts(model, vocabulary, whole)
        logits = [self._plain(model, row)[:, :vocabulary] for row in tokens]
        noise = self._noise(model, tokens[1], logits[1])
        self.tolerance = max(tolerance(model.dtype), min(4 * noise, _NOT_CAUSAL))
        again = (0, 1, 2, 0, 3)  # row 3 is row 0's equal, row 4 waits
        self.prompts = [tokens[row][: -self.steps] for row in again]
        self.forced = [tokens[row][-self.steps :] for row in again]
        self.expected = [logits[row][-self.steps - 1 :] for row in again]

    @staticmethod
    def _plain(model: Any, tokens: Sequence[int]) -> "torch.Tensor":
        import torch

        try:
            logits = plain_logits(model, tokens)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise InputError(
                f"{type(model).__name__}: its forward pass fails on tokens alone: {_reason(error)}"
            ) from error
        if not logits.isfinite().all():
            raise InputError(
                f"{model.name_or_path}: the logits are not finite: the weights are broken, or too "
                "large for dtype=float16 (try bfloat16)"
            )
        return logits

    def _noise(self, model: Any, tokens: Sequence[int], logits: "torch.Tensor") -> float:
        """Cut a row short: what remains has the logits that it had, but for rounding."""
        cut = self._plain(model, tokens[: -self.steps])[:, : logits.shape[1]]
        noise = distance(cut, logits[: -self.steps])
        limit = tolerance(model.dtype)
        if noise > (limit if limit < _LOW_PRECISION else _NOT_CAUSAL):
            raise InputError(
                f"{type(model).__name__}: later tokens change the logits of earlier ones, as in an "
                "encoder (does config.json lack is_decoder=true?); it cannot generate"
            )
        return noise


def _may_be_rounding(probe: _Probe, reason: str) -> bool:
    return probe.tolerance >= _LOW_PRECISION and not reason.startswith(_FAILS)


def _probe_of_own_text(model: Any, vocabulary: int) -> _Probe | None:
    """A probe of text that the model wrote; None if it cannot write any, as without a cache."""
    import torch

    try:
        return _Probe(model, vocabulary, own_text)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # noqa: BLE001 - models fail in ways of their own; the first probe decides
        return None


def _disagreement(begin: Begin, probe: _Probe) -> str | None:
    """Why a way of decoding is not used; None if it agrees."""
    import torch

    try:
        decoded = _decode(begin, probe)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - models fail in ways of their own
        return f"{_FAILS}: {_reason(error)}"
    worst = max(_error(row, logits, probe) for row, logits in decoded.items())
    if worst <= probe.tolerance:
        return None
    return f"its logits differ from those of a plain forward pass by {worst:.2g} of their spread"


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:150]


def _decode(begin: Begin, probe: _Probe) -> dict[int, list["torch.Tensor"]]:
    """Logits of each row as a queue gives them: rows begin, one is replaced, two leave."""
    import torch

    decoding = begin(probe.prompts, _PLACES, probe.steps + 1)
    live = list(range(_PLACES))
    decoded: dict[int, list[torch.Tensor]] = {}
    for step in range(probe.steps + 1):
        for row, logits in zip(live, decoding.logits, strict=True):
            decoded.setdefault(row, []).append(logits.float().clone())
        if step == probe.steps:
            break
        tokens = [probe.forced[row][len(decoded[row]) - 1] for row in live]
        if step == probe.leaving:
            live, tokens = [live[1], live[3]], [tokens[1], tokens[3]]
            decoding.keep(torch.tensor([1, 3], device=decoding.logits.device))
        decoding.advance(torch.tensor(tokens, device=decoding.logits.device))
        if step == 0 and decoding.can_replace:
            decoding.replace([1], [4])
            live[1] = 4
    return decoded


def _error(row: int, steps: Sequence["torch.Tensor"], probe: _Probe) -> float:
    """The distance of a row's logits, or how far a wrong token is from the right one."""
    import torch

    logits, expected = torch.stack(list(steps)), probe.expected[row][: len(steps)]
    error = distance(logits, expected)
    spread = (expected - expected.mean(-1, keepdim=True)).square().mean().sqrt()
    lost = expected.max(-1).values - expected.gather(-1, logits.argmax(-1, keepdim=True))[:, 0]
    near = 8 * probe.tolerance * spread  # both may be off, and by more than the mean error
    return error if bool((lost <= near).all()) else max(error, float(lost.max() / spread))


def _longest(config: Any) -> int:
    """A length that goes past a local window, where the model has one that is not too long."""
    text = config.get_text_config()
    names = ("sliding_window", "attention_window_size", "window_size", "attention_chunk_size")
    windows = [getattr(text, name, None) for name in names]
    usual = [size for size in windows if isinstance(size, int) and 0 < size <= _LONGEST_WINDOW]
    return max([_LENGTHS[2], *(window + 5 for window in usual)])


def _positions(config: Any) -> int:
    """Positions of a model that stay as they are; many if they have no end."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    limits = [positions, rope_limit(config)]
    return min([limit for limit in limits if isinstance(limit, int) and limit > 0], default=1 << 30)
