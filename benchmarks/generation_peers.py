"""The peers of `generation`: lm-eval's `hf` model and the papers' loop around `model.generate`."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.device import device
from benchmarks.inputs import NEW_TOKENS, Texts, model
from kdbench.protocol import get_protocol
from kdbench.task import Document

PROTOCOL = get_protocol("minillm", {"max_new_tokens": NEW_TOKENS})
SEEDS = PROTOCOL.seeds
PROMPT_TOKENS = PROTOCOL.max_prompt_tokens or 256
SAMPLING = {
    "do_sample": True,
    "temperature": PROTOCOL.temperature,
    "top_p": PROTOCOL.top_p,
    "top_k": PROTOCOL.top_k,
    "no_repeat_ngram_size": PROTOCOL.no_repeat_ngram_size,
}


def by_pass(documents: Sequence[Document], one_pass: Callable[[], list[str]]) -> Texts:
    """Texts of one pass per seed, seeded as the papers' scripts seed it."""
    from transformers import set_seed

    columns = []
    for seed in SEEDS:
        set_seed(seed)
        columns.append(one_pass())
    return {document.id: [column[i] for column in columns] for i, document in enumerate(documents)}


def together(documents: Sequence[Document], texts: list[str]) -> Texts:
    """Texts of one call that returns the seeds of a document one after another."""
    n = len(SEEDS)
    return {document.id: texts[n * i : n * (i + 1)] for i, document in enumerate(documents)}


def lm_eval_hf(documents: Sequence[Document], batch: int) -> Callable[[int], list[str]]:
    """A function of `repeats` that returns that many texts of lm-eval's hf model per document."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(
        str(model()),
        device=device(),
        dtype="auto",
        batch_size=batch,
        max_length=PROMPT_TOKENS + NEW_TOKENS,
        add_bos_token=PROTOCOL.add_bos,
    )
    keys = {"until": [], "max_gen_toks": NEW_TOKENS, **SAMPLING}
    requests = [
        Instance("generate_until", {}, (document.prompt, keys), 0) for document in documents
    ]

    def generate(repeats: int) -> list[str]:
        cloned = [request for request in requests for _ in range(repeats)]
        return list(lm.generate_until(cloned, disable_tqdm=True))

    return generate


def plain_generate(loaded: Any, documents: Sequence[Document]) -> Callable[[int], list[str]]:
    """A function of the batch size: the texts of `model.generate`, all prompts padded alike."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model(), padding_side="left", truncation_side="right")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token

    def generate(batch: int) -> list[str]:
        texts: list[str] = []
        for start in range(0, len(documents), batch):
            encoded = tokenizer(
                [document.prompt for document in documents[start : start + batch]],
                add_special_tokens=PROTOCOL.add_bos,
                max_length=PROMPT_TOKENS,
                padding="max_length",
                truncation=True,
                return_tensors="pt",
            ).to(loaded.device)
            with torch.inference_mode():
                out = loaded.generate(
                    input_ids=encoded["input_ids"],
                    attention_mask=encoded["attention_mask"],
                    max_new_tokens=NEW_TOKENS,
                    pad_token_id=tokenizer.pad_token_id,
                    **SAMPLING,
                )
            responses = out[:, encoded["input_ids"].shape[1] :]
            texts += tokenizer.batch_decode(responses, skip_special_tokens=True)
        return texts

    return generate
