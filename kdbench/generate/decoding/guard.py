"""The guard of generation: a model decodes only in a way that gives its plain forward pass's logits.

Architectures break batches in many ways: states that do not move with the rows, masks that take
padding for tokens, positions that count it, caches of their own. No list of names keeps up with
them. So each model answers a few short prompts before its first real work, first in the fastest way
that it seems to allow, and the first way that agrees with the plain forward pass is used.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from kdbench.errors import InputError
from kdbench.generate.decoding.kinds import Begin, CachedDecoding, of_model
from kdbench.generate.decoding.rowwise import AloneDecoding, RecomputedDecoding
from kdbench.system.console import report_progress
from kdbench.views.probe import distance, plain_logits, plainly, probe_tokens, tolerance

if TYPE_CHECKING:
    import torch

Path = Literal["fast", "batch", "alone", "recomputed"]

# The last row is the first one's equal, as seeds of a document are; the fifth row waits for a place.
_LENGTHS = (3, 17, 9, 6)
_STEPS = 7  # three before and four after rows leave: a CUDA graph is captured in the second
_PLACES = 4
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


def guarded(model: Any, vocabulary: int) -> Begin:
    """The fastest decoding that agrees with the model's plain forward pass; a slow one is announced.

    Raises:
        InputError: there is none.
    """
    sound = sound_decoding(model, vocabulary)
    if sound.note:
        report_progress(sound.note)
    return sound.begin


def sound_decoding(model: Any, vocabulary: int) -> SoundDecoding:
    """Find the fastest decoding that agrees with the model's plain forward pass.

    Args:
        model: a transformers model; its mode is left as it is.
        vocabulary: number of tokens V; logits beyond it, padding of the head, are cut off.

    Raises:
        InputError: there is none, later tokens change earlier logits, or logits are not finite.
    """
    name, why = type(model).__name__, ""
    with plainly(model):
        probe = _Probe(model, vocabulary)
        for path, make in _ways(model, vocabulary):
            reason = _disagreement(make, probe)
            if reason is None:
                note = f"{name}: {_HOW[path]}: {why}" if _HOW[path] else None
                return SoundDecoding(path, make(), note)
            why = why or f"in a batch {reason}"
    raise InputError(f"{name}: no way of decoding agrees with its plain forward pass: {reason}")


def _ways(model: Any, vocabulary: int) -> Iterator[tuple[Path, Callable[[], Begin]]]:
    """Ways to decode, from fast to slow."""
    yield "fast", lambda: of_model(model, vocabulary)
    yield "batch", lambda: partial(CachedDecoding, model, vocabulary)
    yield "alone", lambda: partial(AloneDecoding, model, vocabulary)
    yield "recomputed", lambda: partial(RecomputedDecoding, model, vocabulary)


class _Probe:
    """Prompts, the tokens that follow them whatever the logits, and the right logits.

    Attributes:
        prompts: of five rows, of which four have a place at first.
        forced: the tokens of each row's steps.
        expected: logits of each row, (steps + 1, V).
        tolerance: the largest distance that rounding explains.

    Raises:
        InputError: later tokens change earlier logits, or logits are not finite.
    """

    def __init__(self, model: Any, vocabulary: int):
        lengths = [*_LENGTHS[:2], _longest(model.config), _LENGTHS[3]]
        room = _positions(model.config) - _STEPS - 1
        tokens = probe_tokens(model, vocabulary, [max(1, min(n, room)) + _STEPS for n in lengths])
        prompts = [row[:-_STEPS] for row in tokens]
        forced = [row[-_STEPS:] for row in tokens]
        logits = [self._plain(model, row)[:, :vocabulary] for row in tokens]
        self._check_causal(model, tokens, logits)
        again = (0, 1, 2, 0, 3)  # row 3 is row 0's equal, row 4 waits
        self.prompts = [prompts[row] for row in again]
        self.forced = [forced[row] for row in again]
        self.expected = [logits[row][-_STEPS - 1 :] for row in again]
        self.tolerance = tolerance(model.dtype)

    @staticmethod
    def _plain(model: Any, tokens: Sequence[int]) -> "torch.Tensor":
        logits = plain_logits(model, tokens)
        if not logits.isfinite().all():
            raise InputError(
                f"{model.name_or_path}: the logits are not finite: the weights are broken, or too "
                "large for dtype=float16 (try bfloat16)"
            )
        return logits

    def _check_causal(
        self, model: Any, tokens: Sequence[Sequence[int]], logits: Sequence["torch.Tensor"]
    ) -> None:
        """Cut a row short: what remains has the logits that it had."""
        cut = self._plain(model, tokens[1][:-_STEPS])
        there = logits[1][:-_STEPS]
        if distance(cut[:, : there.shape[1]], there) > tolerance(model.dtype):
            raise InputError(
                f"{type(model).__name__}: later tokens change the logits of earlier ones: this is "
                "an encoder, or config.json lacks is_decoder=true; it cannot generate"
            )


def _disagreement(make: Callable[[], Begin], probe: _Probe) -> str | None:
    """Why a way of decoding is not used; None if it agrees."""
    import torch

    try:
        found = _decode(make(), probe)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - models fail in ways of their own
        reason = " ".join(str(error).split())[:120]
        return f"it fails ({type(error).__name__}{': ' * bool(reason)}{reason})"
    worst = max(_error(some, probe) for some in found.items())
    if worst <= probe.tolerance:
        return None
    return f"its logits differ from those of a plain forward pass by {worst:.2g} of their spread"


def _decode(begin: Begin, probe: _Probe) -> dict[int, list["torch.Tensor"]]:
    """Logits of each row as a queue gives them: rows begin, one is replaced, two leave."""
    import torch

    decoding = begin(probe.prompts, _PLACES, _STEPS + 1)
    live = list(range(_PLACES))
    found: dict[int, list[torch.Tensor]] = {}
    for step in range(_STEPS + 1):
        for row, logits in zip(live, decoding.logits, strict=True):
            found.setdefault(row, []).append(logits.float().clone())
        if step == _STEPS:
            break
        tokens = [probe.forced[row][len(found[row]) - 1] for row in live]
        if step == 3:
            live, tokens = [live[1], live[3]], [tokens[1], tokens[3]]
            decoding.keep(torch.tensor([1, 3], device=decoding.logits.device))
        decoding.advance(torch.tensor(tokens, device=decoding.logits.device))
        if step == 1 and decoding.can_replace:
            decoding.replace([1], [4])
            live[1] = 4
    return found


def _error(some: tuple[int, list["torch.Tensor"]], probe: _Probe) -> float:
    """The distance of a row's logits; infinite where another token than the right one wins."""
    import torch

    row, logits = some
    found, expected = torch.stack(logits), probe.expected[row][: len(logits)]
    error = distance(found, expected)
    spread = (expected - expected.mean(-1, keepdim=True)).square().mean().sqrt()
    lost = expected.max(-1).values - expected.gather(-1, found.argmax(-1, keepdim=True))[:, 0]
    near = 2 * probe.tolerance * spread * 4  # both may be off, by more than the mean error
    return error if bool((lost <= near).all()) else max(error, float(lost.max() / spread))


def _longest(config: Any) -> int:
    """A length that goes past a local window, where the model has one that is not too long."""
    text = config.get_text_config()
    names = ("sliding_window", "attention_window_size", "window_size", "attention_chunk_size")
    windows = [getattr(text, name, None) for name in names]
    usual = [one for one in windows if isinstance(one, int) and 0 < one <= _LONGEST_WINDOW]
    return max([_LENGTHS[2], *(window + 5 for window in usual)])


def _positions(config: Any) -> int:
    """Positions of a model; many if they have no end."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return positions if isinstance(positions, int) and positions > 0 else 1 << 30
