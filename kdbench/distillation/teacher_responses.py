"""The teacher's responses to the training prompts: sampled once, kept as a data set.

The folder is in the `data=DIR` layout, so that it can be looked at and trained on elsewhere; empty
responses, which no data set may have, lie beside it in `empty.jsonl`. Its
name is a hash of teacher, prompts and sampling; every run with these shares it, and an interrupted
one goes on after its last response.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.protocol import Protocol
from kdbench.system.bundled import load_module
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress

Ended = tuple[str, bool]


def folder_of(cache: Path, teacher: str, prompts: str, protocol: Protocol, seed: int) -> Path:
    """Where responses lie.

    Args:
        cache: folder of all such sets.
        teacher: SHA-256 of the checkpoint, and the precision of its weights.
        prompts: SHA-256 of the data set.
        protocol: lengths and decoding.
        seed: of the sampling.
    """
    key = json.dumps([teacher, prompts, protocol.as_dict(), seed], sort_keys=True)
    return cache / hashlib.sha256(key.encode()).hexdigest()[:12]


def teacher_responses(
    file: Path,
    records: Sequence[Mapping[str, Any]],
    protocol: Protocol,
    seed: int,
    load: Callable[[], tuple[Any, Any]],
    batch_size: int | None,
) -> tuple[dict[str, Ended], int]:
    """The responses by id, and the number of tokens in them.

    Args:
        file: `<folder>/<set>/train.jsonl`; what is there is kept.
        records: rows of the training set.
        protocol: lengths and decoding.
        seed: of the sampling.
        load: gives the teacher's model and tokenizer; called if a response is missing.
        batch_size: rows that decode at once; None is found.

    Returns:
        A text and whether it ended by itself, for each id.
    """
    texts, empty = LinesFile(file), LinesFile(file.with_name("empty.jsonl"))
    found = [*texts.read(), *empty.read()]
    known = {line["id"]: (line["output"][0], line["finish"] == "stop") for line in found}
    missing = [record for record in records if record["id"] not in known]
    tokens = sum(line["n_tokens"] for line in found)
    if not missing:
        return known, tokens
    model, tokenizer = load()
    generator = Generator(model, tokenizer, protocol, batch_size)
    prompt_of = load_module("tasks/instruction.py").doc_to_text
    by_id = {record["id"]: record for record in missing}
    rows = [
        Row(record["id"], seed, generator.encode(prompt_of(record), "").ids) for record in missing
    ]
    title = "teacher responses"
    with (
        texts.appending() as add_text,
        empty.appending() as add_empty,
        progress(title, len(records), len(records) - len(missing), "samples") as advance,
    ):
        for batch in generator.batches(rows):
            for sample in generator.generate(batch, ()):
                record = by_id[sample.document]
                appender = add_text if sample.output.strip() else add_empty
                appender.add(
                    {
                        "id": sample.document,
                        "instruction": record["instruction"],
                        "input": record["input"],
                        "output": [sample.output],
                        "finish": sample.finish,
                        "n_tokens": len(sample.tokens),
                    }
                )
                tokens += len(sample.tokens)
                known[sample.document] = (sample.output, sample.finish == "stop")
                advance()
            add_text.sync()
            add_empty.sync()
    return known, tokens
