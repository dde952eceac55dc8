"""The toy tokenizer: a small byte-level BPE, trained on the toy training rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.toy.corpus import INPUT_HEADER, PREAMBLE, PREAMBLE_WITH_INPUT, RESPONSE_HEADER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
VOCABULARY_SIZE = 512

# Each piece of the prompt template is one token. The template is most of a toy prompt, so this
# halves the cost of every toy run and leaves all merges to the words of the toy world.
TEMPLATE_PIECES = (PREAMBLE, PREAMBLE_WITH_INPUT, INPUT_HEADER, RESPONSE_HEADER)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{ '\\n\\n### Response:\\n' + message['content'] + eos_token }}"
    "{%- else -%}"
    "{{ '### Instruction:\\n' + message['content'] }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '\\n\\n### Response:\\n' }}{%- endif -%}"
)


def build_tokenizer(
    corpus: Path, size: int = VOCABULARY_SIZE, end: str = EOS, answers_only: bool = False
) -> PreTrainedTokenizerFast:
    """Train the toy tokenizer on Dolly's training rows; the same corpus gives the same tokenizer.

    Decoding restores any encoded UTF-8 text. Encoding adds no special tokens.

    Args:
        corpus: Folder of the toy corpus.
        size: Entries of the vocabulary at most.
        end: Name of the end token.
        answers_only: Whether merges are learned from the references alone, for another tokenizer.

    Raises:
        FileNotFoundError: the folder has no `dolly/train.jsonl`.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(TEMPLATE_PIECES),
        special_tokens=[BOS, end, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_texts(corpus, answers_only), trainer)
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in TEMPLATE_PIECES])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=end,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _training_texts(corpus: Path, answers_only: bool) -> Iterator[str]:
    """Yield the texts of prompts without the template, unless left out, and all references."""
    with (corpus / "dolly" / "train.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            asked = () if answers_only else (row["instruction"], row["input"])
            yield from (*asked, *row["output"])
