"""The sides of `roofline`: who generates, and what a decoding step must read and do."""

import importlib.util
import itertools
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.device import device
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Backend, Options, Row
from kdbench.generate.choice import choose_backend
from kdbench.generate.decoding.memory import cached_numbers, layers_of
from kdbench.protocol import get_protocol

DTYPE = "bfloat16"
FIRST_WORD = 2  # the tokens before it are special
Prompts = list[tuple[int, ...]]


@dataclass(frozen=True)
class Side:
    """One who generates.

    Attributes:
        generate: Samples a number of tokens for every row, from prompts that it has not seen, and
            returns how many tokens there were in all.
        bytes: Bytes that a decoding step must read.
        operations: Floating-point operations that a decoding step must do.
    """

    generate: Callable[[int], int]
    bytes: float
    operations: float


class NewPrompts:
    """Random prompts of one length, other ones at each call, so that no prefix cache helps.

    Args:
        vocabulary: Number of tokens.
        rows: Number of prompts.
        tokens: Tokens of a prompt.
    """

    def __init__(self, vocabulary: int, rows: int, tokens: int):
        self._draw, self._vocabulary = random.Random(0), vocabulary
        self.rows, self.tokens = rows, tokens

    def __call__(self) -> Prompts:
        """The next prompts."""
        words = range(FIRST_WORD, self._vocabulary)
        return [tuple(self._draw.choices(words, k=self.tokens)) for _ in range(self.rows)]


def evaluation_sides(place: Path, rows: int, tokens: int) -> dict[str, Side]:
    """Make kdbench's hf backend, lm-eval's hf model and vLLM, of one checkpoint.

    Args:
        place: Folder of the random models.
        rows: Rows that decode together.
        tokens: Tokens of a prompt, and of a response.
    """
    student = place / "student"
    keys = {"max_prompt_tokens": tokens, "max_new_tokens": tokens, "seeds": (10,)}
    protocol = get_protocol("minillm", keys)

    def ours(name: str, engine: Mapping[str, Any]) -> Any:
        kind = choose_backend(name, engine).kind
        place = device() if name == "hf" else "auto"
        options = Options(DTYPE, place, rows, engine=engine, ignore_eos=True)
        return kind(find_checkpoint(str(student)), protocol, options)

    backend = ours("hf", {})
    prompts = NewPrompts(backend.model.config.vocab_size, rows, tokens)
    least = _least(backend.model, rows, tokens, backend.model.dtype.itemsize)
    sides = {"lm-eval hf": Side(_lm_eval(student, prompts, protocol), *least)}
    if importlib.util.find_spec("vllm") is None:
        print("eval: vLLM is not installed, so there is no row of it", file=sys.stderr)
    else:
        engine = {"enforce_eager": True} if device() == "cpu" else {"gpu_memory_utilization": 0.5}
        sides["vLLM"] = Side(_backend(ours("vllm", engine), prompts), *least)
    sides["kdbench"] = Side(_backend(backend, prompts), *least)
    return sides


def _backend(backend: Backend, prompts: NewPrompts) -> Callable[[int], int]:
    """What a backend of kdbench generates; a row's noise belongs to its number."""
    protocol = backend.protocol  # type: ignore[attr-defined]
    list(backend.batches([Row("0", 10, prompts()[0])]))  # starts an engine, for whole responses

    def generate(tokens: int) -> int:
        backend.protocol = replace(protocol, max_new_tokens=tokens)  # type: ignore[attr-defined]
        rows = [Row(str(number), 10, ids) for number, ids in enumerate(prompts())]
        samples = [s for batch in backend.batches(rows) for s in backend.generate(batch, ())]
        return sum(len(sample.tokens) for sample in samples)

    return generate


def _lm_eval(model: Path, prompts: NewPrompts, protocol: Any) -> Callable[[int], int]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(
        str(model),
        device=device(),
        dtype=DTYPE,
        batch_size=prompts.rows,
        max_length=2 * prompts.tokens,
        add_bos_token=False,
    )

    def generate(tokens: int) -> int:
        keys = {
            "until": [],
            "max_gen_toks": tokens,
            "min_new_tokens": tokens,  # no response ends early, as with kdbench's ignore_eos
            "do_sample": True,
            "temperature": protocol.temperature,
            "top_p": protocol.top_p,
            "top_k": protocol.top_k,
            "no_repeat_ngram_size": protocol.no_repeat_ngram_size,
        }
        texts = [lm.tokenizer.decode(ids) for ids in prompts()]
        requests = [Instance("generate_until", {}, (text, keys), 0) for text in texts]
        lm.generate_until(requests, disable_tqdm=True)
        return tokens * prompts.rows

    return generate


def rollout_sides(place: Path, rows: int, tokens: int) -> dict[str, Side]:
    """A student in training that samples by kdbench's trainer and by TRL's; none without TRL.

    Args:
        place: Folder of the random models.
        rows: Rows that decode together.
        tokens: Tokens of a prompt, and of a response.
    """
    if importlib.util.find_spec("trl") is None:
        print(
            "rollouts: TRL is not installed (kdbench[bench]), so there is no row", file=sys.stderr
        )
        return {}
    from kdbench.distillation.ingredients import Ingredients
    from kdbench.distillation.recipe import make_recipe

    parts = Ingredients(
        make_recipe(
            {
                "method": "gkd",
                **{name: str(place / name) for name in ("student", "teacher", "data")},
                "train_format": "text",
                "precision": DTYPE,
                "device": device(),
                "steps": 1,
                "batch_size": rows,
                "max_prompt_tokens": tokens,
                "max_length": 2 * tokens,
                "max_new_tokens": tokens,
                "generation_batch_size": rows,
                "validation_limit": 1,
                "validation_samples": 1,
            }
        )
    )
    folder = Path(tempfile.mkdtemp())
    student = parts.load_student()
    prompts = NewPrompts(student.config.vocab_size, rows, tokens)
    least = _least(student, rows, tokens, 2)  # the weights in the precision of the training
    return {
        "TRL": Side(_trl(parts, student, prompts, folder), *least),
        "kdbench": Side(_kdbench(parts, prompts, folder), *least),
    }


def _kdbench(parts: Any, prompts: NewPrompts, folder: Path) -> Callable[[int], int]:
    from kdbench.distillation.fit import make_trainer, prepare

    run = prepare(parts, parts.triple(), parts.train.examples[: prompts.rows], folder)
    trainer = make_trainer(run)
    trainer.begin(None)
    sampler, numbers = trainer._sampler, itertools.count()
    sampling = run.work.sampling

    def generate(tokens: int) -> int:
        sampler._work = replace(run.work, sampling=replace(sampling, max_new_tokens=tokens))
        seed = next(numbers)
        rows = [Row(str(number), seed, ids) for number, ids in enumerate(prompts())]
        return sum(len(sample.tokens) for sample in sampler.sample(rows))

    return generate


def _trl(parts: Any, student: Any, prompts: NewPrompts, folder: Path) -> Callable[[int], int]:
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer

    arguments = DistillationConfig(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=prompts.rows,
        max_completion_length=prompts.tokens,
        bf16=True,
        gradient_checkpointing=False,
        use_cpu=device() == "cpu",
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)
    trainer = DistillationTrainer(
        model=student,
        teacher_model=parts.teacher_model[0],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": "w2"}] * prompts.rows),
        processing_class=parts.tokenizer,
    )
    trainer.model_wrapped.eval()

    def generate(tokens: int) -> int:
        trainer.generation_config.max_new_tokens = tokens
        trainer.generation_kwargs["max_new_tokens"] = tokens
        given = [list(ids) for ids in prompts()]
        with trainer.accelerator.autocast():  # as in a step of transformers' trainer
            responses = trainer._generate_single_turn(given, None, {})
        return sum(map(len, responses))

    return generate


def _least(model: Any, rows: int, tokens: int, itemsize: int) -> tuple[float, float]:
    """Bytes to read and operations to do in the middle step of a response.

    Every weight once, without those rows of an input embedding that no head shares, and the keys
    and values of every row; two operations for each weight and row, and for each key and value.

    Args:
        model: The model.
        rows: Rows that decode together.
        tokens: Tokens of a prompt, and of a response.
        itemsize: Bytes of a number.
    """
    embedded = model.get_input_embeddings().weight
    tied = model.get_output_embeddings().weight is embedded
    weights = sum(p.numel() for p in model.parameters()) - (0 if tied else embedded.numel())
    config = model.config.get_text_config()
    length = tokens + tokens / 2
    cached = layers_of(config) * cached_numbers(config, lambda: embedded.shape[-1]) * length
    groups = config.num_attention_heads / config.num_key_value_heads
    read = itemsize * (weights + rows * cached)
    return read, 2 * rows * (weights + groups * cached)
