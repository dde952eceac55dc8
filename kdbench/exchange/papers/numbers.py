"""The numbers of rows in the data sets that MiniLLM's files were made from, by content.

MiniLLM's files have no ids, and Vicuna's are in another order than their source. A row's number is
that of its source: `user_oriented_task_N` of Self-Instruct, `question_id` of Vicuna. A row is known
by the first digits of the SHA-256 of its instruction, input and references.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

_DIGITS = 6
_SELF_INSTRUCT = (
    "34396f0e682643756fadb6f6eda0ca637fa28356b9001e072a15592849e85ebd50d8094af97a8b82724c254b7f"
    "3d140212cb1b0b8382a1f3ad2f4f7c13412fc6fb3593ab02c3f67b351bc3209faf9ae832666b10f9f9824a6e51"
    "2df2d4b95a654f9a7804cde62fb55b5ff66797d36e64433f761e83b643f8b19f1c18816ddc58f3e06f4eefd3e4"
    "28e4670a34c3ed41b0dfa42e8538e97a0477a1b7600d9b8745a895af9bf9494f2b010ab1c7122908cdcd68b98d"
    "fc49789bfcb45314d90ddf5b3b25cadcc8d0c7228d608367c462849bbe3ce6bc8bea34c42c9042e4bd1a720033"
    "08ca87ec2595812b677aae16a8b28853d521511f00ec5d6e33a69d3547d38a635c64d187de285f02217935dbcb"
    "741f5774530f908533e631b28e6b8118b0fea48216c671f5be1266aa26d4fe79a5f6b1f1d88e1b1518fc7846d0"
    "37b5bb360f6a33d3db537f4a402b5bca0175b7905c6ae72a3b28c2adc2aeee726ded14e7ac6097c4884a0da1d6"
    "036298de461d7b6448fb9f453b6b3499c635d25716b4fc175e53dfc59fcbc4b63527f08d7b68a6812f4a738bf8"
    "de711476f06bbce96a2c16b7300c0b1f32b21b13971da642ef1b55930b7e6032cb6a4409e5dcfbf3bae4924ee9"
    "9e1bfd6f539a6fda671d72a1a5611d7dcc857748c7ca9b9f7df98cac720b2cc6f8ce61586bddef848343d1d4a0"
    "aa1d8507b2d8873f8a19b498e44c0f4b8c6754f0a7a9caba60d104afeb7a4102554b2237f0cadfbf7a60cbc3e7"
    "8c57302446d6fa31c6990df8c42c33eb3a345d6f2f673e01d3af292aeac3a76fcb5af5f515031fcdf4766d83ac"
    "bf324036fa8e3195366c5f9433a5518b4428761c08fce6b43ed535736fd3ddb0348f2c364824ca653c38182ad5"
    "340b24788b87a058d849499e7896174492e45e0e79a0cd9d16e83dd3837e45f0672818b35171c5045aa1e91a35"
    "a1e9393ad302b0b68689c3858be7c0e584ee8da86487c6c23f5b75f1bd5932604527f4aecc104192406890428b"
    "bebd2e8ebdc8f8d98c9207b71bfcf38ba2c498ad0b938636025313e3ffe28b2996f884cc"
)
_VICUNA = (
    "287bf8b89c4557f5fd76c1b7d5b9195b1e0aaf9c9bf336a06f02c96b4b981716ef62793db3efe6d25b5e870a08"
    "c69715fbc2df779e61ae700f2634a0077600207b2e8f34a94ded898c9ddd964d961edb18b46f9b0cdcf744c975"
    "6839050fba9274d0dfa359c7777293e37a67efbe3df71ce1da34c93072db70adaaea33b00d05411759cacdffa4"
    "787cd7fa7f31e83ad0899d69158227bcc60dbf1d4ce02cd427cd93333059345fee1c7bd1121c73afe67e665260"
    "a9a208df0160ee23eb7d9f626e13bb88432c6600c761cde032b40e71a689d669c7f68b8d634a68472d770cf986"
    "bbbb1e06a6d67ec2bb1918a805f8d3"
)
_KNOWN = {"self_instruct": (0, _SELF_INSTRUCT), "vicuna": (1, _VICUNA)}


def numbers(task: str, rows: Sequence[Mapping[str, Any]]) -> list[int] | None:
    """The numbers of rows in the source of their set; None if one is unknown.

    Args:
        task: Name of the task.
        rows: Rows, with a list of references as `output`.
    """
    if task not in _KNOWN:
        return None
    first, digits = _KNOWN[task]
    places = range(0, len(digits), _DIGITS)
    known = {digits[place : place + _DIGITS]: first + i for i, place in enumerate(places)}
    found = [known.get(_digest(row)) for row in rows]
    numbered = [number for number in found if number is not None]
    return numbered if len(set(numbered)) == len(rows) else None


def _digest(row: Mapping[str, Any]) -> str:
    content = json.dumps([row["instruction"], row["input"], list(row["output"])])
    return hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]
