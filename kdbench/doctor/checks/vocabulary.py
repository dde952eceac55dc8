"""Tokens that a model has no embedding for, and heads that are not what the file says."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.doctor.sizes import stored_shapes
from kdbench.views.tokenizers import vocabulary_size

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


@check("vocabulary", "tokens")
def vocabulary(patient: Patient) -> Iterator[Finding]:
    """Tokens beyond the embedding, and a head that is stored but not used."""
    for member in patient.members:
        rows, tokens = member.config.vocab_size, vocabulary_size(member.tokenizer)
        if tokens > rows:
            vocab = member.tokenizer.get_vocab()
            beyond = sorted((n, token) for token, n in vocab.items() if n >= rows)
            named = ", ".join(f"'{token}'" for _, token in beyond[:5])
            yield Finding(
                "error",
                f"{member.whose}: {len(beyond)} tokens of its tokenizer are beyond the {rows} rows "
                f"of its embedding ({named}{', …' if len(beyond) > 5 else ''})",
                "a text with such a token stops the run, and the model can never write one; "
                "usually a tokenizer got special tokens and the model was not resized",
                "resize_token_embeddings(len(tokenizer)) before saving, or the tokenizer that "
                "belongs to the weights",
            )
        yield from _head(member)


def _head(member: Member) -> Iterator[Finding]:
    """A head in the file that is not loaded, because the configuration ties it."""
    shapes = stored_shapes(member) or {}
    if not getattr(member.config, "tie_word_embeddings", False) or not (
        {_EMBEDDING, _HEAD} <= set(shapes)
    ):
        return
    if shapes[_EMBEDDING] != shapes[_HEAD] or not _equal(member):
        yield Finding(
            "error",
            f"{member.whose}: config.json ties the head to the embedding, and the file holds a "
            f"head of its own ({_HEAD}) that differs",
            "the stored head is not loaded, so the model's probabilities are not those it had",
            "tie_word_embeddings=false in config.json, if the head was trained by itself",
        )


def _equal(member: Member) -> bool:
    import torch
    from safetensors import safe_open

    held = {}
    folder = (member.checkpoint.base or member.checkpoint).path
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            for name in {_EMBEDDING, _HEAD} & set(tensors.keys()):
                held[name] = tensors.get_tensor(name)
    return len(held) < 2 or torch.equal(held[_EMBEDDING], held[_HEAD])
