"""HARD: prompts are edited so that the student is farthest from its teacher.

Paper: HARD (arXiv 2305.14890); the abstract was read. It learns augmentations that make teacher and
    student disagree; here rules edit the prompt, and the edit with the largest disagreement is
    learned. Its second form, a step of ascent on embeddings, is not built.
Objective: KL(p‖q).
Responses: in a share `edited_share` of the rows the prompt is edited in `edits` ways (a word left
    out, replaced or moved, an opening put before), and the teacher answers each edit, as the
    dataset's response need not answer it any more. Of the edits whose answer it finds at least as
    likely as their median, so that nonsense is not preferred, that with the largest mean KL(p‖q)
    over the answer is learned; or one is drawn by softmax(KL / `choice_temperature`). The control
    with random edits has a large temperature. The other rows keep prompt and response.
Data: prompts and responses.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FromHardest, Match, Triple


@methods.register("hard")
class HARD(Method):
    """Forward KL, also on edited prompts where the student is far from a sure teacher."""

    title: ClassVar[str] = "HARD (adapted)"
    paper: ClassVar[str] = "arXiv 2305.14890"
    cost: ClassVar[str] = "teacher forward; teacher generation, and both models on every edit"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "abstract"
    adapted: ClassVar[str] = "learned augmentations of images to edits of prompts by rules"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "self_instruct:exact_match", "up", "prompts in other words than the training set's"
    )
    edited_share: float = Field(0.5, ge=0, le=1, description="share of the rows that are edited")
    edits: int = Field(4, ge=1, description="K, number of edits of a prompt")
    choice_temperature: float = Field(
        0.0, ge=0, description="temperature of the choice by disagreement; 0 takes the largest"
    )

    def triple(self) -> Triple:
        """The divergence on edited and plain rows."""
        source = FromHardest(
            share=self.edited_share, edits=self.edits, temperature=self.choice_temperature
        )
        return Triple(Match(), source)
