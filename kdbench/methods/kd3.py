"""KD3: of a pool of mixed quality, the prompts that student and teacher answer the surest.

Paper: KD3 (arXiv 2307.11469); third-party notes and the abstract were read, no code. The selection
    alone is built, on responses of the teacher to text prompts: its weighted feature alignment with
    a shared classifier is left out, and its contrast of mixed images has no form for texts.
Objective: KL(p‖q) on the teacher's own responses, never on the dataset's.
Selection: the `share` of the pool with the highest c = ½ (mean log p(y) + mean log q(y)), y the
    teacher's response, sampled once. It is made for the next `refresh_steps` steps at once; in the
    notes, once an epoch. An epoch looks at every prompt of the pool, so it has `share` as many
    steps.
Data: prompts; their responses are not read. Confidence also selects what is easy or degenerate: the
    log has KL(p‖q) of responses that were kept and left out, and, if all rows have a column
    `in_world` (1 or 0), its mean among those kept.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FromConfident, FromTeacher, Match, Triple


@methods.register("kd3")
class KD3(Method):
    """Forward KL on the teacher's responses to the prompts where both models are sure."""

    title: ClassVar[str] = "KD3 (adapted)"
    paper: ClassVar[str] = "KD3, arXiv 2307.11469"
    cost: ClassVar[str] = "teacher forward; both models on the whole pool; teacher generation, once"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "third-party notes and abstract"
    adapted: ClassVar[str] = "the selection alone, on responses in place of web images"
    data: ClassVar[str] = "prompts"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:confidence/in_world", "up", "useful prompts among those kept; 0.5 is chance"
    )
    share: float = Field(0.5, gt=0, le=1, description="κ, share of the pool that is kept")
    refresh_steps: int = Field(50, ge=1, description="number of steps between selections")

    def triple(self) -> Triple:
        """The divergence on the selection."""
        source = FromConfident(FromTeacher(), steps=self.refresh_steps, share=self.share)
        return Triple(Match(), source)
