"""The BOS token: doubled, or left out where the tokenizer would put it."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.generate.prompts import adds_bos


@check("bos", "tokens")
def bos(patient: Patient) -> Iterator[Finding]:
    """A BOS token that is doubled, or that prompts lack."""
    for member in patient.members:
        tokenizer = member.tokenizer
        (first,) = patient.prompts(1)
        ids = patient.encoded(member, first).ids
        start = tokenizer.bos_token_id
        if start is None:
            continue
        if ids[:2] == (start, start):
            chat = patient.protocol.prompt == "chat"
            writer = "the chat template and the tokenizer" if chat else "the prompt and add_bos="
            yield Finding(
                "error",
                f"{member.whose}: prompts begin with two BOS tokens '{tokenizer.bos_token}'; "
                f"{writer} each add one",
                "no model has seen that in its training, and answers get worse without a word",
                "add_bos=false" if patient.protocol.add_bos else "chat_template= that writes one",
            )
        elif ids[0] != start and adds_bos(tokenizer):
            yield Finding(
                "warning",
                f"{member.whose}: its tokenizer begins a text with '{tokenizer.bos_token}', and "
                "the prompts have none",
                "a model that was trained with it (Llama, Gemma, Mistral) answers worse without",
                "add_bos=true, in training and evaluation alike",
            )
